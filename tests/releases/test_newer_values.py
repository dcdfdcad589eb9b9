"""A client of this release reads what a worker of a newer one writes: unknown values are values, not errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from agent_framework import WorkflowRunState
from agent_framework_temporal import (
    AlreadyRunningError,
    Checkpoint,
    DurableWorkflow,
    NewerReleaseError,
    ThreadNotFoundError,
    position_of,
    waiting_requests,
)
from agent_framework_temporal.adapter.checkpoints.history import run_frames, runs_after
from agent_framework_temporal.adapter.checkpoints.thread import read_standing
from agent_framework_temporal.adapter.client.queries import ThreadQueries
from agent_framework_temporal.adapter.temporal.client import framed_client
from agent_framework_temporal.workflows.messages import EVENTS_QUERY, EventPage
from temporalio.client import Client
from temporalio.worker import Worker

from tests.cli._commands import Commands
from tests.releases._newer import NewerWorkflow, superstep
from tests.support import unique


@asynccontextmanager
async def _newer(client: Client) -> AsyncIterator[tuple[DurableWorkflow, Checkpoint]]:
    """Run a worker of a newer release, and one of its threads through its first superstep."""
    queue = unique("queue")
    fast = timedelta(milliseconds=50)
    async with Worker(
        client,
        task_queue=queue,
        workflows=[NewerWorkflow],
        activities=[superstep],
        max_heartbeat_throttle_interval=fast,
        default_heartbeat_throttle_interval=fast,
    ):
        durable = DurableWorkflow("newer", client=client, task_queue=queue, search_attributes=False)
        thread = durable.checkpoint()
        async for event in durable.run_stream("any", checkpoint=thread):
            if event.type == "superstep_completed":
                break
        yield durable, thread


async def test_the_stream(client: Client) -> None:
    async with _newer(client) as (durable, thread):
        await client.get_workflow_handle(thread.thread_id).signal("go_on")
        events = [event async for event in durable.run_stream(checkpoint=thread, after=-1)]
    positions = [position.offset for event in events if (position := position_of(event))]
    assert sorted(positions) == [0, 1, 3, 4, 5, 6, 8, 9]  # All but those of ours that are no events.
    types = {str(event.type) for event in events}
    assert types == {"status", "thought", "output", "superstep_completed"}
    assert "hm, live" in [event.data for event in events]
    states = [event.state for event in events if event.type == "status"]
    assert states[0] == "THINKING"
    assert isinstance(states[0], WorkflowRunState)
    assert (states[0].name, states[0].value) == ("THINKING", "THINKING")
    assert states[0] not in set(WorkflowRunState)
    assert "state=THINKING" in repr(events[0])
    assert {event.origin.value for event in events if str(event.type) == "thought"} == {"MODEL"}
    assert {event.data for event in events if event.type == "output"} == {"said 0", "said 5"}


async def test_the_result(client: Client) -> None:
    async with _newer(client) as (durable, thread):
        await client.get_workflow_handle(thread.thread_id).signal("go_on")
        result = await durable.run(checkpoint=thread)
        assert result.get_outputs() == ["said 5"]
        assert thread.checkpoint_id == "checkpoint-1"
        tip = await read_standing(framed_client(client), thread.thread_id, "newer", seen_run_id=thread.run_id)
        assert tip.checkpoint is not None and tip.checkpoint.checkpoint_id == "checkpoint-1"


async def test_queries(client: Client) -> None:
    async with _newer(client) as (durable, thread):
        queries = ThreadQueries(framed_client(client), "any", timedelta(seconds=10))
        status = await queries.status(thread.thread_id, None)
        assert status.state == "draining"
        run = framed_client(client).get_workflow_handle(thread.thread_id)
        page: EventPage = await run.query(EVENTS_QUERY, args=[-1, 500], result_type=EventPage)
        assert page.state == "draining"
        assert [record.type for record in page.events][1:3] == ["thought", "steered"]
        requests = await durable.pending_requests(thread)
        assert [request.on_deadline for request in requests] == ["escalate"]
        assert thread.thread_id in [request.thread_id async for request in waiting_requests(client, "newer")]
        # What cannot be done in a state that nobody knows is said with its name.
        with pytest.raises(ThreadNotFoundError, match="is not paused but 'draining'"):
            await durable.retry(thread)
        with pytest.raises(AlreadyRunningError):
            await durable.run("more", checkpoint=thread)


async def test_checkpoints(client: Client) -> None:
    async with _newer(client) as (durable, thread):
        found = await durable.checkpoints(thread)
        assert [(info.kind, info.state) for info in found] == [("superstep", "draining")]
        ours = framed_client(client)
        frames = [frame async for frame in run_frames(ours, thread.thread_id, thread.run_id or "")]
        assert len(frames) == 2
        assert await runs_after(ours, thread.thread_id, thread.run_id or "", -1) == [thread.run_id]


async def test_commands(client: Client) -> None:
    cli = Commands(client.service_client.config.target_host)
    async with _newer(client) as (_, thread):
        found = (await cli("status", thread.thread_id, "--json")).json
        assert found["state"] == "draining"
        assert found["pending_requests"][0]["on_deadline"] == "escalate"
        text = (await cli("status", thread.thread_id)).out
        assert "state          draining\n" in text
        assert "then escalate" in text
        listed = (await cli("checkpoints", thread.thread_id, "--json")).json
        assert [info["state"] for info in listed] == ["draining"]
        await cli("checkpoints", thread.thread_id)
        assert thread.thread_id in (await cli("inbox", "--json")).out
        await client.get_workflow_handle(thread.thread_id).signal("go_on")
        lines = (await cli("stream", thread.thread_id, "--after", "-1", "--json")).lines
        assert "THINKING" in [line.get("state") for line in lines]
        await cli("stream", thread.thread_id, "--after", "-1")
        assert (await cli("status", thread.thread_id, "--json")).json["state"] == "idle"


async def test_a_greater_version_is_refused(client: Client) -> None:
    """It says that what was known has another meaning now."""
    async with _newer(client) as (durable, thread):
        await client.get_workflow_handle(thread.thread_id).signal("go_on", 2)
        readers: list[Any] = [durable.run(checkpoint=thread), durable.checkpoints(thread)]
        for reader in readers:
            with pytest.raises(NewerReleaseError, match=r"version 2 was written by a newer release.*Upgrade"):
                async with asyncio.timeout(50):
                    await reader
