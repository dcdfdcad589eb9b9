"""Runs that continue as new: unseen by callers, whatever the run is doing."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from agent_framework import WorkflowEvent
from agent_framework_temporal import Checkpoint, DurableWorkflow, position_of
from temporalio.client import Client, WorkflowExecutionStatus

from tests.flows import Decision, Order, chain, countdown, shop
from tests.support import worker


async def _runs(client: Client, checkpoint: Checkpoint) -> int:
    """Count the runs of a thread by their links."""
    count, run_id = 1, checkpoint.run_id
    while run_id:
        handle = client.get_workflow_handle(checkpoint.thread_id, run_id=run_id)
        async for event in handle.fetch_history_events():
            run_id = event.workflow_execution_started_event_attributes.continued_execution_run_id
            break
        count += bool(run_id)
    return count


@pytest.mark.parametrize("cache_bytes", [0, 1_000_000], ids=["uncached", "cached"])
async def test_events_and_lineage_are_those_of_one_run(cache_bytes: int, client: Client) -> None:
    async with worker(client, countdown, cache_bytes=cache_bytes) as task_queue:
        whole = DurableWorkflow(countdown, client=client, task_queue=task_queue)
        expected = await whole.run(20)
        durable = DurableWorkflow(countdown, client=client, task_queue=task_queue, supersteps_per_run=3)
        checkpoint = durable.checkpoint()
        events: list[WorkflowEvent[Any]] = []
        offsets: list[int] = []
        async for event in durable.run_stream(20, checkpoint=checkpoint):
            events.append(event)
            position = position_of(event)
            offsets.append(position.offset if position is not None else -1)
        assert [event.data for event in events if event.type == "output"] == expected.get_outputs()
        assert offsets == list(range(len(events)))
        assert await _runs(client, checkpoint) == 7
        listed = await durable.checkpoints(checkpoint)
        assert [info.superstep for info in listed] == list(range(22))
        for before, after in itertools.pairwise(listed):
            assert after.previous_checkpoint_id == before.checkpoint_id
        # The next message goes on from the last of the runs.
        assert (await durable.run(1, checkpoint=checkpoint)).get_outputs() == ["1 left", "0 left"]


async def test_handle_from_before_still_follows(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_DELAY", "0.2")
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue, supersteps_per_run=1)
        checkpoint = durable.checkpoint()
        async for event in durable.run_stream("a", checkpoint=checkpoint):
            if event.type == "superstep_completed":
                break
        stored = Checkpoint.from_json(checkpoint.to_json())
        while (await client.get_workflow_handle(checkpoint.thread_id).describe()).run_id == stored.run_id:
            await asyncio.sleep(0.05)
        followed = await durable.run(checkpoint=stored)
        assert followed.get_outputs() == ["a>first>second>third done"]


async def test_requests_and_early_answers_are_handed_on(client: Client) -> None:
    async with worker(client, shop, cache_bytes=0) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue, history_bytes_per_run=30_000)
        checkpoint = durable.checkpoint()
        await durable.run([Order(item="pen"), Order(item="ink")], checkpoint=checkpoint)
        asked = {request.request_id: request.asked_at for request in await durable.pending_requests(checkpoint)}
        handle = client.get_workflow_handle(checkpoint.thread_id)
        early = {"request_id": "approve-car", "response": {"approved": True, "by": "early"}}
        await handle.signal("respond", early)
        for number in range(40):
            await handle.signal("respond", {"request_id": 7, "response": "x" * 10_000, "number": number})
        first_run = checkpoint.run_id
        while (await handle.describe()).run_id == first_run:
            await asyncio.sleep(0.05)
        description = await handle.describe()
        assert description.status == WorkflowExecutionStatus.RUNNING
        pending = await durable.pending_requests(checkpoint)
        assert {request.request_id: request.asked_at for request in pending} == asked
        # What is answered is answered, and the early answer is still there for the request that comes now.
        good = Decision(approved=True, by="ada")
        result = await durable.run(responses={"approve-pen": good, "approve-ink": good}, checkpoint=checkpoint)
        assert len(result.get_outputs()) == 2


async def test_server_suggests_it(client: Client) -> None:
    """A real limit of the server: the run ends in the same way, with more than one run behind it."""
    async with worker(client, countdown) as task_queue:
        durable = DurableWorkflow(countdown, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        result = await durable.run(800, checkpoint=checkpoint)
        assert result.get_outputs()[-1] == "0 left"
        assert len(result.get_outputs()) == 801
        assert await _runs(client, checkpoint) > 1
