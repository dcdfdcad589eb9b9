"""`temporal workflow delete`: every call says that the thread is not there, and so does a stream in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage
from agent_framework_temporal import Checkpoint, DurableWorkflow, ThreadNotFoundError
from temporalio.client import Client
from temporalio.service import RPCError

from tests.flows import Decision, Order, chain, shop
from tests.operators.conftest import Temporal
from tests.support import worker

_CALLS: dict[str, Callable[[DurableWorkflow, Checkpoint], Awaitable[Any]]] = {
    "message": lambda durable, checkpoint: durable.run(Order(item="ink"), checkpoint=checkpoint),
    "responses": lambda durable, checkpoint: durable.run(
        responses={"approve-pen": Decision(approved=True)}, checkpoint=checkpoint
    ),
    "follow": lambda durable, checkpoint: durable.run(checkpoint=checkpoint),
    "after": lambda durable, checkpoint: durable.run_stream(checkpoint=checkpoint, after=-1).get_final_response(),
    "cancel_pending_requests": lambda durable, checkpoint: durable.cancel_pending_requests(
        ["approve-pen"], checkpoint=checkpoint
    ),
    "pending_requests": lambda durable, checkpoint: durable.pending_requests(checkpoint),
    "checkpoints": lambda durable, checkpoint: durable.checkpoints(checkpoint),
    "copy_checkpoints": lambda durable, checkpoint: durable.copy_checkpoints(InMemoryCheckpointStorage(), checkpoint),
    "cancel": lambda durable, checkpoint: durable.cancel(checkpoint),
    "retry": lambda durable, checkpoint: durable.retry(checkpoint),
}


async def _delete(client: Client, temporal: Temporal, thread_id: str) -> None:
    await temporal("workflow", "delete", "--yes", "-w", thread_id)
    with pytest.raises(RPCError, match="not found"):
        while True:
            await client.get_workflow_handle(thread_id).describe()
            await asyncio.sleep(0.1)


async def test_every_call(client: Client, temporal: Temporal) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        await _delete(client, temporal, checkpoint.thread_id)
        for call in _CALLS.values():
            with pytest.raises(ThreadNotFoundError):
                await call(durable, Checkpoint.from_json(checkpoint.to_json()))


@pytest.mark.parametrize("stream", [True, False])
async def test_stream_in_the_middle(
    client: Client, temporal: Temporal, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTS_DELAY", "1.5")
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()

        async def follow() -> None:
            if stream:
                async for _ in durable.run_stream("a", checkpoint=checkpoint):
                    pass
            else:
                await durable.run("a", checkpoint=checkpoint)

        following = asyncio.ensure_future(follow())
        while checkpoint.run_id is None:
            await asyncio.sleep(0.02)
        await _delete(client, temporal, checkpoint.thread_id)
        with pytest.raises(ThreadNotFoundError, match="was deleted"):
            await following
