"""Threads whose history is past its retention go on from a mirror."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from agent_framework import CheckpointStorage, FileCheckpointStorage, Workflow, WorkflowBuilder
from agent_framework_temporal import (
    CheckpointNotFoundError,
    DurableWorkflow,
    NoWorkerError,
    ThreadNotFoundError,
)
from temporalio.client import Client

from tests.flows import Decision, Order, Shop, shop
from tests.mirrors._storages import SQLiteCheckpointStorage
from tests.mirrors._waiting import forget, mirrored
from tests.support import unique, worker

_TYPES = ["tests.flows:Order", "tests.flows:Decision"]


@pytest.mark.parametrize("kind", ["file", "sqlite"])
@pytest.mark.parametrize("same_thread", [True, False], ids=["same-thread", "new-thread"])
async def test_it_goes_on_from_the_mirror(kind: str, same_thread: bool, client: Client, tmp_path: Path) -> None:
    storage: CheckpointStorage = SQLiteCheckpointStorage(tmp_path / "checkpoints.db")
    if kind == "file":
        storage = FileCheckpointStorage(tmp_path, allowed_checkpoint_types=_TYPES)
    async with worker(client, shop, mirrors={"archive": storage}, cache_bytes=0) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue, mirror="archive")
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        await mirrored(durable, checkpoint, storage)
        last = checkpoint.checkpoint_id or ""
        await forget(client, checkpoint.thread_id)
        with pytest.raises(ThreadNotFoundError, match="Start it again from a mirror"):
            await durable.run(Order(item="ink"), checkpoint=checkpoint)
        with pytest.raises(CheckpointNotFoundError, match="Begin from a mirror of it with"):
            await durable.run(checkpoint_id=last, checkpoint=checkpoint)
        thread = checkpoint if same_thread else durable.checkpoint()
        resumed = await durable.run(checkpoint_id=last, checkpoint_storage=storage, checkpoint=thread)
        assert [event.request_id for event in resumed.get_request_info_events()] == ["approve-pen"]
        result = await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=thread)
        assert result.get_outputs() == ["pen approved by nobody, order 1"]
        await durable.run(Order(item="ink"), checkpoint=thread)
        result = await durable.run(responses={"approve-ink": Decision(approved=False)}, checkpoint=thread)
        assert result.get_outputs() == ["ink refused by nobody, order 2"]
        # The mirror has one unbroken line over both lives of the thread.
        await mirrored(durable, thread, storage)
        found = {each.checkpoint_id: each for each in await storage.list_checkpoints(workflow_name="shop")}
        line, current = [], thread.checkpoint_id
        while current is not None:
            line.append(current)
            current = found[current].previous_checkpoint_id
        assert last in line
        assert len(line) == len(found)


async def test_the_storage_it_was_built_with_needs_no_naming(client: Client, tmp_path: Path) -> None:
    def built() -> Workflow:
        storage = FileCheckpointStorage(tmp_path, allowed_checkpoint_types=_TYPES)
        return WorkflowBuilder(name="shop", start_executor=Shop(id="shop"), checkpoint_storage=storage).build()

    async with worker(client, built, cache_bytes=0) as task_queue:
        durable = DurableWorkflow(built, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        await mirrored(durable, checkpoint, FileCheckpointStorage(tmp_path, allowed_checkpoint_types=_TYPES))
        last = checkpoint.checkpoint_id
        await forget(client, checkpoint.thread_id)
        answer = {"approve-pen": Decision(approved=True)}
        result = await durable.run(responses=answer, checkpoint_id=last, checkpoint=checkpoint)
        assert result.get_outputs() == ["pen approved by nobody, order 1"]
        with pytest.raises(CheckpointNotFoundError):
            await durable.run(checkpoint_id="no-such-checkpoint", checkpoint=durable.checkpoint())


async def test_a_run_that_ended_before_it_had_begun(client: Client, tmp_path: Path) -> None:
    """Its checkpoint lies in its own input: the next run finds it there."""
    storage = SQLiteCheckpointStorage(tmp_path / "checkpoints.db")
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint, checkpoint_storage=storage)
    lonely = DurableWorkflow(shop, client=client, task_queue=unique("none"), worker_timeout=timedelta(seconds=1))
    thread = lonely.checkpoint()
    with pytest.raises(NoWorkerError):
        await lonely.run(checkpoint_id=checkpoint.checkpoint_id, checkpoint_storage=storage, checkpoint=thread)
    await client.get_workflow_handle(thread.thread_id).terminate()
    async with worker(client, shop, task_queue=task_queue, cache_bytes=0):
        result = await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=thread)
        assert result.get_outputs() == ["pen approved by nobody, order 1"]
