"""Where an edit meets what else steers a run: nothing that was taken is lost, and what was set stays."""

from __future__ import annotations

import asyncio

import pytest
from agent_framework_temporal import AlreadyRunningError, DurableWorkflow, SteeringStatus
from agent_framework_temporal.adapter.checkpoints.history import load_checkpoint
from agent_framework_temporal.adapter.client.edit import EditOrder, begin_from_edit
from agent_framework_temporal.adapter.framework.definition import define
from agent_framework_temporal.adapter.temporal.client import framed_client
from agent_framework_temporal.workflows.messages import EDIT_UPDATE, MESSAGE_UPDATE, CheckpointRef, EditUpdate, RunInput
from temporalio.client import Client, WorkflowUpdateFailedError

from tests.cli._commands import Commands
from tests.flows import Decision, Order, shop
from tests.support import unique, worker

_EDIT = {"state": {"orders": 5}}
_YES = {"approve-pen": Decision(approved=True)}


async def _until(durable: DurableWorkflow, thread_id: str, state: str) -> SteeringStatus:
    async with asyncio.timeout(60):
        while (status := await durable.steering(thread_id)).state != state:
            await asyncio.sleep(0.05)
    return status


async def test_messages_in_the_queue_are_not_lost(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue, when_waiting="reject")
        thread = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=thread)
        waits = {"message": {"item": "cup"}, "when_running": "enqueue", "message_id": "cup", "waits": True}
        await client.get_workflow_handle(thread.thread_id).execute_update(MESSAGE_UPDATE, waits)
        with pytest.raises(AlreadyRunningError, match="Messages wait for their turn"):
            await durable.edit(thread, edit=_EDIT)
        await durable.withdraw("cup", thread)
        await durable.edit(thread, edit=_EDIT)
        await durable.run(checkpoint=thread)
        assert (await durable.run(responses=_YES, checkpoint=thread)).get_outputs() == [
            "pen approved by nobody, order 5"
        ]


async def test_what_holds_a_run_is_not_forgotten(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=thread)
        await durable.pause(thread)
        with pytest.raises(AlreadyRunningError, match="to pause when answers come"):
            await durable.edit(thread, edit=_EDIT)
        await durable.continue_(thread)
        await durable.set_breakpoints(["*"], thread)
        await durable.edit(thread, edit=_EDIT)
        status = await _until(durable, thread.thread_id, "paused")
        assert status.breakpoints == ["*"]
        with pytest.raises(AlreadyRunningError, match="is paused, so it cannot be edited"):
            await durable.edit(thread, edit=_EDIT)
        await durable.set_breakpoints([], thread)
        await durable.continue_(thread)
        await durable.run(checkpoint=thread)
        assert (await durable.run(responses=_YES, checkpoint=thread)).get_outputs() == [
            "pen approved by nobody, order 5"
        ]


async def test_updates_that_come_with_an_edit(client: Client) -> None:
    """The run that takes an edit ends: whoever sends it something in the same moment is told so."""
    task_queue = unique("queue")
    durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
    thread = durable.checkpoint()
    async with worker(client, shop, task_queue=task_queue):
        await durable.run(Order(item="pen"), checkpoint=thread)
        info = (await durable.checkpoints(thread))[-1]
        framed = framed_client(client)
        ref = CheckpointRef(thread_id=info.thread_id, run_id=info.run_id, checkpoint_id=info.checkpoint_id)
        raw = await load_checkpoint(framed, ref)
    edited = RunInput(workflow_name="shop", mode="resume")
    await begin_from_edit(edited, framed, info.thread_id, await define(shop), EditOrder(_EDIT, "ada"), raw)
    assert edited.base_facts is not None
    assert edited.edited is not None
    update = EditUpdate(seen_checkpoint_id=info.checkpoint_id, facts=edited.base_facts, edited=edited.edited)
    run = framed.get_workflow_handle(info.thread_id)
    answer = {"request_id": "approve-pen", "response": {"approved": True}}
    sent = []
    for name, argument in (
        (EDIT_UPDATE, update.with_frame(edited.frame)),
        ("respond", answer),
        (MESSAGE_UPDATE, {"message": {"item": "cup"}, "when_running": "enqueue"}),
        ("pause", {}),
    ):
        sent.append(asyncio.create_task(run.execute_update(name, argument)))
        await asyncio.sleep(0.5)  # They wait for a worker, in this order.
    async with worker(client, shop, task_queue=task_queue):
        told = await asyncio.gather(*sent, return_exceptions=True)
        assert not isinstance(told[0], BaseException), told[0]
        for other in told[1:]:
            assert isinstance(other, WorkflowUpdateFailedError), other
            assert "goes on in another run, from an edited checkpoint" in str(other.cause)
        await durable.run(checkpoint=thread.thread_id)
        result = await durable.run(responses=_YES, checkpoint=thread.thread_id)
        assert result.get_outputs() == ["pen approved by nobody, order 5"]


async def test_resume_continues_a_run_that_is_held(client: Client) -> None:
    cli = Commands(client.service_client.config.target_host)
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue, breakpoints=["*"])
        thread = durable.checkpoint()
        call = asyncio.create_task(_run(durable, thread.thread_id))
        await _held(durable, thread.thread_id)
        said = (await cli("status", thread.thread_id, "--json")).json
        assert (said["state"], said["failure"], said["pause"]["kind"]) == ("paused", None, "breakpoint")
        await durable.set_breakpoints([], thread)
        await cli("resume", thread.thread_id)
        await call


async def _run(durable: DurableWorkflow, thread_id: str) -> None:
    await durable.run(Order(item="pen"), checkpoint=thread_id)


async def _held(durable: DurableWorkflow, thread_id: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await _until(durable, thread_id, "paused")
                return
            except Exception:  # It has not begun yet.
                await asyncio.sleep(0.05)
