"""Runs that the server ends because their history has grown too large go on, by a worker or by the next caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from agent_framework_temporal import (
    Checkpoint,
    DurableWorkflow,
    RunTerminatedError,
    StaleCheckpointError,
)
from agent_framework_temporal.activities import revival as _revival
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError

from tests.conftest import local_server
from tests.requests._flows import Question, Reply, asker
from tests.requests.test_always_cancelled import Held, held
from tests.support import unique, worker

_LIMIT = 1_000_000
"""Bytes of history at which the server of these tests ends a run."""


@pytest.fixture(scope="module")
async def small() -> AsyncIterator[Client]:
    """A client of a server that ends runs early."""
    async with await local_server(f"limit.historySize.error={_LIMIT}") as environment:
        yield environment.client


async def _outgrow(handle: WorkflowHandle[Any, Any]) -> None:
    """Signal until the server ends the run, as a worker that has nothing to do could not prevent under a flood."""
    with pytest.raises(RPCError):
        while True:
            await asyncio.gather(*(handle.signal("flood", "x" * 200_000) for _ in range(8)))


async def _until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(50):
        while not await condition():
            await asyncio.sleep(0.1)


async def _next_run(client: Client, thread_id: str, run_id: str | None) -> None:
    async def gone_on() -> bool:
        description = await client.get_workflow_handle(thread_id).describe()
        return description.run_id != run_id and description.status == WorkflowExecutionStatus.RUNNING

    await _until(gone_on)


async def _ended(client: Client, task_queue: str) -> tuple[Checkpoint, WorkflowHandle[Any, Any]]:
    """Return a thread whose run waits, and was ended by the server while no worker ran."""
    async with worker(client, asker, task_queue=task_queue):
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many", count=2), checkpoint=checkpoint)
    handle = client.get_workflow_handle(checkpoint.thread_id, run_id=checkpoint.run_id)
    await _outgrow(handle)
    description = await handle.describe()
    assert description.status == WorkflowExecutionStatus.TERMINATED
    return checkpoint, handle


async def test_a_worker_goes_on_with_a_waiting_run(small: Client) -> None:
    task_queue = unique("queue")
    checkpoint, _ = await _ended(small, task_queue)
    async with worker(small, asker, task_queue=task_queue):
        await _next_run(small, checkpoint.thread_id, checkpoint.run_id)
        durable = DurableWorkflow(asker, client=small, task_queue=task_queue)

        async def waits() -> bool:  # When the superstep has run that it goes on with.
            return [request.request_id for request in await durable.pending_requests(checkpoint)] == ["q0", "q1"]

        await _until(waits)
        # Somebody who knows the thread only from before is no second writer.
        result = await durable.run(responses={"q0": Reply(amount=2)}, checkpoint=checkpoint)
        assert result.get_outputs() == ["how many: 2"]
        handle = small.get_workflow_handle(checkpoint.thread_id)
        await handle.signal("respond", {"request_id": "q1", "response": {"amount": 4}})
        assert (await handle.result())["outputs"] == ["how many: 2", "how many: 4"]
        # And once it is over the thread takes another message.
        assert (await durable.run(Question(text="next"), checkpoint=checkpoint)).get_request_info_events()


async def test_it_is_found_when_it_was_ended_again_and_again(small: Client) -> None:
    task_queue = unique("queue")
    checkpoint, _ = await _ended(small, task_queue)
    seen = checkpoint.run_id
    durable = DurableWorkflow(asker, client=small, task_queue=task_queue)
    for _ in range(2):
        async with worker(small, asker, task_queue=task_queue):
            await _next_run(small, checkpoint.thread_id, seen)
            await _until(lambda: durable.pending_requests(durable.checkpoint(checkpoint.thread_id)))
        seen = (await small.get_workflow_handle(checkpoint.thread_id).describe()).run_id
        await _outgrow(small.get_workflow_handle(checkpoint.thread_id, run_id=seen))
    async with worker(small, asker, task_queue=task_queue):
        await _next_run(small, checkpoint.thread_id, seen)
        result = await durable.run(responses={"q0": Reply(amount=2)}, checkpoint=checkpoint)
        assert result.get_outputs() == ["how many: 2"]


async def test_a_run_that_had_committed_nothing_begins_once_more(small: Client) -> None:
    Held.begun, Held.go, Held.runs = asyncio.Event(), asyncio.Event(), []
    async with worker(small, held) as task_queue:
        durable = DurableWorkflow(held, client=small, task_queue=task_queue)
        checkpoint = durable.checkpoint()

        async def run() -> Any:
            return await durable.run("a", checkpoint=checkpoint)

        running = asyncio.create_task(run())
        await asyncio.wait_for(Held.begun.wait(), 50)
        await _outgrow(small.get_workflow_handle(checkpoint.thread_id, run_id=checkpoint.run_id))
        with pytest.raises(RunTerminatedError, match="size exceeds limit"):
            await running
        await _next_run(small, checkpoint.thread_id, checkpoint.run_id)
        Held.go.set()
        result = await durable.run(checkpoint=checkpoint)
        assert result.get_outputs() == ["a"]
        assert Held.runs.count("next a") == 1


async def test_the_next_caller_goes_on_where_no_worker_has(small: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(_revival.Revival, "run", nothing)
    task_queue = unique("queue")
    checkpoint, _ = await _ended(small, task_queue)
    async with worker(small, asker, task_queue=task_queue):
        durable = DurableWorkflow(asker, client=small, task_queue=task_queue)
        result = await durable.run(responses={"q0": Reply(amount=2)}, checkpoint=checkpoint)
        assert result.get_outputs() == ["how many: 2"]
        assert [request.request_id for request in await durable.pending_requests(checkpoint)] == ["q1"]


async def test_what_somebody_has_ended_stays_ended(small: Client) -> None:
    async with worker(small, asker) as task_queue:
        durable = DurableWorkflow(asker, client=small, task_queue=task_queue)
        ended, other = durable.checkpoint(), durable.checkpoint()
        await durable.run(Question(text="how many"), checkpoint=ended)
        await small.get_workflow_handle(ended.thread_id).terminate("enough")
        await durable.run(Question(text="how many"), checkpoint=other)
        await _outgrow(small.get_workflow_handle(other.thread_id, run_id=other.run_id))
        await _next_run(small, other.thread_id, other.run_id)  # It has looked.
        assert (await small.get_workflow_handle(ended.thread_id).describe()).run_id == ended.run_id


async def test_a_thread_that_somebody_has_gone_on_with_is_left_alone(small: Client) -> None:
    """And a handle from before is as stale as it ever was."""
    task_queue = unique("queue")
    checkpoint, _ = await _ended(small, task_queue)
    await small.start_workflow(
        "AgentFrameworkWorkflow",
        {},
        id=checkpoint.thread_id,
        task_queue=task_queue,
        memo={
            "agent_framework_workflow": "asker",
        },
    )
    latest = (await small.get_workflow_handle(checkpoint.thread_id).describe()).run_id
    async with worker(small, asker, task_queue=task_queue):
        durable = DurableWorkflow(asker, client=small, task_queue=task_queue)
        with pytest.raises(StaleCheckpointError):
            await durable.run(responses={"q0": Reply(amount=2)}, checkpoint=checkpoint)
        await asyncio.sleep(2)
    assert (await small.get_workflow_handle(checkpoint.thread_id).describe()).run_id == latest
