"""The distributions, built once for all test processes."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.packaging import dist
from tests.packaging.release import ROOT

ADDRESS = "https://code.example/owner/agent-framework-temporal"


class Distributions(NamedTuple):
    """What a release publishes."""

    sdist: Path
    wheel: Path


def package_files() -> set[str]:
    """Return what belongs to the package, as the repository names it: its modules, and the data beside them."""
    found = [path for path in ROOT.iterdir() if path.suffix in (".py", ".pyi", ".typed")]
    for room in ("adapter", "activities", "workflows"):
        found += [path for path in (ROOT / room).rglob("*.py*") if path.suffix in (".py", ".pyi")]
    found += [*(ROOT / "adapter" / "http" / "assets").iterdir(), *(ROOT / "adapter" / "cli" / "project").rglob("*.txt")]
    return {str(path.relative_to(ROOT)) for path in found}


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Build sdist and wheel as a release does, from a repository with an address."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    out = shared / "distributions"
    with (shared / "distributions.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # The first process builds, and the others wait for it.
        if not out.exists():
            built = shared / "distributions.new"
            dist.build(built, ADDRESS)
            built.rename(out)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return Distributions(sdist, wheel)


@pytest.fixture(scope="session")
def wheel(distributions: Distributions) -> Path:
    """Return the wheel."""
    return distributions.wheel
