"""Sealed runs against the real server: no secret gets into history, and nothing unsealed is trusted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler, response_handler
from agent_framework_temporal import Checkpoint, DurableWorkflow, NotSealedError, sealed
from agent_framework_temporal.adapter.temporal.converter import FramedPayloadConverter
from agent_framework_temporal.workflows.messages import RunInput, Value
from pydantic import BaseModel
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.converter import DataConverter

from tests.flows import Decision, Order, echo, shop
from tests.support import unique, worker

_CANARY = "canary-51d2c9"
_KEYS = {"k1": os.urandom(32)}


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


@pytest.fixture
async def sealing(client: Client) -> AsyncIterator[Client]:
    """A client with keys, on the same server."""
    yield await Client.connect(client.service_client.config.target_host, data_converter=sealed(keys=_KEYS))


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
    first = await Client.connect(address, data_converter=sealed(keys=old))
    task_queue = unique("queue")
    async with worker(first, shop, task_queue=task_queue):
        durable = DurableWorkflow(shop, client=first, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
    second = await Client.connect(address, data_converter=sealed(keys={**new, **old}))
    async with worker(second, shop, task_queue=task_queue):
        durable = DurableWorkflow(shop, client=second, task_queue=task_queue)
        handle = Checkpoint.from_json(checkpoint.to_json())
        await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=handle)
        result = await durable.run(Order(item="ink"), checkpoint=handle)
        assert len(result.get_request_info_events()) == 1
    # Without the old key there is no way to go on, and the error says which one is missing.
    third = await Client.connect(address, data_converter=sealed(keys={"k3": os.urandom(32)}))
    with pytest.raises(NotSealedError, match="key 'k2' has sealed it, and cannot be opened"):
        await DurableWorkflow(shop, client=third, task_queue=task_queue).run(checkpoint=handle)


async def test_answers_of_people_need_no_key(client: Client, sealing: Client) -> None:
    async with worker(sealing, shop) as task_queue:
        durable = DurableWorkflow(shop, client=sealing, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run([Order(item="pen"), Order(item="ink")], checkpoint=checkpoint)
        stranger = await Client.connect(
            client.service_client.config.target_host, data_converter=sealed(keys={"k9": os.urandom(32)})
        )
        await stranger.get_workflow_handle(checkpoint.thread_id).signal("respond", {"request_id": "approve-ink"})
        answer = {"request_id": "approve-pen", "response": {"approved": True, "by": "curl"}}
        await client.get_workflow_handle(checkpoint.thread_id).signal("respond", answer)
        result = await durable.run(responses={"approve-ink": Decision(approved=False)}, checkpoint=checkpoint)
        assert "ink refused by nobody, order 2" in result.get_outputs()


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
        refused: Any = None
        while refused is None:
            async for event in handle.fetch_history_events():
                if event.HasField("workflow_task_failed_event_attributes"):
                    refused = event.workflow_task_failed_event_attributes.failure
                assert not event.HasField("activity_task_scheduled_event_attributes")
            await asyncio.sleep(0.05)
        error = await sealing.data_converter.decode_failure(refused)
        assert "was not sealed" in str(error) or "was not sealed" in str(error.__cause__)
        await handle.terminate()
