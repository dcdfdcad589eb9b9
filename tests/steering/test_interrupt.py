"""A message that cuts off what runs: from the last checkpoint, or from where the turn had begun."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage, WorkflowRunResult
from agent_framework_temporal import (
    DurableWorkflow,
    MessageRefusedError,
    RunInterruptedError,
)
from temporalio.client import Client

from tests.flows import Decision, Order, shop
from tests.steering._line import Folder, Work, line, task_of
from tests.support import unique, worker, worker_process


async def _in_process(*texts: str, cut: tuple[str, int] | None = None, last: str) -> list[Any]:
    """Run messages, then one that is stopped after so many supersteps, then a last one; returns its outputs."""
    storage = InMemoryCheckpointStorage()
    workflow = line()
    for text in texts:
        await workflow.run(Work(text=text), checkpoint_storage=storage)
    if cut is not None:
        seen = 0
        stream = workflow.run(Work(text=cut[0]), checkpoint_storage=storage, stream=True)
        async for event in stream:
            seen += event.type == "superstep_completed"
            if seen == cut[1]:
                break
        await stream.close()
        newest = max(await storage.list_checkpoints(workflow_name="line"), key=lambda found: found.timestamp)
        bare = InMemoryCheckpointStorage()
        await bare.save(dataclasses.replace(newest, messages={}))
        workflow = line()
        await workflow.run(checkpoint_id=newest.checkpoint_id, checkpoint_storage=bare)
    return (await workflow.run(Work(text=last), checkpoint_storage=storage)).get_outputs()


@pytest.mark.parametrize("kind", ["interrupt", "rollback"])
@pytest.mark.parametrize("options", [{}, {"max_cached_workflows": 0, "cache_bytes": 0}], ids=["cached", "uncached"])
async def test_the_turn_is_cut_off(client: Client, gates: Folder, kind: Any, options: dict[str, Any]) -> None:
    expected = await _in_process("zero", cut=("one", 1) if kind == "interrupt" else None, last="two")
    async with worker(client, line, **options) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue)
        other = DurableWorkflow(line, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        await durable.run(Work(text="zero"), checkpoint=thread)
        before = thread.checkpoint_id
        gates.hold("middle", "one")
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("middle", "one")
        # Those in the queue come after it.
        third = task_of(other.run(Work(text="three"), checkpoint=thread.thread_id, when_running="enqueue"))
        async with asyncio.timeout(50):
            while not await durable.queued_messages(thread.thread_id):
                await asyncio.sleep(0.05)
        second = await other.run(Work(text="two"), checkpoint=other.checkpoint(thread.thread_id), when_running=kind)
        assert second.get_outputs() == expected
        with pytest.raises(RunInterruptedError, match="interrupted this turn") as caught:
            await first
        assert caught.value.rolled_back is (kind == "rollback")
        (last,) = (await third).get_outputs()
        assert last.startswith(f"three: {expected[0].removeprefix('two: ')}")
        gates.let("middle", "one")
        # The lineage shows it: the new turn goes on from the last checkpoint, or from where the one cut off had begun.
        infos = await durable.checkpoints(thread.thread_id)
        entries = [info for info in infos if info.kind == "entry"]
        assert len(entries) == 4
        rolled_back = [info for info in infos if info.previous_checkpoint_id == before]
        assert len(rolled_back) == (2 if kind == "rollback" else 1)
        # All of it is in the thread's events for whoever reads it later.
        whole = [event async for event in durable.run_stream(checkpoint=thread.thread_id, after=-1)]
        assert [event.type for event in whole].count("started") == 4
        page = await client.get_workflow_handle(thread.thread_id, run_id=entries[-1].run_id).query("events")
        assert [event["type"] for event in page["events"] if event["type"].startswith("turn_")] == [f"turn_{kind}"]


@pytest.mark.parametrize("kind", ["interrupt", "rollback"])
async def test_the_first_turn_of_a_thread(client: Client, gates: Folder, kind: Any) -> None:
    """Before any superstep is committed there is nothing to keep."""
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue, when_running=kind)
        thread = durable.checkpoint()
        gates.hold("first", "one")
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("first", "one")
        second = await durable.run(Work(text="two"), checkpoint=thread.thread_id)
        assert second.get_outputs() == ["two: first two, middle two, last two"]
        with pytest.raises(RunInterruptedError):
            await first
        gates.let("first", "one")


async def test_one_after_the_other(client: Client, gates: Folder) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        gates.hold("middle", "one")
        gates.hold("first", "two")
        calls = [task_of(durable.run(Work(text="one"), checkpoint=thread))]
        await gates.begun("middle", "one")
        for kind, text in (("interrupt", "two"), ("rollback", "three")):
            other = DurableWorkflow(line, client=client, task_queue=task_queue, when_running=kind)  # type: ignore[arg-type]
            calls.append(task_of(other.run(Work(text=text), checkpoint=thread.thread_id)))
            if text == "two":
                await gates.begun("first", "two")
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in done[:2]] == [RunInterruptedError, RunInterruptedError]
        assert isinstance(done[2], WorkflowRunResult)
        assert done[2].get_outputs() == ["three: first one, first three, middle three, last three"]


async def test_a_refused_message_lets_the_turn_go_on(client: Client, gates: Folder) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        gates.hold("middle", "one")
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("middle", "one")
        gates.let("middle", "one")
        gates.hold("middle", "one")
        other = DurableWorkflow(line, client=client, task_queue=task_queue, when_running="interrupt")
        with pytest.raises(MessageRefusedError, match="cannot handle input"):  # Known at once, it cuts nothing off.
            await other.run(7, checkpoint=thread.thread_id)
        assert not first.done()
        with pytest.raises(MessageRefusedError, match="cannot handle input"):  # What only the worker can tell does.
            await other.run({"text": "unfit"}, checkpoint=thread.thread_id)
        with pytest.raises(RunInterruptedError):
            await first
        gates.let("middle", "one")
        result = await durable.run(checkpoint=thread.thread_id)
        assert result.get_outputs() == ["one: first one, middle one, last one"]


async def test_a_thread_that_waits_for_answers(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=thread)
        await durable.run(Order(item="ink"), checkpoint=thread, when_running="interrupt")
        assert [one.request_id for one in await durable.pending_requests(thread)] == ["approve-pen", "approve-ink"]
        await durable.run(Order(item="cup"), checkpoint=thread, when_running="rollback")
        assert [one.request_id for one in await durable.pending_requests(thread)] == ["approve-pen", "approve-cup"]
        answer = {"approve-cup": Decision(approved=True, by="eve")}
        result = await durable.run(responses=answer, checkpoint=thread)
        assert result.get_outputs() == ["cup approved by eve, order 2"]


async def test_from_another_process_whose_worker_is_lost(client: Client, gates: Folder) -> None:
    """The cancellation of a superstep whose worker is gone is over when the server says so."""
    task_queue = unique("queue")
    flows = ("tests.steering._line:line",)
    durable = DurableWorkflow(line, client=client, task_queue=task_queue, supersteps_per_run=1)
    thread = durable.checkpoint()
    gates.hold("last", "one")
    async with worker_process(client, task_queue, workflows=flows) as process:
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("last", "one")
        process.kill()
        await process.wait()
    async with worker_process(client, task_queue, workflows=flows):
        # The turn has begun two runs before this one.
        second = await durable.run(Work(text="two"), checkpoint=thread.thread_id, when_running="rollback")
    assert second.get_outputs() == ["two: first two, middle two, last two"]
    with pytest.raises(RunInterruptedError):
        await first
