"""A functional workflow does durably what it does in process; what has finished is not run again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import WorkflowEvent, WorkflowRunState
from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.adapter.client.event_position import without_void
from temporalio.client import Client

from tests.flows import LEDGER
from tests.functional._flows import Verdict, pipeline, retried, review
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
        assert sorted(ledger.read_text().split("\n")[:-1]) == [
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
        assert ledger.read_text().splitlines() == ["write tides", "publish tides"]


async def test_retry_keeps_finished_steps(client: Client, ledger: Path) -> None:
    async with worker(client, retried) as task_queue:
        durable = DurableWorkflow(
            retried, client=client, task_queue=task_queue, max_attempts=3, retry_initial_interval=_FAST
        )
        events = [event async for event in durable.run_stream(1)]
    lines = ledger.read_text().splitlines()
    assert lines.count("fails_once 1") == 2
    assert sorted(lines) == ["fails_once 1", "fails_once 1", "fetch 1", "fetch 1", "fetch 6", "outer 1", "publish p2"]
    ledger.write_text("fails_once 1\n")
    undisturbed = [event async for event in retried.build().run(1, stream=True)]
    assert _plain(list(without_void(events))) == _plain(undisturbed)
    assert [event.data for event in events if event.type == "output"] == [
        event.data for event in undisturbed if event.type == "output"
    ]
