"""Messages, pauses and cancellations at odd moments: what happens to them is told, and is what the docs say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from agent_framework import WorkflowRunResult
from agent_framework_temporal import (
    AlreadyRunningError,
    DurableWorkflow,
    DurableWorkflowError,
    MessageRefusedError,
    RunCancelledError,
    RunInterruptedError,
    SteeringStatus,
)
from agent_framework_temporal.workflows import limits
from temporalio.client import Client

from tests.steering._line import Folder, Work, line
from tests.support import worker


def _task(awaitable: Awaitable[WorkflowRunResult]) -> asyncio.Task[WorkflowRunResult]:
    async def run() -> WorkflowRunResult:
        return await awaitable

    return asyncio.create_task(run())


async def _until(durable: DurableWorkflow, thread_id: str, state: str) -> SteeringStatus:
    async with asyncio.timeout(60):
        while True:
            try:
                status = await durable.steering(thread_id)
            except DurableWorkflowError:  # It has not begun yet.
                await asyncio.sleep(0.05)
                continue
            if status.state == state:
                return status
            await asyncio.sleep(0.05)


async def _queued(durable: DurableWorkflow, thread_id: str, count: int) -> None:
    async with asyncio.timeout(60):
        while len(await durable.queued_messages(thread_id)) != count:
            await asyncio.sleep(0.05)


async def test_messages_that_cut_each_other_off(client: Client, gates: Folder) -> None:
    """Each caller is told what became of its message, also where nothing of it ran; a rollback stays one."""
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        gates.hold("middle", "one")
        first = _task(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("middle", "one")
        # Held, so that both are in the queue before the first of them begins.
        await durable.pause(thread)
        calls, kinds = [], ("rollback", "interrupt")
        for kind in kinds:
            other: Any = DurableWorkflow(line, client=client, task_queue=task_queue, when_running=kind)  # type: ignore[arg-type]
            calls.append(_task(other.run(Work(text=kind), checkpoint=thread.thread_id)))
            await _queued(durable, thread.thread_id, len(calls))
        await durable.continue_(thread)
        done = await asyncio.gather(first, *calls, return_exceptions=True)
        gates.let("middle", "one")
        assert [type(result) for result in done] == [RunInterruptedError, RunInterruptedError, WorkflowRunResult]
        assert "before its turn began" in str(done[1])
        assert done[2].get_outputs() == ["interrupt: first interrupt, middle interrupt, last interrupt"]  # type: ignore[union-attr]
        (cut,) = (await durable.steering(thread)).refused_messages
        assert cut.cut == "interrupt"


async def test_a_message_that_cuts_off_stops_at_a_breakpoint_of_its_own(client: Client, gates: Folder) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue, breakpoints=["first"])
        other = DurableWorkflow(line, client=client, task_queue=task_queue, when_running="interrupt")
        thread = durable.checkpoint()
        first = _task(durable.run(Work(text="one"), checkpoint=thread))
        await _until(durable, thread.thread_id, "paused")
        second = _task(other.run(Work(text="two"), checkpoint=thread.thread_id))
        await _queued(durable, thread.thread_id, 1)
        await _until(durable, thread.thread_id, "paused")
        assert not gates.has_begun("first", "two")
        await durable.continue_(thread)
        with pytest.raises(RunInterruptedError):
            await first
        assert (await second).get_outputs() == ["two: first two, middle two, last two"]
        with pytest.raises(DurableWorkflowError):  # The run is over.
            await durable.continue_(thread)


async def test_one_who_knows_only_the_name(client: Client, gates: Folder) -> None:
    """The worker tells whom a message reaches first, and what that takes: for breakpoints, and for messages."""
    async with worker(client, line) as task_queue:
        named = DurableWorkflow("line", client=client, task_queue=task_queue, breakpoints=["first"])
        thread = named.checkpoint()
        first = _task(named.run({"text": "one"}, checkpoint=thread))
        status = await _until(named, thread.thread_id, "paused")
        assert status.pause is not None
        assert status.pause.executors == ["first"]
        with pytest.raises(MessageRefusedError, match="of type int: message: the value is not of type"):
            await named.run(7, checkpoint=thread.thread_id, when_running="enqueue")
        await named.continue_(thread)
        assert (await first).get_outputs() == ["one: first one, middle one, last one"]
        # Without breakpoints nobody is asked: the first superstep tells, in its result.
        named = DurableWorkflow("line", client=client, task_queue=task_queue)
        thread = named.checkpoint()
        gates.hold("middle", "two")
        first = _task(named.run({"text": "two"}, checkpoint=thread))
        await gates.begun("middle", "two")
        with pytest.raises(MessageRefusedError, match="of type int"):
            await named.run(7, checkpoint=thread.thread_id, when_running="interrupt")
        await named.set_breakpoints(["fir*"], thread)
        second = _task(named.run({"text": "three"}, checkpoint=thread.thread_id, when_running="enqueue"))
        await _queued(named, thread.thread_id, 1)
        gates.let("middle", "two")
        await _until(named, thread.thread_id, "paused")
        assert not gates.has_begun("first", "three")
        await named.continue_(thread)
        await asyncio.gather(first, second)


async def test_a_message_behind_a_flood_is_not_lost(
    client: Client, gates: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run does not end before it has read all that it was sent."""
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        gates.hold("last", "one")
        first = _task(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("last", "one")
        monkeypatch.setattr(limits, "TASK_COST", 100)
        handle = client.get_workflow_handle(thread.thread_id)
        await asyncio.gather(*(handle.signal("nonsense") for _ in range(60)))
        await handle.signal("message", {"message": {"text": "two"}})
        gates.let("last", "one")
        await first
        assert len((await handle.result())["outputs"]) == 2


async def test_a_run_that_is_cancelled_says_so_and_drops_its_queue(client: Client, gates: Folder) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue)
        other = DurableWorkflow(line, client=client, task_queue=task_queue, when_running="enqueue")
        thread = durable.checkpoint()
        gates.hold("first", "one")
        calls = [_task(durable.run(Work(text="one"), checkpoint=thread))]
        await gates.begun("first", "one")
        calls.append(_task(other.run(Work(text="two"), checkpoint=thread.thread_id)))
        await _queued(durable, thread.thread_id, 1)
        await durable.cancel(thread)
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in done] == [RunCancelledError, RunCancelledError]
        status = await durable.steering(thread)
        assert (status.state, status.queued_messages) == ("cancelled", [])
        assert [refused.error for refused in status.refused_messages] == ["The run was cancelled before its turn."]
        gates.let("first", "one")


async def test_what_was_asked_for_is_over_with_the_run(client: Client, gates: Folder) -> None:
    """A pause before a superstep that never comes holds nothing, and its status does not claim it."""
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        gates.hold("last", "one")
        first = _task(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("last", "one")
        with pytest.raises(AlreadyRunningError, match="Nothing holds"):
            await durable.continue_(thread)
        await durable.pause(thread)
        gates.let("last", "one")
        await first
        status = await durable.steering(thread)
        assert (status.state, status.pause) == ("idle", None)
