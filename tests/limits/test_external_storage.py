"""What is too large for Temporal goes to external storage: in a folder, and in S3."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aioboto3
import pytest
from agent_framework_temporal import (
    CheckpointCorruptedError,
    DurableWorkflow,
    FileStorageDriver,
    HistoryCheckpointStorage,
    PayloadError,
)
from moto.server import ThreadedMotoServer
from temporalio.client import Client
from temporalio.contrib.aws.s3driver import S3StorageDriver
from temporalio.contrib.aws.s3driver.aioboto3 import new_aioboto3_client
from temporalio.converter import DataConverter, ExternalStorage, StorageDriver

from tests.limits._flows import Order, hoard, still_usable
from tests.limits.test_too_large import attempts
from tests.support import worker

_LARGE = 4_000_000


def connected(client: Client, *drivers: StorageDriver, **options: Any) -> Client:
    """Return a client of the same server with external storage."""
    config = client.config()
    config["data_converter"] = dataclasses.replace(
        DataConverter.default, external_storage=ExternalStorage(drivers=drivers, **options)
    )
    return Client(**config)


@pytest.fixture(scope="module")
async def s3() -> AsyncIterator[Any]:
    """Start an S3 server on a free port, and return a client of it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    session = aioboto3.Session("test", "test", region_name="us-east-1")
    async with AsyncExitStack() as stack:
        stack.callback(server.stop)
        found = await stack.enter_async_context(session.client("s3", endpoint_url=f"http://{host}:{port}"))
        await found.create_bucket(Bucket="threads")
        yield found


@pytest.fixture(params=["folder", "s3"])
def stored(request: pytest.FixtureRequest, client: Client, tmp_path: Path) -> Client:
    """Return a client with external storage of each kind."""
    if request.param == "folder":
        return connected(client, FileStorageDriver(tmp_path / "payloads"))
    return connected(client, S3StorageDriver(new_aioboto3_client(request.getfixturevalue("s3")), "threads"))


@pytest.mark.parametrize("cache_bytes", [0, 10_000_000], ids=["uncached", "cached"])
async def test_a_large_checkpoint(cache_bytes: int, stored: Client) -> None:
    async with worker(stored, hoard, cache_bytes=cache_bytes) as task_queue:
        durable = DurableWorkflow(hoard, client=stored, task_queue=task_queue, supersteps_per_run=1)
        checkpoint = durable.checkpoint()
        result = await durable.run(Order(state=_LARGE, message=_LARGE, output=_LARGE), checkpoint=checkpoint)
        assert [len(output) for output in result.get_outputs()] == [_LARGE, len(f"sink {_LARGE}")]
        assert (await durable.run(Order(), checkpoint=checkpoint)).get_outputs() == ["order 2", "sink 0"]
        description = await stored.get_workflow_handle(checkpoint.thread_id).describe()
        assert description.raw_description.workflow_execution_info.history_size_bytes < 100_000
        # Read without a worker, and from another thread.
        infos = await durable.checkpoints(checkpoint)
        assert max(info.history_bytes for info in infos) > _LARGE // 2
        storage = HistoryCheckpointStorage(stored, hoard, checkpoint=checkpoint)
        assert len(await storage.list_checkpoints(workflow_name="hoard")) == len(infos)
        forked = durable.checkpoint()
        result = await durable.run(checkpoint_id=infos[1].checkpoint_id, checkpoint=forked)
        assert result.get_outputs() == [f"sink {_LARGE}"]


async def test_a_large_message_and_failure(stored: Client) -> None:
    async with worker(stored, hoard) as task_queue:
        durable = DurableWorkflow(hoard, client=stored, task_queue=task_queue, max_attempts=1)
        checkpoint = durable.checkpoint()
        await durable.run(Order(), checkpoint=checkpoint)
        with pytest.raises(ValueError, match="told to fail"):
            await durable.run(Order(output=2_000_000, outputs=2, fail=True), checkpoint=checkpoint)
        await still_usable(stored, durable, checkpoint, 2)
        await durable.run(Order(request=100_000), checkpoint=checkpoint)
        padded = {"large": "x" * 300_000}
        assert (await durable.run(responses=padded, checkpoint=checkpoint)).get_outputs() == ["100000 300000"]
        large = DurableWorkflow(hoard, client=stored, task_queue=task_queue)
        result = await large.run(Order(), function_invocation_kwargs={"data": "x" * 3_000_000})
        assert result.get_outputs() == ["order 1", "sink 0"]


async def test_what_the_storage_refuses_fails_once(client: Client, tmp_path: Path) -> None:
    stored = connected(client, FileStorageDriver(tmp_path, max_payload_size=3_000_000))
    async with worker(stored, hoard) as task_queue:
        durable = DurableWorkflow(hoard, client=stored, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(state=2_000_000), checkpoint=checkpoint)
        with pytest.raises(PayloadError, match=r"storage '.*' refuses it .*state key 'blob' \(5,000,\d+ bytes"):
            await durable.run(Order(state=5_000_000), checkpoint=checkpoint)
        assert await attempts(stored, checkpoint.thread_id) == [1]
        await still_usable(stored, durable, checkpoint, 2)


async def test_a_threshold_above_the_limit_stores_nothing(client: Client, tmp_path: Path) -> None:
    stored = connected(client, FileStorageDriver(tmp_path), payload_size_threshold=10_000_000)
    async with worker(stored, hoard) as task_queue:
        durable = DurableWorkflow(hoard, client=stored, task_queue=task_queue)
        with pytest.raises(PayloadError, match="that fit in a Temporal payload"):
            await durable.run(Order(state=_LARGE))


async def test_files_that_are_gone_or_altered(client: Client, tmp_path: Path) -> None:
    stored = connected(client, FileStorageDriver(tmp_path))
    async with worker(stored, hoard, cache_bytes=0) as task_queue:
        durable = DurableWorkflow(hoard, client=stored, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(state=_LARGE), checkpoint=checkpoint)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        kept = {path: path.read_bytes() for path in files}
        assert all(len(path.name) == 64 for path in files)
        storage = HistoryCheckpointStorage(stored, hoard)
        for path in files:
            path.write_bytes(b"\0" * 100)
        with pytest.raises(CheckpointCorruptedError, match="does not match its digest"):
            await storage.load(checkpoint.checkpoint_id or "")
        for path in files:
            os.unlink(path)
        with pytest.raises(CheckpointCorruptedError, match="point this process at the folder"):
            await storage.load(checkpoint.checkpoint_id or "")
        for path, data in kept.items():
            path.write_bytes(data)
        assert (await storage.load(checkpoint.checkpoint_id or "")).iteration_count == 2
