"""A functional workflow does durably what it does in process; what has finished is not run again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import WorkflowEvent, WorkflowRunState
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client

from tests.flows import LEDGER
from tests.functional._flows import Verdict, pipeline, review
from tests.support import worker

_FAST = timedelta(milliseconds=20)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that steps note their runs in."""
    monkeypatch.setenv(LEDGER, str(tmp_path / "ledger"))
    return tmp_path / "ledger"


def _plain(events: list[WorkflowEvent[Any]]) -> list[tuple[str, str | None]]:
    return [(event.type, event.executor_id) for event in events]


async def test_pipeline(client: Client, ledger: Path) -> None:
    async with worker(client, pipeline) as task_queue:
        durable = DurableWorkflow(pipeline, client=client, task_queue=task_queue)
        result = await durable.run(2)
        assert result.get_outputs() == ["published draft-10"]
        assert result.get_final_state() is WorkflowRunState.IDLE
        assert sorted(line.partition(" ")[2] for line in ledger.read_text().splitlines()) == [
            "fetch 2",
            "fetch 3",
            "publish draft-10",
            "write draft-10",
        ]


async def test_asks_and_goes_on(client: Client, ledger: Path) -> None:
    async with worker(client, review) as task_queue:
        durable = DurableWorkflow(review, client=client, task_queue=task_queue)
        result = await durable.run("tides")
        [asked] = result.get_request_info_events()
        result = await durable.run(responses={asked.request_id: Verdict(accepted=True)})
        [second] = result.get_request_info_events()
        assert second.request_id != asked.request_id
        result = await durable.run(responses={second.request_id: "Ann"})
        assert result.get_outputs() == ["published tides for Ann"]
        assert [line.partition(" ")[2] for line in ledger.read_text().splitlines()] == ["write tides", "publish tides"]
