"""What the tests of mirrors share: waiting for a mirror, and a thread whose history is gone."""

from __future__ import annotations

import asyncio
import time

from agent_framework import CheckpointStorage
from agent_framework_temporal import Checkpoint, DurableWorkflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode


async def mirrored(durable: DurableWorkflow, checkpoint: Checkpoint | None, storage: CheckpointStorage) -> list[str]:
    """Wait until a storage holds every checkpoint of a thread; return their ids as the storage lists them."""
    expected = [info.checkpoint_id for info in await durable.checkpoints(checkpoint)]
    until = time.monotonic() + 15
    while True:
        listed = await storage.list_checkpoint_ids(workflow_name=durable.name)
        mine = [checkpoint_id for checkpoint_id in listed if checkpoint_id in expected]
        if set(mine) == set(expected):
            return mine
        assert time.monotonic() < until, f"{len(mine)} of {len(expected)} are mirrored"
        await asyncio.sleep(0.05)


async def forget(client: Client, thread_id: str) -> None:
    """Delete every run of a thread, as retention does."""
    while True:
        try:
            description = await client.get_workflow_handle(thread_id).describe()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return
        await client.workflow_service.delete_workflow_execution(
            DeleteWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=thread_id, run_id=description.run_id),
            )
        )
        while await _exists(client, thread_id, description.run_id):
            await asyncio.sleep(0.05)


async def _exists(client: Client, thread_id: str, run_id: str) -> bool:
    try:
        await client.get_workflow_handle(thread_id, run_id=run_id).describe()
    except RPCError:
        return False
    return True
