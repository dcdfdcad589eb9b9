"""Steering where other features meet it: sealing, functional workflows, runs that are paused after a failure."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agent_framework import RunContext, workflow
from agent_framework_temporal import (
    DurableWorkflow,
    MessageRefusedError,
    RunInterruptedError,
    sealing_data_converter,
)
from temporalio.client import Client, WorkflowUpdateFailedError

from tests.flows import Decision, Order, shop
from tests.sealing._rogue import KEYS
from tests.steering._line import Folder, Work, held, line, queued, task_of
from tests.support import worker


@workflow
async def counted(text: str, ctx: RunContext) -> str:
    """Tell which messages the state has."""
    await held("counted", text)
    done = [*ctx.get_state("done", []), text]
    ctx.set_state("done", done)
    return ", ".join(done)


@pytest.mark.parametrize("kind", ["enqueue", "interrupt", "rollback"])
async def test_a_functional_workflow(client: Client, gates: Folder, kind: Any) -> None:
    async with worker(client, counted) as task_queue:
        durable = DurableWorkflow(counted, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        await durable.run("zero", checkpoint=thread)
        gates.hold("counted", "one")
        first = task_of(durable.run("one", checkpoint=thread))
        await gates.begun("counted", "one")
        second = task_of(durable.run("two", checkpoint=thread, when_running=kind))
        if kind == "enqueue":
            await queued(durable, thread.thread_id, 1)
            gates.let("counted", "one")
            assert (await first).get_outputs() == ["one"]
            assert (await second).get_outputs() == ["two"]
        else:
            with pytest.raises(RunInterruptedError):
                await first
            assert (await second).get_outputs() == ["two"]


async def test_sealed(client: Client, gates: Folder) -> None:
    address = client.service_client.config.target_host
    sealed = await Client.connect(address, data_converter=sealing_data_converter(keys=KEYS))
    async with worker(sealed, line) as task_queue:
        durable = DurableWorkflow(line, client=sealed, task_queue=task_queue, when_running="enqueue")
        thread = durable.checkpoint()
        gates.hold("first", "one")
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("first", "one")
        second = task_of(durable.run(Work(text="two"), checkpoint=thread))
        await queued(durable, thread.thread_id, 1)
        # A stranger, who has no key, is refused; nothing of it comes into the queue.
        stranger = client.get_workflow_handle(thread.thread_id)
        with pytest.raises(WorkflowUpdateFailedError):
            await stranger.execute_update("message", {"message": {"text": "bad"}, "when_running": "rollback"})
        await stranger.signal("message", {"message": {"text": "bad"}, "when_running": "rollback"})
        await durable.pause(thread)
        gates.let("first", "one")
        async with asyncio.timeout(60):
            while (await durable.steering(thread)).state != "paused":
                await asyncio.sleep(0.05)
        await durable.continue_(thread)
        assert (await first).get_outputs() == ["one: first one, middle one, last one"]
        assert (await second).get_outputs()[0].startswith("two: first one, middle one, last one, first two")


async def test_a_run_that_is_paused_after_a_failure(client: Client, gates: Folder) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue, max_attempts=1, pause_on_failure=True)
        thread = durable.checkpoint()
        with pytest.raises(ValueError, match="told to fail"):
            await durable.run(Work(text="fail"), checkpoint=thread)
        waiting = task_of(durable.run(Work(text="two"), checkpoint=thread.thread_id, when_running="enqueue"))
        await queued(durable, thread.thread_id, 1)
        other = DurableWorkflow(line, client=client, task_queue=task_queue)
        cutting = await other.run(Work(text="one"), checkpoint=thread.thread_id, when_running="interrupt")
        assert cutting.get_outputs() == ["one: first fail, first one, middle one, last one"]
        assert (
            (await waiting).get_outputs()[0].startswith("two: first fail, first one, middle one, last one, first two")
        )


async def test_one_that_waits_while_requests_do(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(
            shop, client=client, task_queue=task_queue, when_waiting="reject", when_running="enqueue"
        )
        thread = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=thread)
        second = task_of(durable.run(Order(item="ink"), checkpoint=thread.thread_id))
        await queued(durable, thread.thread_id, 1)
        assert [one.request_id for one in await durable.pending_requests(thread)] == ["approve-pen"]
        other = DurableWorkflow(shop, client=client, task_queue=task_queue)
        answer = {"approve-pen": Decision(approved=True, by="eve")}
        answered = await other.run(responses=answer, checkpoint=other.checkpoint(thread.thread_id))
        assert answered.get_outputs() == ["pen approved by eve, order 1"]
        assert [event.request_id for event in (await second).get_request_info_events()] == ["approve-ink"]


async def test_a_withdrawn_interrupt_lets_the_turn_go_on(client: Client, gates: Folder) -> None:
    """Withdrawn while the superstep it cancels has not heard of that yet."""
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        gates.hold("first", "one")
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("first", "one")
        handle = client.get_workflow_handle(thread.thread_id)
        await handle.signal("message", {"message": {"text": "x"}, "message_id": "x", "when_running": "interrupt"})
        await handle.signal("withdraw", {"message_id": "x"})
        gates.let("first", "one")
        assert (await asyncio.wait_for(first, 60)).get_outputs() == ["one: first one, middle one, last one"]


async def test_after_the_run_there_is_nothing_to_interrupt(client: Client) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue, when_running="rollback")
        thread = durable.checkpoint()
        await durable.run(Work(text="one"), checkpoint=thread)
        second = await durable.run(Work(text="two"), checkpoint=thread)
        assert second.get_outputs()[0].startswith("two: first one, middle one, last one, first two")
        with pytest.raises(ValueError, match="when_running"):
            await durable.run(Work(text="x"), checkpoint=thread, when_running="later")  # type: ignore[call-overload]


async def test_a_flood_of_messages_is_survived(client: Client, gates: Folder) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        gates.hold("first", "one")
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("first", "one")
        handle = client.get_workflow_handle(thread.thread_id)
        await asyncio.gather(*(handle.signal("message", {"message": {"text": "unfit"}}) for _ in range(600)))
        await queued(durable, thread.thread_id, 100)
        gates.let("first", "one")
        assert (await first).get_outputs() == ["one: first one, middle one, last one"]
        last = await durable.run(Work(text="last"), checkpoint=thread.thread_id, when_running="interrupt")
        assert last.get_outputs()[0].startswith("last: first one, middle one, last one, first last")


async def test_a_waiting_thread_goes_on_waiting_after_a_refused_message(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue, when_running="enqueue")
        thread = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=thread)
        run_id = thread.run_id
        with pytest.raises(MessageRefusedError):
            await durable.run("no order", checkpoint=thread)
        assert [one.request_id for one in await durable.pending_requests(thread)] == ["approve-pen"]
        answer = {"approve-pen": Decision(approved=True, by="eve")}
        result = await durable.run(responses=answer, checkpoint=thread)
        assert result.get_outputs() == ["pen approved by eve, order 1"]
        assert thread.run_id == run_id
