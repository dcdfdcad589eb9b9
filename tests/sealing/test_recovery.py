"""A thread that met a rogue goes on from its last good checkpoint, whatever the rogue has left in its history."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from agent_framework_temporal import (
    Checkpoint,
    DurableWorkflow,
    HistoryCheckpointStorage,
    NotSealedError,
    RunFailedError,
)
from agent_framework_temporal.adapter.checkpoints.history import of_superstep
from agent_framework_temporal.workflows import limits
from agent_framework_temporal.workflows.messages import (
    SUPERSTEP_ACTIVITY,
    CheckpointRef,
    RunInput,
    RunResult,
    SuperstepInput,
    SuperstepResult,
)
from google.protobuf.duration_pb2 import Duration
from temporalio.api.command.v1 import (
    Command,
    CompleteWorkflowExecutionCommandAttributes,
    ContinueAsNewWorkflowExecutionCommandAttributes,
    ScheduleActivityTaskCommandAttributes,
)
from temporalio.api.common.v1 import ActivityType, Payload, Payloads, WorkflowType
from temporalio.api.enums.v1 import CommandType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.client import Client, WorkflowExecutionStatus

from tests.flows import Decision, Order, shop
from tests.sealing._rogue import KEYS, connect, inputs, plain, rogue_worker, take_workflow_task
from tests.sealing.test_rogue_worker import forged
from tests.support import unique, worker

RUNNING = WorkflowExecutionStatus.RUNNING
_APPROVED = {"approve-pen": Decision(approved=True, by="ada")}


async def _waiting(sealing: Client, queue: str, **options: Any) -> tuple[DurableWorkflow, Checkpoint]:
    """Return a thread that waits for an answer, with no worker."""
    durable = DurableWorkflow(shop, client=sealing, task_queue=queue, **options)
    checkpoint = durable.checkpoint()
    async with worker(sealing, shop, task_queue=queue):
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
    return durable, checkpoint


async def test_a_run_that_meets_nobody_else_fails_and_is_resumed(
    client: Client, sealing: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_REFUSED_OUTCOMES", 3)
    queue = unique("queue")
    durable, checkpoint = await _waiting(sealing, queue)
    good = checkpoint.checkpoint_id
    async with (
        worker(sealing, shop, task_queue=queue, no_remote_activities=True),
        rogue_worker(client, queue, lambda number: forged()) as rogue,
    ):
        with pytest.raises(NotSealedError, match="The outcome of a superstep is refused: A payload that should"):
            await durable.run(responses=_APPROVED, checkpoint=checkpoint)
        assert len(rogue.tasks) == 3
    assert checkpoint.checkpoint_id == good
    async with worker(sealing, shop, task_queue=queue):
        # The answer was lost with its run; the request waits again.
        result = await durable.run(responses=_APPROVED, checkpoint=checkpoint)
        assert result.get_outputs() == ["pen approved by ada, order 1"]


async def test_one_that_is_paused_for_it_tells_its_caller(
    client: Client, sealing: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_REFUSED_OUTCOMES", 5)  # The last two after a pause: the caller waits for them.
    queue = unique("queue")
    durable, checkpoint = await _waiting(sealing, queue, pause_on_failure=True)
    async with (
        worker(sealing, shop, task_queue=queue, no_remote_activities=True),
        rogue_worker(client, queue, lambda number: forged()) as rogue,
    ):
        with pytest.raises(RunFailedError, match="its outcome is refused: A payload that should"):
            await durable.run(responses=_APPROVED, checkpoint=checkpoint)
        assert len(rogue.tasks) == 5
    async with worker(sealing, shop, task_queue=queue):
        await durable.retry(checkpoint)
        await durable.run(checkpoint=checkpoint)
        # As where it fails: the answer was lost with the superstep; the request waits again.
        result = await durable.run(responses=_APPROVED, checkpoint=checkpoint)
        assert result.get_outputs() == ["pen approved by ada, order 1"]


async def sealed_by_a_stranger(client: Client, thread_id: str) -> Payload:
    """Return a result for a thread, sealed with a key that only a stranger has."""
    stranger = await connect(client, k9=b"9" * 32)
    converter = stranger.data_converter.with_context(of_superstep(stranger, thread_id))
    (payload,) = await converter.encode([SuperstepResult(state="idle")])
    return payload


@pytest.mark.parametrize("kind", ["unsealed", "of a key nobody has"])
@pytest.mark.parametrize("seen", [True, False], ids=["refused", "not seen by the workflow"])
async def test_terminate_and_resume(
    kind: str, seen: bool, client: Client, sealing: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """As a person does who sees the warnings, with the rogue's result the last thing in the run's history."""
    queue = unique("queue")
    durable, checkpoint = await _waiting(sealing, queue)
    stranger = await sealed_by_a_stranger(client, checkpoint.thread_id)
    payload = forged() if kind == "unsealed" else stranger
    handle = client.get_workflow_handle(checkpoint.thread_id)
    async with AsyncExitStack() as stack:
        async with worker(sealing, shop, task_queue=queue, no_remote_activities=True):
            await handle.signal("respond", {"request_id": "approve-pen", "response": {"approved": True}})
            async with asyncio.timeout(50):
                while len(await inputs(client, checkpoint.thread_id)) < 2:
                    await asyncio.sleep(0.1)
            if seen:
                rogue = await stack.enter_async_context(rogue_worker(client, queue, lambda number: payload))
                await asyncio.wait_for(rogue.answered.wait(), 50)
        if not seen:
            rogue = await stack.enter_async_context(rogue_worker(client, queue, lambda number: payload))
            await asyncio.wait_for(rogue.answered.wait(), 50)
        await handle.terminate()
    async with worker(sealing, shop, task_queue=queue, cache_bytes=0):
        resumed = Checkpoint.from_json(checkpoint.to_json())
        result = await durable.run(checkpoint=resumed)
        assert [event.request_id for event in result.get_request_info_events()] == ["approve-pen"]
        result = await durable.run(responses=_APPROVED, checkpoint=resumed)
        assert result.get_outputs() == ["pen approved by ada, order 1"]
        found = await durable.checkpoints(resumed)
        storage = HistoryCheckpointStorage(sealing, shop, checkpoint=resumed)
        assert {each.checkpoint_id for each in found} == set(await storage.list_checkpoint_ids(workflow_name="shop"))
    texts = [text for text in caplog.messages if "is ignored" in text]
    assert texts
    assert len(texts) == len(set(texts))


async def test_a_stranger_s_key_is_refused_as_one_that_is_not_known(client: Client, sealing: Client) -> None:
    """The run goes on, and those who follow it see it go on."""
    queue = unique("queue")
    durable, checkpoint = await _waiting(sealing, queue)
    payload = await sealed_by_a_stranger(client, checkpoint.thread_id)
    async with worker(sealing, shop, task_queue=queue, no_remote_activities=True):
        async with rogue_worker(client, queue, lambda number: payload) as rogue:
            running = asyncio.ensure_future(durable.run(responses=_APPROVED, checkpoint=checkpoint))
            async with asyncio.timeout(50):
                await rogue.answered.wait()
        async with worker(await connect(client), shop, task_queue=queue):
            assert (await running).get_outputs() == ["pen approved by ada, order 1"]
            assert len(await durable.checkpoints(checkpoint)) == 4


async def test_who_lacks_a_key_is_told_of_it(client: Client, sealing: Client) -> None:
    """It does not take what others have committed for a rogue's."""
    queue = unique("queue")
    both = await connect(client, k2=b"2" * 32, **KEYS)
    durable = DurableWorkflow(shop, client=sealing, task_queue=queue)
    checkpoint = durable.checkpoint()
    async with worker(both, shop, task_queue=queue):
        with pytest.raises(NotSealedError, match="key 'k2' has sealed it, and cannot be opened"):
            await durable.run(Order(item="pen"), checkpoint=checkpoint)
        with pytest.raises(NotSealedError, match="key 'k2' has sealed it, and cannot be opened"):
            await durable.checkpoints(checkpoint)
        await client.get_workflow_handle(checkpoint.thread_id).terminate()
        with pytest.raises(NotSealedError, match="key 'k2' has sealed it, and cannot be opened"):
            await durable.run(checkpoint=checkpoint)


