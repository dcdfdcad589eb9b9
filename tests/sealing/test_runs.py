"""Sealed runs against the real server: no secret gets into history, and nothing unsealed is trusted."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler, response_handler
from agent_framework_temporal import Checkpoint, DurableWorkflow, NotSealedError, sealing_data_converter
from agent_framework_temporal.adapter.temporal.converter import FramedPayloadConverter
from agent_framework_temporal.workflows.messages import RunInput, Value
from pydantic import BaseModel
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
)
from temporalio.common import RawValue
from temporalio.converter import DataConverter

from tests.flows import Decision, Order, echo, shop
from tests.sealing._rogue import KEYS
from tests.support import unique, worker

_CANARY = "canary-51d2c9"


class Secret(BaseModel):
    """What must not be read by others."""

    text: str


class Keeper(Executor):
    """Puts the secret wherever it can: state, messages, outputs, requests, errors."""

    @handler
    async def keep(self, secret: Secret, ctx: WorkflowContext[Secret, str]) -> None:
        ctx.set_state("secret", secret)
        await ctx.yield_output(f"output {secret.text}")
        await ctx.request_info(secret, Secret, request_id="question")

    @response_handler
    async def answered(self, question: Secret, answer: Secret, ctx: WorkflowContext[Secret, str]) -> None:
        await ctx.yield_output(f"answered {answer.text}")
        raise ValueError(f"failed with {answer.text}")


def keeper() -> Workflow:
    return WorkflowBuilder(name="keeper", start_executor=Keeper(id="keeper")).build()


async def _raw(client: Client, thread_id: str) -> bytes:
    """Return everything the server tells of a thread: histories of all runs, and its description."""
    found = b""
    async for run in client.list_workflows(f"WorkflowId = '{thread_id}'"):
        handle = client.get_workflow_handle(thread_id, run_id=run.run_id)
        async for event in handle.fetch_history_events():
            found += event.SerializeToString()
        found += (await handle.describe()).raw_description.SerializeToString()
    return found


async def test_no_secret_gets_into_history(client: Client, sealing: Client) -> None:
    async with worker(sealing, keeper) as task_queue:
        durable = DurableWorkflow(
            keeper,
            client=sealing,
            task_queue=task_queue,
            max_attempts=2,
            retry_initial_interval=timedelta(milliseconds=20),
        )
        checkpoint = durable.checkpoint()
        events = [event async for event in durable.run_stream(Secret(text=_CANARY), checkpoint=checkpoint)]
        assert f"output {_CANARY}" in [event.data for event in events]
        (request,) = await durable.pending_requests(checkpoint)
        assert request.request == {"text": _CANARY}
        with pytest.raises(ValueError, match=f"failed with {_CANARY}"):
            await durable.run(responses={"question": Secret(text=_CANARY)}, checkpoint=checkpoint)
        with pytest.raises(ValueError, match=f"failed with {_CANARY}"):
            await durable.run(checkpoint=checkpoint)
        while True:  # The list of runs is a little behind.
            runs = [run async for run in client.list_workflows(f"WorkflowId = '{checkpoint.thread_id}'")]
            if len(runs) == 2 and all(run.status == WorkflowExecutionStatus.FAILED for run in runs):
                break
            await asyncio.sleep(0.05)
        raw = await _raw(client, checkpoint.thread_id)
        assert len(raw) > 10_000
        assert b"k1" in raw
        for form in (_CANARY.encode(), b"keep(self", b"Traceback", b"question", b"keeper.py"):
            assert form not in raw, form


async def test_thread_outlives_its_key(client: Client) -> None:
    """Rotation: what the old key sealed is opened by a worker that seals with the new one."""
    address = client.service_client.config.target_host
    old, new = {"k1": os.urandom(32)}, {"k2": os.urandom(32)}
    first = await Client.connect(address, data_converter=sealing_data_converter(keys=old))
    task_queue = unique("queue")
    async with worker(first, shop, task_queue=task_queue):
        durable = DurableWorkflow(shop, client=first, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
    second = await Client.connect(address, data_converter=sealing_data_converter(keys={**new, **old}))
    async with worker(second, shop, task_queue=task_queue):
        durable = DurableWorkflow(shop, client=second, task_queue=task_queue)
        handle = Checkpoint.from_json(checkpoint.to_json())
        await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=handle)
        result = await durable.run(Order(item="ink"), checkpoint=handle)
        assert len(result.get_request_info_events()) == 1
    # Without the old key there is no way to go on, and the error says which one is missing.
    third = await Client.connect(address, data_converter=sealing_data_converter(keys={"k3": os.urandom(32)}))
    with pytest.raises(NotSealedError, match="key 'k2' has sealed it, and cannot be opened"):
        await DurableWorkflow(shop, client=third, task_queue=task_queue).run(checkpoint=handle)


async def test_sealing_is_introduced_while_threads_are_open(client: Client, sealing: Client) -> None:
    address, task_queue = client.service_client.config.target_host, unique("queue")
    async with worker(client, shop, task_queue=task_queue):
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
    accepting = await Client.connect(address, data_converter=sealing_data_converter(keys=KEYS, accept_unsealed=True))
    async with worker(accepting, shop, task_queue=task_queue, cache_bytes=0):
        durable = DurableWorkflow(shop, client=accepting, task_queue=task_queue)
        handle = Checkpoint.from_json(checkpoint.to_json())
        result = await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=handle)
        assert result.get_outputs() == ["pen approved by nobody, order 1"]
        await durable.run(Order(item="ink"), checkpoint=handle)
        # What is sealed by now is bound as ever.
        payloads = [
            event.workflow_execution_started_event_attributes.input.payloads[0]
            async for event in client.get_workflow_handle(handle.thread_id).fetch_history_events()
            if event.HasField("workflow_execution_started_event_attributes")
        ]
        copied = await client.start_workflow(
            "AgentFrameworkWorkflow", RawValue(payloads[0]), id=unique("copy"), task_queue=task_queue
        )
        with pytest.raises(WorkflowFailureError):
            await accepting.get_workflow_handle(copied.id).result()
    async with worker(sealing, shop, task_queue=task_queue, cache_bytes=0):
        durable = DurableWorkflow(shop, client=sealing, task_queue=task_queue)
        result = await durable.run(
            responses={"approve-ink": Decision(approved=True)}, checkpoint=durable.checkpoint(handle.thread_id)
        )
        assert result.get_outputs() == ["ink approved by nobody, order 2"]


async def test_answers_of_people_need_no_key(client: Client, sealing: Client) -> None:
    async with worker(sealing, shop) as task_queue:
        durable = DurableWorkflow(shop, client=sealing, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run([Order(item="pen"), Order(item="ink")], checkpoint=checkpoint)
        stranger = await Client.connect(
            client.service_client.config.target_host, data_converter=sealing_data_converter(keys={"k9": os.urandom(32)})
        )
        await stranger.get_workflow_handle(checkpoint.thread_id).signal("respond", {"request_id": "approve-ink"})
        answer = {"request_id": "approve-pen", "response": {"approved": True, "by": "curl"}}
        await client.get_workflow_handle(checkpoint.thread_id).signal("respond", answer)
        result = await durable.run(responses={"approve-ink": Decision(approved=False)}, checkpoint=checkpoint)
        assert "ink refused by nobody, order 2" in result.get_outputs()


async def test_a_message_to_a_waiting_run_needs_a_key(client: Client, sealing: Client) -> None:
    """As a start does; else somebody without one could have a thread do what they like."""
    async with worker(sealing, shop) as task_queue:
        durable = DurableWorkflow(shop, client=sealing, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        stranger = client.get_workflow_handle(checkpoint.thread_id)
        history_length = (await stranger.describe()).history_length
        # The workflow's words are sealed, too, so that the stranger cannot read why.
        with pytest.raises(WorkflowUpdateFailedError):
            await stranger.execute_update("message", {"message": {"item": "ink", "price": 1}})
        assert (await stranger.describe()).history_length == history_length
        assert [each.request_id for each in await durable.pending_requests(checkpoint)] == ["approve-pen"]
        result = await durable.run(Order(item="cap"), checkpoint=checkpoint)
        assert [event.request_id for event in result.get_request_info_events()] == ["approve-cap"]


async def test_run_that_was_not_sealed_is_not_begun(client: Client, sealing: Client) -> None:
    async with worker(sealing, echo) as task_queue:
        plain = await Client.connect(
            client.service_client.config.target_host,
            data_converter=DataConverter(payload_converter_class=FramedPayloadConverter),
        )
        forged = RunInput(workflow_name="echo", mode="message", message=Value(value="one"))
        handle = await plain.start_workflow(
            "AgentFrameworkWorkflow", forged, id=unique("forged"), task_queue=task_queue
        )
        with pytest.raises(WorkflowFailureError) as caught:
            await sealing.get_workflow_handle(handle.id).result()
        assert "was not sealed" in str(caught.value.__cause__)
        events = [event async for event in handle.fetch_history_events()]
        # At once: started, one workflow task, failed.
        assert len(events) == 5
