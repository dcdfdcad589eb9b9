"""Messages, pauses and cancellations at odd moments: what happens to them is told, and is what the docs say."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Never

import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, WorkflowRunResult, handler
from agent_framework_temporal import (
    AlreadyRunningError,
    DurableWorkflow,
    DurableWorkflowError,
    MessageRefusedError,
    RunCancelledError,
    RunInterruptedError,
    SteeringStatus,
    once,
)
from agent_framework_temporal.workflows import limits
from temporalio.client import Client

from tests.sealing._rogue import connect
from tests.steering._line import Folder, Station, Work, held, line, queued, steering_once, task_of
from tests.support import worker


async def _until(durable: DurableWorkflow, thread_id: str, state: str) -> SteeringStatus:
    return await steering_once(durable, thread_id, lambda status: status.state == state)


async def test_messages_that_cut_each_other_off(client: Client, gates: Folder) -> None:
    """Each caller is told what became of its message, also where nothing of it ran; a rollback stays one."""
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        gates.hold("middle", "one")
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("middle", "one")
        # Held, so that both are in the queue before the first of them begins.
        await durable.pause(thread)
        calls, kinds = [], ("rollback", "interrupt")
        for kind in kinds:
            other: Any = DurableWorkflow(line, client=client, task_queue=task_queue, when_running=kind)  # type: ignore[arg-type]
            calls.append(task_of(other.run(Work(text=kind), checkpoint=thread.thread_id)))
            await queued(durable, thread.thread_id, len(calls))
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
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await _until(durable, thread.thread_id, "paused")
        second = task_of(other.run(Work(text="two"), checkpoint=thread.thread_id))
        await queued(durable, thread.thread_id, 1)
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
        first = task_of(named.run({"text": "one"}, checkpoint=thread))
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
        first = task_of(named.run({"text": "two"}, checkpoint=thread))
        await gates.begun("middle", "two")
        with pytest.raises(MessageRefusedError, match="of type int"):
            await named.run(7, checkpoint=thread.thread_id, when_running="interrupt")
        await named.set_breakpoints(["fir*"], thread)
        second = task_of(named.run({"text": "three"}, checkpoint=thread.thread_id, when_running="enqueue"))
        await queued(named, thread.thread_id, 1)
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
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
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
        calls = [task_of(durable.run(Work(text="one"), checkpoint=thread))]
        await gates.begun("first", "one")
        calls.append(task_of(other.run(Work(text="two"), checkpoint=thread.thread_id)))
        await queued(durable, thread.thread_id, 1)
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
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("last", "one")
        with pytest.raises(AlreadyRunningError, match="Nothing holds"):
            await durable.continue_(thread)
        await durable.pause(thread)
        gates.let("last", "one")
        await first
        status = await durable.steering(thread)
        assert (status.state, status.pause) == ("idle", None)


PAID: list[str] = []


class Payer(Executor):
    """Pays once, while another executor of its superstep is held."""

    @handler
    async def pay(self, work: Work, ctx: WorkflowContext[Never, str]) -> None:
        await once(ctx, "pay", self._pay, work.text)
        await ctx.yield_output(f"{work.text} is paid")

    async def _pay(self, text: str) -> str:
        PAID.append(text)
        return text


class Holder(Executor):
    """Waits at its gate."""

    @handler
    async def hold(self, work: Work, ctx: WorkflowContext[Never, str]) -> None:
        await held(self.id, work.text)
        await ctx.yield_output(f"{work.text} was held")


def paying() -> Workflow:
    """Build two executors that take a message together."""
    first = Station("first")
    return (
        WorkflowBuilder(name="paying", start_executor=first)
        .add_fan_out_edges(first, [Payer(id="payer"), Holder(id="holder")])
        .build()
    )


@pytest.mark.parametrize("is_sealed", [False, True], ids=["plain", "sealed"])
async def test_what_had_finished_is_not_done_again(client: Client, gates: Folder, *, is_sealed: bool) -> None:
    """Of a superstep that was cut off for a message which is then refused, so that it runs again."""
    chosen = await connect(client) if is_sealed else client
    PAID.clear()
    async with worker(chosen, paying) as task_queue:
        durable = DurableWorkflow(paying, client=chosen, task_queue=task_queue, heartbeat_timeout=timedelta(seconds=2))
        thread = durable.checkpoint()
        gates.hold("holder", "one")
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("holder", "one")
        async with asyncio.timeout(50):
            while not PAID:
                await asyncio.sleep(0.05)
        other = DurableWorkflow(paying, client=chosen, task_queue=task_queue, when_running="interrupt")
        with pytest.raises(MessageRefusedError):
            await other.run({"text": "unfit"}, checkpoint=thread.thread_id)
        with pytest.raises(RunInterruptedError):
            await first
        gates.let("holder", "one")
        result = await durable.run(checkpoint=thread)
        assert sorted(result.get_outputs()) == ["one is paid", "one was held"]
        assert PAID == ["one"]
