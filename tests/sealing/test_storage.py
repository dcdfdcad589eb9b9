"""Sealing together with a codec of the user's and with external storage."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from agent_framework_temporal import (
    DurableWorkflow,
    FileStorageDriver,
    HistoryCheckpointStorage,
    sealing_data_converter,
)
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.converter import (
    DataConverter,
    ExternalStorage,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

from tests.limits._flows import Order, hoard
from tests.sealing._rogue import KEYS, results, rogue_worker
from tests.support import unique, worker

_LARGE = 3_000_000


class Compressing(PayloadCodec, WithSerializationContext):
    """A codec of a user's, which wants to know where it is."""

    seen: set[str] = set()  # noqa: RUF012 - of all copies

    def with_context(self, context: SerializationContext) -> Compressing:
        """Note the thread."""
        if isinstance(context, WorkflowSerializationContext):
            self.seen.add(context.workflow_id)
        return self

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Compress."""
        return [
            Payload(metadata={"encoding": b"x/zlib"}, data=zlib.compress(payload.SerializeToString(), 1))
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decompress."""
        return [Payload.FromString(zlib.decompress(payload.data)) for payload in payloads]


async def _stored(client: Client, folder: Path) -> Client:
    converter = DataConverter(
        payload_codec=Compressing(), external_storage=ExternalStorage(drivers=[FileStorageDriver(folder)])
    )
    address = client.service_client.config.target_host
    return await Client.connect(address, data_converter=sealing_data_converter(converter, keys=KEYS))


async def test_what_is_stored_outside_is_bound_as_well(
    client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    order = Order(state=_LARGE, message=_LARGE, output=_LARGE)
    stored, queue = await _stored(client, tmp_path), unique("queue")
    durable = DurableWorkflow(hoard, client=stored, task_queue=queue)
    first, second = durable.checkpoint(), durable.checkpoint()
    async with worker(stored, hoard, task_queue=queue, cache_bytes=0):
        result = await durable.run(order, checkpoint=first)
        assert [len(output) for output in result.get_outputs()] == [_LARGE, len(f"sink {_LARGE}")]
        assert first.thread_id in Compressing.seen
        storage = HistoryCheckpointStorage(stored, hoard, checkpoint=first)
        assert len(await storage.list_checkpoints(workflow_name="hoard")) == len(await durable.checkpoints(first))
    files = list(tmp_path.rglob("*"))
    assert files
    # A reference to what was sealed for one thread, as the result of another.
    (reference, *_) = [payload for payload in await results(client, first.thread_id) if payload.external_payloads]
    async with worker(stored, hoard, task_queue=queue, no_remote_activities=True):
        async with rogue_worker(client, queue, lambda number: reference) as rogue:
            running = asyncio.ensure_future(durable.run(order, checkpoint=second))
            await asyncio.wait_for(rogue.answered.wait(), 60)
        async with worker(await _stored(client, tmp_path), hoard, task_queue=queue):
            assert [len(output) for output in (await running).get_outputs()] == [_LARGE, len(f"sink {_LARGE}")]
    assert f"is sealed for supersteps of thread '{first.thread_id}'" in caplog.text
