"""Which versions of agent-framework-core the tests run against: `python -m tests.packaging.cores` prints those to try.

The package relies on private names of the framework, so a version counts as supported when CI has run the tests against
it: `tested-cores` in pyproject.toml, oldest first. The oldest is the lower bound of the declared range. The newest that
the range admits is asked of the package index, so that CI tests a version that came out since.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

CORE = "agent-framework-core"
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def declared() -> Requirement:
    """Return what the package requires of the framework."""
    found = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    return next(each for each in map(Requirement, found) if each.name == CORE)


def listed() -> list[str]:
    """Return the versions that CI has tested, oldest first."""
    versions = tomllib.loads(PROJECT.read_text())["tool"]["agent-framework-temporal"]["tested-cores"]
    return sorted(versions, key=Version)


def newest() -> str | None:
    """Return the newest version in the declared range that the package index has; None if it does not answer."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps"]
    found = subprocess.run([*command, "--report", "-", str(declared())], capture_output=True, text=True, check=False)
    if found.returncode:
        return None
    version: str = json.loads(found.stdout)["install"][0]["metadata"]["version"]
    return version


def to_try(installed: str, known: Sequence[str], latest: str | None) -> list[str]:
    """Return the versions that the tests are still to run against, besides the installed one.

    Args:
        installed: What the whole suite runs against.
        known: Those that were tested, oldest first.
        latest: The newest there is.
    """
    wanted = dict.fromkeys([known[0], latest or known[-1]])
    return [version for version in wanted if Version(version) != Version(installed)]


def main() -> None:
    """Print the versions, and say what is to be done about one that is new."""
    latest = newest()
    if latest is None:
        print(
            f"The package index does not say which {CORE} is the newest; the newest tested is taken.", file=sys.stderr
        )
    elif latest not in listed():
        print(f"{CORE} {latest} is new: when its tests pass, add it to `tested-cores` in {PROJECT}.", file=sys.stderr)
    print(*to_try(importlib.metadata.version(CORE), listed(), latest))


if __name__ == "__main__":
    main()
