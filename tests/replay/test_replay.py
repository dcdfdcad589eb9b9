"""Every stored run replays: a worker of this version takes over the runs of those before."""

from __future__ import annotations

import importlib.metadata
from collections import Counter

import pytest

from tests.replay.replaying import replay
from tests.replay.scenarios import SCENARIOS
from tests.replay.stage import counted
from tests.replay.store import HISTORIES, StoredRun, stored

VERSION = importlib.metadata.version("agent-framework-temporal")
_BYTES = 2_000_000


@pytest.mark.parametrize("run", stored(), ids=lambda run: run.name)
async def test_stored_run(run: StoredRun) -> None:
    await replay(run.history(), exactly=run.version == VERSION)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_scenario_is_stored_for_this_version(name: str) -> None:
    """A scenario that is missing is recorded by `python -m tests.replay.record VERSION`."""
    runs = stored(VERSION, name)
    shown: Counter[str] = counted(run.history() for run in runs)
    assert len(runs) >= SCENARIOS[name].runs
    assert {event: shown[event] for event, count in SCENARIOS[name].shows.items() if shown[event] < count} == {}


def test_nothing_else_is_stored() -> None:
    """A scenario may go only with the histories of all versions: what was stored must be known by a name."""
    assert {path.name for path in HISTORIES.glob("*/*")} <= set(SCENARIOS)


def test_what_is_stored_of_a_version_is_small() -> None:
    for version in HISTORIES.iterdir():
        assert sum(run.path.stat().st_size for run in stored(version.name)) < _BYTES