@pytest.mark.parametrize("end", ["completed", "continued"])
async def test_a_run_that_somebody_without_a_key_has_ended(end: str, client: Client, sealing: Client) -> None:
    """Who polls workflow tasks can end runs. The thread goes on from what its own workers have committed."""
    queue = unique("queue")
    durable, checkpoint = await _waiting(sealing, queue)
    base = CheckpointRef(thread_id=checkpoint.thread_id, run_id=checkpoint.run_id or "", checkpoint_id="forged")
    if end == "completed":
        forged_result = RunResult(checkpoint=base, graph_hash="forged", next_offset=7, outputs=["pay me"])
        command = Command(
            command_type=CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
            complete_workflow_execution_command_attributes=CompleteWorkflowExecutionCommandAttributes(
                result=Payloads(payloads=[plain(forged_result)])
            ),
        )
    else:
        start = RunInput(workflow_name="shop", mode="resume", base=base, graph_hash="forged")
        command = Command(
            command_type=CommandType.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION,
            continue_as_new_workflow_execution_command_attributes=ContinueAsNewWorkflowExecutionCommandAttributes(
                workflow_type=WorkflowType(name="AgentFrameworkWorkflow"),
                task_queue=TaskQueue(name=queue),
                input=Payloads(payloads=[plain(start)]),
            ),
        )
    await client.get_workflow_handle(checkpoint.thread_id).signal("any")
    await take_workflow_task(client, queue, command)
    async with worker(sealing, shop, task_queue=queue, cache_bytes=0):
        if end == "continued":
            async with asyncio.timeout(50):
                while (await client.get_workflow_handle(checkpoint.thread_id).describe()).status == RUNNING:
                    await asyncio.sleep(0.1)
        handle = durable.checkpoint(checkpoint.thread_id)
        resumed = await durable.run(checkpoint=handle)
        assert [event.request_id for event in resumed.get_request_info_events()] == ["approve-pen"]
        result = await durable.run(responses=_APPROVED, checkpoint=handle)
        assert result.get_outputs() == ["pen approved by ada, order 1"]


