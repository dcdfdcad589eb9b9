"""Runs that stay open after a failure, and go on when they are told to."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import WorkflowEvent, WorkflowRunState
from agent_framework_temporal import (
    AlreadyRunningError,
    Checkpoint,
    DurableWorkflow,
    PendingRequestsError,
    RunCancelledError,
    ThreadNotFoundError,
    WorkflowNotHostedError,
    position_of,
)
from agent_framework_temporal.adapter.client.event_position import without_void
from temporalio.client import Client, WorkflowExecutionStatus

from tests.facade._failing import MENDED, failing, failing_at_once
from tests.flows import LEDGER, Decision, Order, echo, shop
from tests.support import worker

_FAST = timedelta(milliseconds=20)


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(LEDGER, str(tmp_path / "ledger"))
    return tmp_path / "ledger"


def _pausing(entry: Any, client: Client, task_queue: str) -> DurableWorkflow:
    return DurableWorkflow(
        entry,
        client=client,
        task_queue=task_queue,
        max_attempts=2,
        retry_initial_interval=_FAST,
        pause_on_failure=True,
    )


async def _status(client: Client, checkpoint: Checkpoint) -> dict[str, Any]:
    found: dict[str, Any] = await client.get_workflow_handle(checkpoint.thread_id).query("status")
    return found


@pytest.mark.parametrize("entry", [failing, failing_at_once])
@pytest.mark.parametrize("cache_bytes", [0, 1_000_000], ids=["uncached", "cached"])
async def test_paused_run_goes_on_when_told(
    entry: Any, cache_bytes: int, client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(client, entry, cache_bytes=cache_bytes) as task_queue:
        durable = _pausing(entry, client, task_queue)
        checkpoint = durable.checkpoint()
        events: list[WorkflowEvent[Any]] = []

        async def follow(message: str | None) -> None:
            async for event in durable.run_stream(message, checkpoint=checkpoint):
                events.append(event)

        with pytest.raises(OSError, match="failing is down"):
            await follow("a")
        assert [event.type for event in without_void(events)][-3:] == ["executor_failed", "failed", "status"]
        assert durable.status is WorkflowRunState.FAILED
        status = await _status(client, checkpoint)
        assert (status["state"], status["failure"]) == (
            "paused",
            {"error_type": "OSError", "message": "failing is down"},
        )
        run = client.get_workflow_handle(checkpoint.thread_id)
        assert (await run.describe()).status == WorkflowExecutionStatus.RUNNING
        # Who follows it meanwhile is told, and so is who writes.
        with pytest.raises(OSError, match="failing is down"):
            await durable.run(checkpoint=checkpoint)
        with pytest.raises(AlreadyRunningError, match="is paused because it failed with OSError"):
            await durable.run("b", checkpoint=checkpoint)
        with pytest.raises(AlreadyRunningError, match="is paused"):
            await durable.run(responses={"a": 1}, checkpoint=checkpoint)
        # Told to go on too early, it fails once more and is paused again.
        await durable.retry(checkpoint)
        with pytest.raises(OSError, match="failing is down"):
            await follow(None)
        monkeypatch.setenv(MENDED, "1")
        await durable.retry(checkpoint)
        await follow(None)
        events = without_void(events)  # Some were given live, of attempts that failed.
        assert [event.data for event in events if event.type == "output"] == ["failing done"]
        positions = [position_of(event) for event in events]
        assert [position.offset for position in positions if position] == list(range(len(events)))
        assert ledger.read_text().count("begin start") <= 1
        listed = await durable.checkpoints(checkpoint)
        assert [info.previous_checkpoint_id for info in listed[1:]] == [info.checkpoint_id for info in listed[:-1]]
        whole = [event async for event in durable.run_stream(checkpoint=checkpoint, after=-1)]
        assert [event.type for event in whole] == [event.type for event in events]
        with pytest.raises(ThreadNotFoundError, match="is not paused but 'idle'"):
            await durable.retry(checkpoint)


async def test_reader_that_follows_over_a_retry(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who did not see the pause, as it was over before he looked, sees one stream."""
    async with worker(client, failing) as task_queue:
        durable = _pausing(failing, client, task_queue)
        checkpoint = durable.checkpoint()
        with pytest.raises(OSError, match="failing is down"):
            await durable.run("a", checkpoint=checkpoint)
        monkeypatch.setenv(MENDED, "1")
        await durable.retry(checkpoint)
        while (await _status(client, checkpoint))["state"] != "idle":
            await asyncio.sleep(0.02)
        reader = DurableWorkflow(failing, client=client, task_queue=task_queue)
        late = reader.checkpoint(checkpoint.thread_id)
        events = [event async for event in reader.run_stream(checkpoint=late, after=-1)]
        assert [event.type for event in events].count("failed") == 1
        assert events[-1].state is WorkflowRunState.IDLE


async def test_worker_without_the_workflow(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = _pausing(echo, client, task_queue)
        checkpoint = durable.checkpoint()
        with pytest.raises(WorkflowNotHostedError, match="'echo'"):
            await durable.run("one", checkpoint=checkpoint)
    async with worker(client, echo, task_queue=task_queue):
        await durable.retry(checkpoint)
        assert (await durable.run(checkpoint=checkpoint)).get_outputs() == ["one 1"]


async def test_cancelled_while_paused(client: Client) -> None:
    async with worker(client, failing) as task_queue:
        durable = _pausing(failing, client, task_queue)
        checkpoint = durable.checkpoint()
        with pytest.raises(OSError, match="failing is down"):
            await durable.run("a", checkpoint=checkpoint)
        await durable.cancel(checkpoint)
        with pytest.raises(RunCancelledError):
            async for _ in durable.run_stream(checkpoint=checkpoint, after=checkpoint.offset):
                pass


async def test_retry_of_what_is_not_paused(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = _pausing(shop, client, task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        with pytest.raises(PendingRequestsError, match="is not paused but 'waiting'"):
            await durable.retry(checkpoint)
        # From outside it is ignored, and not kept for a pause to come.
        await client.get_workflow_handle(checkpoint.thread_id).signal("retry")
        result = await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=checkpoint)
        assert len(result.get_outputs()) == 1
