"""Every stored history replays: a worker of this version takes over the runs of those before."""

from __future__ import annotations

from pathlib import Path

import pytest
from agent_framework_temporal import AgentFrameworkPlugin
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from tests.replay.record import HISTORIES, SCENARIOS


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
async def test_stored_history(path: Path) -> None:
    replayer = Replayer(workflows=[], plugins=[AgentFrameworkPlugin()])
    await replayer.replay_workflow(WorkflowHistory.from_json(path.stem, path.read_text(encoding="utf-8")))


def test_every_scenario_is_stored() -> None:
    stored = {path.stem.split("-", 1)[1] for path in HISTORIES.glob("*.json")}
    assert stored == set(SCENARIOS), "run: python -m tests.replay.record VERSION"
