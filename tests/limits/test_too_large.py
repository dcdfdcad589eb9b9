"""What is too large without external storage: it fails once, says what is to blame, and the thread goes on."""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework import WorkflowEvent
from agent_framework_temporal import (
    DurableWorkflow,
    HistoryCheckpointStorage,
    PayloadError,
    position_of,
)
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from tests.limits._flows import Order, churn, hoard, noise, still_usable
from tests.support import worker

_LARGE = 3_000_000


async def attempts(client: Client, thread_id: str) -> list[int]:
    """Return how often each superstep of a thread's latest run was tried."""
    started = EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED
    return [
        event.activity_task_started_event_attributes.attempt
        async for event in client.get_workflow_handle(thread_id).fetch_history_events()
        if event.event_type == started
    ]


@pytest.mark.parametrize(
    ("order", "blame"),
    [
        (Order(state=_LARGE), r"executor 'hoard', state key 'blob' \(3,000,\d+ bytes\)"),
        (Order(shared=_LARGE), r"shared state key 'shared-blob' \(3,000,\d+ bytes\)"),
        (Order(message=_LARGE), r"messages of executor 'hoard' \(3,000,\d+ bytes\)"),
        (Order(output=_LARGE), r"event 'output' of executor 'hoard' \(3,000,\d+ bytes\)"),
        (Order(output=60_000, outputs=50), "event 'output' of executor 'hoard'"),
        (Order(request=_LARGE), r"pending request 'large' \(3,000,\d+ bytes\)"),
        (Order(request=10, requests=3_000), "largest: request 'large .*' of executor 'hoard'"),
    ],
    ids=["executor-state", "shared-state", "message", "output", "outputs", "request", "requests"],
)
async def test_result(order: Order, blame: str, client: Client) -> None:
    async with worker(client, hoard) as task_queue:
        durable = DurableWorkflow(hoard, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(), checkpoint=checkpoint)
        with pytest.raises(PayloadError, match=blame):
            await durable.run(order, checkpoint=checkpoint)
        assert await attempts(client, checkpoint.thread_id) == [1]
        await still_usable(client, durable, checkpoint, 2)


async def test_result_in_a_later_superstep(client: Client) -> None:
    """Of a keyframe only: the patch of an incompressible message is as large, the state before it is kept."""
    async with worker(client, hoard, cache_bytes=0) as task_queue:
        durable = DurableWorkflow(hoard, client=client, task_queue=task_queue, supersteps_per_run=1)
        checkpoint = durable.checkpoint()
        await durable.run(Order(state=900_000), checkpoint=checkpoint)
        with pytest.raises(PayloadError, match="more than the 1,900,000 that fit in a Temporal payload"):
            await durable.run(Order(state=900_000, shared=1_800_000), checkpoint=checkpoint)
        await still_usable(client, durable, checkpoint, 2)


@pytest.mark.parametrize(
    "order",
    [
        Order(output=1_000_000, outputs=5, fail=True),
        Order(output=100, outputs=5_000, fail=True),
        Order(error=5_000_000, fail=True),
        Order(output=50_000, outputs=30, error=500_000, request=500_000, fail=True),
    ],
    ids=["large-outputs", "many-outputs", "large-text", "all"],
)
async def test_failure(order: Order, client: Client) -> None:
    """What does not fit is left out; the error and the end of the events are told as ever."""
    async with worker(client, hoard) as task_queue:
        durable = DurableWorkflow(hoard, client=client, task_queue=task_queue, max_attempts=1)
        checkpoint = durable.checkpoint()
        await durable.run(Order(), checkpoint=checkpoint)
        events: list[WorkflowEvent[Any]] = []
        with pytest.raises(Exception, match="told to fail"):
            async for event in durable.run_stream(order, checkpoint=checkpoint):
                events.append(event)
        # What is told live may come before an event that is too large for that.
        in_order = sorted(events, key=lambda event: position.offset if (position := position_of(event)) else 0)
        assert [event.type for event in in_order][-3:] == ["executor_failed", "failed", "status"]
        description = await client.get_workflow_handle(checkpoint.thread_id).describe()
        assert description.raw_description.workflow_execution_info.history_size_bytes < 4_000_000
        await still_usable(client, durable, checkpoint, 2)


async def test_failure_of_a_run_with_a_large_message(client: Client) -> None:
    """The checkpoint it had entered with holds the message, and does not fit beside the error; the one before does."""
    async with worker(client, hoard) as task_queue:
        durable = DurableWorkflow(hoard, client=client, task_queue=task_queue, max_attempts=1)
        checkpoint = durable.checkpoint()
        await durable.run(Order(state=1_200_000), checkpoint=checkpoint)
        with pytest.raises(ValueError, match="told to fail"):
            await durable.run(Order(state=1_300_000, fail=True), checkpoint=checkpoint)
        await still_usable(client, durable, checkpoint, 2)


async def test_query_of_many_large_events(client: Client) -> None:
    """Pages stay small whatever the characters: in JSON one may take six bytes."""
    async with worker(client, hoard) as task_queue:
        durable = DurableWorkflow(hoard, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        for _ in range(3):
            await durable.run(Order(output=60_000, outputs=12), checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        page = await handle.query("events", args=[-1, 500])
        assert 0 < len(page["events"]) < 36
        assert len(noise(10)) == 10


@pytest.mark.parametrize("cache_bytes", [0, 100_000_000], ids=["uncached", "cached"])
async def test_history_of_many_large_results(cache_bytes: int, client: Client) -> None:
    """Pages of history are larger than a message may be elsewhere; runs continue as new before their own limit."""
    async with worker(client, churn, cache_bytes=cache_bytes) as task_queue:
        options: Any = {"history_bytes_per_run": 40_000_000}
        durable = DurableWorkflow(churn, client=client, task_queue=task_queue, **options)
        checkpoint = durable.checkpoint()
        result = await durable.run(14, checkpoint=checkpoint)
        assert result.get_outputs() == ["done"]
        infos = await durable.checkpoints(checkpoint)
        assert [info.superstep for info in infos] == list(range(16))
        storage = HistoryCheckpointStorage(client, churn, checkpoint=checkpoint)
        loaded = await storage.load(infos[3].checkpoint_id)
        assert len(loaded.state["churned"]) == 1_700_000
