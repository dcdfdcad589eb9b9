"""A storage given with the run: copied as the stream passes, and never in the run's way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from agent_framework import FileCheckpointStorage
from agent_framework_temporal import DurableWorkflow, PayloadError, ThreadNotFoundError
from agent_framework_temporal.adapter.checkpoints import mirror as _mirror
from agent_framework_temporal.adapter.client import stream_mirror as _stream_mirror
from temporalio.client import Client

from tests.flows import chain, echo
from tests.mirrors._storages import SQLiteCheckpointStorage, Unreliable
from tests.support import unique, worker


async def test_it_holds_what_the_caller_has_seen(client: Client, tmp_path: Path) -> None:
    storage = FileCheckpointStorage(tmp_path)
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        async for event in durable.run_stream("a", checkpoint=checkpoint, checkpoint_storage=storage):
            if event.type == "superstep_completed":
                latest = await storage.get_latest(workflow_name="chain")
                assert latest is not None
                assert latest.checkpoint_id == checkpoint.checkpoint_id
        ids = [info.checkpoint_id for info in await durable.checkpoints(checkpoint)]
        assert set(await storage.list_checkpoint_ids(workflow_name="chain")) == set(ids)


async def test_one_that_is_down(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_stream_mirror, "FIRST_PAUSE", 0.01)
    storage = Unreliable(SQLiteCheckpointStorage(tmp_path / "checkpoints.db"))
    storage.down = True
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
        result = await durable.run("a", checkpoint_storage=storage)
        assert result.get_outputs() == ["a>first>second>third done"]
        assert caplog.text.count("fails (ConnectionError: the storage is down)") == 1
        storage.down = False
        ids = [info.checkpoint_id for info in await durable.checkpoints()]
        assert await durable.copy_checkpoints(storage) == ids
        async for event in durable.run_stream("b", checkpoint_storage=storage):
            if event.type == "superstep_started":
                storage.down = event.iteration == 2
                await asyncio.sleep(0.05)
        assert storage.saves == [info.checkpoint_id for info in await durable.checkpoints()]


async def test_one_that_hangs(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mirror, "CALL_SECONDS", 0.3)
    storage = Unreliable(SQLiteCheckpointStorage(tmp_path / "checkpoints.db"))
    storage.hanging = True
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
        async with asyncio.timeout(5):
            result = await durable.run("a", checkpoint_storage=storage)
        assert result.get_outputs() == ["a>first>second>third done"]
    storage.hanging = False


async def test_what_cannot_be_copied(client: Client, tmp_path: Path) -> None:
    storage = SQLiteCheckpointStorage(tmp_path / "checkpoints.db")
    named = DurableWorkflow("echo", client=client, task_queue="none")
    with pytest.raises(PayloadError, match="from the workflow's factory"):
        await named.copy_checkpoints(storage, unique("thread"))
    durable = DurableWorkflow(echo, client=client, task_queue="none")
    with pytest.raises(ThreadNotFoundError, match="It has not started"):
        await durable.copy_checkpoints(storage)
