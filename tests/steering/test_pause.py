"""A healthy run that is held before its next superstep: as somebody asks for, and at breakpoints."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agent_framework import WorkflowRunResult
from agent_framework_temporal import DurableWorkflow, DurableWorkflowError, SteeringStatus, ThreadNotFoundError
from agent_framework_temporal.workflows import limits
from temporalio.client import Client

from tests.flows import Decision, Order, shop
from tests.steering._line import Folder, Work, line, steering_once, task_of
from tests.support import unique, worker, worker_process

_ONE = ["one: first one, middle one, last one"]


async def _paused(durable: DurableWorkflow, thread_id: str, executors: list[str] | None = None) -> SteeringStatus:
    def is_held(status: SteeringStatus) -> bool:
        held = status.pause.executors if status.pause is not None else None
        return status.state == "paused" and (executors is None or held == executors)

    return await steering_once(durable, thread_id, is_held)


@pytest.mark.parametrize("options", [{}, {"max_cached_workflows": 0, "cache_bytes": 0}], ids=["cached", "uncached"])
async def test_it_pauses_when_it_is_asked_to(client: Client, gates: Folder, options: dict[str, Any]) -> None:
    async with worker(client, line, **options) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue)
        other = DurableWorkflow("line", client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        gates.hold("first", "one")
        call = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("first", "one")
        await other.pause(thread.thread_id, reason="let me look", responder="ada")
        asked = (await other.steering(thread.thread_id)).pause
        assert asked is not None
        assert (asked.kind, asked.reason, asked.responder) == ("asked", "let me look", "ada")
        gates.let("first", "one")
        status = await _paused(other, thread.thread_id)
        assert status.superstep == 1  # What ran has ended in peace.
        handle = client.get_workflow_handle(thread.thread_id)
        length = (await handle.describe()).history_length
        await asyncio.sleep(1)
        assert (await handle.describe()).history_length == length  # It costs nothing.
        assert not gates.has_begun("middle", "one")
        assert not call.done()
        await other.continue_(thread.thread_id)
        assert (await call).get_outputs() == _ONE
        with pytest.raises(ThreadNotFoundError):
            await other.pause(thread.thread_id)


async def test_any_language(client: Client, gates: Folder) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        gates.hold("first", "one")
        call = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("first", "one")
        handle = client.get_workflow_handle(thread.thread_id)
        await handle.signal("pause")
        await handle.signal("pause", {"reason": 7})  # Not taken, and nothing breaks.
        gates.let("first", "one")
        await _paused(durable, thread.thread_id)
        receipt = await handle.execute_update("breakpoints", {"executors": ["la*"]})
        assert receipt["breakpoints"] == ["la*"]
        await handle.signal("continue")
        await _paused(durable, thread.thread_id, ["last"])
        assert (await handle.query("status"))["pause"]["kind"] == "breakpoint"
        await handle.execute_update("continue")
        assert (await call).get_outputs() == _ONE


@pytest.mark.parametrize(
    ("breakpoints", "stops"),
    [(["middle"], [["middle"]]), (["*"], [["first"], ["middle"], ["last"]]), (["f*", "last"], [["first"], ["last"]])],
)
async def test_breakpoints(client: Client, gates: Folder, breakpoints: list[str], stops: list[list[str]]) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue, breakpoints=breakpoints)
        thread = durable.checkpoint()
        call = task_of(durable.run(Work(text="one"), checkpoint=thread))
        for executors in stops:
            await _paused(durable, thread.thread_id, executors)
            assert not gates.has_begun(executors[0], "one")
            await durable.continue_(thread.thread_id)
        assert (await call).get_outputs() == _ONE
        alone = await line().run(Work(text="one"))
        assert [event.type for event in await call] == [event.type for event in alone]


async def test_they_may_be_set_while_it_runs(client: Client, gates: Folder) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        gates.hold("first", "one")
        call = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("first", "one")
        await durable.set_breakpoints(["last"], thread.thread_id)
        with pytest.raises(DurableWorkflowError, match="Nothing holds"):
            await durable.continue_(thread.thread_id)
        with pytest.raises(ValueError, match="breakpoints"):
            await durable.set_breakpoints("last", thread.thread_id)
        gates.let("first", "one")
        await _paused(durable, thread.thread_id, ["last"])
        await durable.set_breakpoints([], thread.thread_id)
        await durable.continue_(thread.thread_id)
        assert (await call).get_outputs() == _ONE


async def test_it_lives_through_continue_as_new_and_lost_workers(
    client: Client, gates: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where what is sent to it meanwhile has the paused run itself continue as new."""
    task_queue = unique("queue")
    flows = ("tests.steering._line:line",)
    options: dict[str, Any] = {"supersteps_per_run": 1, "breakpoints": ["last"]}
    durable = DurableWorkflow(line, client=client, task_queue=task_queue, **options)
    thread = durable.checkpoint()
    async with worker_process(client, task_queue, workflows=flows) as process:
        call = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await _paused(durable, thread.thread_id, ["last"])
        process.kill()
        await process.wait()
    monkeypatch.setattr(limits, "MAX_SIGNALS", 3)
    async with worker(client, line, task_queue=task_queue):
        handle = client.get_workflow_handle(thread.thread_id)
        before = (await handle.describe()).run_id
        for _ in range(5):
            await handle.signal("nonsense")
        async with asyncio.timeout(60):
            while (await handle.describe()).run_id == before:
                await asyncio.sleep(0.1)
        await _paused(durable, thread.thread_id, ["last"])
        assert not gates.has_begun("last", "one")
        await durable.continue_(thread.thread_id)
        assert (await call).get_outputs() == _ONE


async def test_before_what_an_answer_sets_off(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=thread)
        await durable.set_breakpoints(["shop"], thread)
        answer = {"approve-pen": Decision(approved=True, by="eve")}
        call = task_of(durable.run(responses=answer, checkpoint=thread))
        await _paused(durable, thread.thread_id, ["shop"])
        assert not call.done()
        await durable.continue_(thread.thread_id)
        assert (await call).get_outputs() == ["pen approved by eve, order 1"]


async def test_messages_meanwhile(client: Client, gates: Folder) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue, breakpoints=["last"])
        other = DurableWorkflow(line, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await _paused(durable, thread.thread_id, ["last"])
        second = task_of(other.run(Work(text="two"), checkpoint=thread.thread_id, when_running="rollback"))
        with pytest.raises(Exception, match="interrupted this turn"):
            await first  # A breakpoint of a turn that is over holds nobody.
        await _paused(durable, thread.thread_id, ["last"])
        await durable.pause(thread.thread_id)  # What a person has asked for holds messages, too.
        third = task_of(other.run(Work(text="three"), checkpoint=thread.thread_id, when_running="interrupt"))
        await asyncio.sleep(1)
        assert (await durable.steering(thread.thread_id)).state == "paused"
        await durable.set_breakpoints([], thread.thread_id)
        await durable.continue_(thread.thread_id)
        done = await asyncio.gather(second, third, return_exceptions=True)
        assert isinstance(done[1], WorkflowRunResult)
        (text,) = done[1].get_outputs()
        assert text.endswith("first three, middle three, last three")


async def test_a_held_run_can_be_cancelled(client: Client) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue, breakpoints=["middle"])
        thread = durable.checkpoint()
        call = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await _paused(durable, thread.thread_id)
        await durable.cancel(thread)
        with pytest.raises(DurableWorkflowError, match="was cancelled"):
            await call
