"""A short part of the tests on each other Python that is supported: `python -m tests.packaging.pythons [VERSION ...]`.

The versions are those of pyproject.toml's classifiers. One that is not on this machine is passed over, and named. The
whole suite runs on each in the GitHub workflow's matrix, and here by `make test VENV=.venv-3.13 PYTHON=python3.13`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.version import Version

from tests.packaging.release import ROOT

PART = (
    *("tests/replay/test_replay.py", "tests/unit/test_encoding.py", "tests/unit/test_framework_contract.py"),
    *("tests/unit/test_hosting.py", "tests/unit/test_sdk_contract.py", "tests/unit/test_value_kinds.py"),
    "tests/parity",
)
"""What depends most on the Python: values and their classes, annotations, asyncio in replay, and a few whole runs."""
_ROWS = "not parity or linear or agent-tools or requests-at-once or sub-workflow-request or functional-request"
_NOT_FROM_A_REGISTRY = "--no-python-downloads"


def supported() -> list[str]:
    """Return the versions of Python that pyproject.toml names, oldest first."""
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    found = (re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line) for line in classifiers)
    return sorted((each[1] for each in found if each), key=Version)


def interpreter(version: str) -> Path | None:
    """Return where that Python is: on the path, or of pyenv; None if it is nowhere, or does not start."""
    on_path = shutil.which(f"python{version}")
    of_pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    for candidate in [*([Path(on_path)] if on_path else []), *reversed(of_pyenv)]:
        said = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
        if said.stdout.startswith(f"Python {version}."):
            return candidate
    return None


def others(wanted: list[str]) -> Iterator[tuple[str, Path | None]]:
    """Give the versions to test, besides the running one, and where they are."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    for version in wanted or [each for each in supported() if each != running]:
        yield version, interpreter(version)


def tested(version: str, python: Path) -> bool:
    """Make an environment of that Python, run the part in it, and return whether it passed."""
    environment = ROOT / f".venv-{version}"
    own = environment / "bin" / "python"
    uv = [sys.executable, "-m", "uv", "--quiet", _NOT_FROM_A_REGISTRY]
    if not own.exists():
        subprocess.run([*uv, "venv", "--python", python, environment], check=True)
    install: list[str | Path] = [*uv, "pip", "install", "--python", own, "--config-settings", "editable_mode=strict"]
    subprocess.run([*install, "--editable", ".[test]"], cwd=ROOT, check=True)
    pytest: list[str | Path] = [own, "-m", "pytest", "-n", "2", "--dist", "worksteal", "-k", _ROWS, *PART]
    return subprocess.run(pytest, cwd=ROOT, check=False).returncode == 0


def main() -> None:
    """Test each; end with 1 if one failed."""
    failed = []
    for version, python in others(sys.argv[1:]):
        if python is None:
            print(f"Python {version} is not on this machine: passed over.")
            continue
        began = time.monotonic()
        if not tested(version, python):
            failed.append(version)
        print(f"Python {version} took {time.monotonic() - began:.0f} s", flush=True)
    if failed:
        sys.exit(f"Failed on Python {', '.join(failed)}")


if __name__ == "__main__":
    main()