@pytest.mark.parametrize("kind", ["unsealed", "of another thread"])
async def test_a_superstep_that_somebody_without_a_key_has_scheduled(
    kind: str, client: Client, sealing: Client
) -> None:
    """Who polls workflow tasks can. A worker refuses its input at once, and the workflow schedules its own."""
    queue, others = unique("queue"), unique("queue")
    _, other = await _waiting(sealing, others)
    payload = plain(SuperstepInput(workflow_name="shop", mode="message", superstep_id="any"))
    if kind != "unsealed":
        (payload, *_) = await inputs(client, other.thread_id)
    durable = DurableWorkflow(shop, client=sealing, task_queue=queue)
    checkpoint = durable.checkpoint()
    running = asyncio.ensure_future(durable.run(Order(item="pen"), checkpoint=checkpoint))
    attributes = ScheduleActivityTaskCommandAttributes(
        activity_id="1",
        activity_type=ActivityType(name=SUPERSTEP_ACTIVITY),
        task_queue=TaskQueue(name=queue),
        input=Payloads(payloads=[payload]),
        start_to_close_timeout=Duration(seconds=60),
    )
    command = Command(
        command_type=CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
        schedule_activity_task_command_attributes=attributes,
    )
    await take_workflow_task(client, queue, command)
    async with worker(sealing, shop, task_queue=queue):
        assert len((await running).get_request_info_events()) == 1
        result = await durable.run(responses=_APPROVED, checkpoint=checkpoint)
        assert result.get_outputs() == ["pen approved by ada, order 1"]
