"""What a worker makes of payloads it cannot read, and that only our workflow's tasks are read so."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from typing import Any

import pytest
from agent_framework_temporal.adapter.temporal import reading as _reading
from agent_framework_temporal.adapter.temporal.reading import (
    REFERENCE_ENCODING,
    REFERENCE_MARKER,
    REFERENCE_MESSAGE,
    ReadingDataConverter,
    reading,
)
from agent_framework_temporal.workflows.messages import WORKFLOW_TYPE
from agent_framework_temporal.workflows.unreadable import STORED, UNREADABLE
from temporalio.api.common.v1 import Payload
from temporalio.bridge import worker as bridge_worker
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    ExternalStorage,
    PayloadCodec,
    StorageDriver,
    StorageDriverClaim,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
    WorkflowSerializationContext,
    _extstore,
)
from temporalio.worker import _workflow

_PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"plain"')
_LEGACY = Payload(metadata={"encoding": REFERENCE_ENCODING}, data=b"{}")


class _Memory(StorageDriver):
    """Keeps payloads in memory; what is not there it looks for as long as it is told."""

    def __init__(self, delay: float = 0.0) -> None:
        self._kept: list[Payload] = []
        self._delay = delay
        self.asked = 0

    def name(self) -> str:
        return "memory"

    async def store(self, context: Any, payloads: Sequence[Payload]) -> list[StorageDriverClaim]:
        self._kept += payloads
        return [StorageDriverClaim({"index": str(len(self._kept) - 1)})]

    async def retrieve(self, context: Any, claims: Sequence[StorageDriverClaim]) -> list[Payload]:
        self.asked += 1
        await asyncio.sleep(self._delay)
        return [self._kept[int(claim.claim_data["index"])] for claim in claims]


class _Raising(PayloadCodec):
    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if any(payload.data == b"bad" for payload in payloads):
            raise ValueError("bad")
        return list(payloads)


def _of_task(converter: DataConverter, workflow_type: str = WORKFLOW_TYPE) -> DataConverter:
    """Return the converter as the SDK makes it for a workflow task."""
    context = WorkflowSerializationContext(namespace="default", workflow_id="t")
    target = StorageDriverWorkflowInfo(namespace="default", id="t", run_id="r", type=workflow_type)
    return reading(converter)._with_contexts(context, StorageDriverStoreContext(target=target))


async def _read(converter: DataConverter, *payloads: Payload, **options: Any) -> list[Payload]:
    """Return what a workflow is given of a signal with these arguments."""
    act = WorkflowActivation()
    act.jobs.add().signal_workflow.input.extend(payloads)
    await bridge_worker.decode_activation(
        act, _of_task(converter, **options), decode_headers=False, storage_concurrency_limit=3
    )
    return list(act.jobs[0].signal_workflow.input)


def _stored(*drivers: StorageDriver) -> DataConverter:
    return DataConverter(external_storage=ExternalStorage(drivers=drivers, payload_size_threshold=0))


def test_the_sdk_knows_a_reference_as_we_do() -> None:
    assert _extstore._REFERENCE_ENCODING == REFERENCE_ENCODING
    assert _extstore._REFERENCE_MESSAGE_TYPE == REFERENCE_MESSAGE
    assert _extstore._REFERENCE_MARKER_KEY == REFERENCE_MARKER


def test_the_sdk_decodes_a_workflow_task_by_what_is_overridden() -> None:
    decoding, handling = (
        inspect.getsource(bridge_worker.decode_activation),
        inspect.getsource(_workflow._WorkflowWorker),
    )
    for name in (
        "_decode_reference_payload_sequence",
        "_external_retrieve_payload_sequence",
        "_decode_payload_sequence",
    ):
        assert f"data_converter.{name}" in decoding
        assert hasattr(DataConverter, name)
    assert "self._data_converter._with_contexts(" in handling
    assert "decode_activation(" in handling


async def test_what_can_be_read_is_not_touched() -> None:
    for converter in (DataConverter.default, _stored(_Memory()), DataConverter(payload_codec=_Raising())):
        assert await _read(converter, _PLAIN, _PLAIN) == [_PLAIN, _PLAIN]
        assert await _read(converter) == []


async def test_references_without_storage() -> None:
    proto = Payload(metadata={"encoding": b"json/protobuf", "messageType": REFERENCE_MESSAGE}, data=b"{}")
    marked = Payload(metadata={"encoding": b"json/plain", REFERENCE_MARKER: b"true"}, data=b"1")
    for payload in (_LEGACY, proto, marked):
        found, beside = await _read(DataConverter.default, payload, _PLAIN)
        assert set(found.metadata) == {"encoding", UNREADABLE, STORED}
        assert b"RuntimeError" in found.data
        assert beside == _PLAIN


async def test_references_to_storage() -> None:
    driver = _Memory()
    converter = _stored(driver)
    (reference,) = await converter.encode(["large"])
    (found,) = await _read(converter, reference)
    assert found.data == b'"large"'
    assert set(found.metadata) == {"encoding", STORED}
    (found,) = await _read(converter, _LEGACY)
    assert UNREADABLE in found.metadata
    for claim in (b'{"driverName": "memory", "claimData": {"index": "7"}}', b'{"driverName": "other"}', b"[["):
        broken = Payload(metadata={"encoding": b"json/protobuf", "messageType": REFERENCE_MESSAGE}, data=claim)
        (found,) = await _read(converter, broken)
        assert UNREADABLE in found.metadata


async def test_a_workflow_task_waits_for_storage_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reading, "RETRIEVING_SECONDS", 0.2)
    driver = _Memory(delay=0.05)
    converter = _stored(driver)
    (reference,) = await converter.encode(["large"])
    assert all(UNREADABLE not in found.metadata for found in await _read(converter, reference))
    driver._delay = 60
    found = await _read(converter, *[reference] * 50)
    assert all(UNREADABLE in payload.metadata for payload in found)
    assert driver.asked < 10


async def test_a_codec_that_raises() -> None:
    converter = DataConverter(payload_codec=_Raising())
    found = await _read(converter, Payload(data=b"bad"), _PLAIN)
    assert [UNREADABLE in payload.metadata for payload in found] == [True, True]
    assert all(b"the payload codec makes of it fails (ValueError)" in payload.data for payload in found)


async def test_marks_that_somebody_else_has_put_there_are_taken_off() -> None:
    forged = Payload(metadata={"encoding": b"json/plain", UNREADABLE: b"ever", STORED: b"true"}, data=b'"plain"')
    for converter in (DataConverter.default, DataConverter(payload_codec=_Raising()), _stored(_Memory())):
        assert await _read(converter, forged) == [_PLAIN]


async def test_other_workflows_and_other_readers_are_told_by_an_error() -> None:
    with pytest.raises(RuntimeError, match="TMPRL1105"):
        await _read(DataConverter.default, _LEGACY, workflow_type="SomebodyElses")
    for converter in (reading(DataConverter.default), _of_task(DataConverter.default)):
        with pytest.raises(RuntimeError, match="TMPRL1105"):
            await converter.decode([_LEGACY])
    activity = ActivitySerializationContext(
        namespace="default",
        activity_id="1",
        activity_type="superstep",
        activity_task_queue="q",
        workflow_id="t",
        workflow_type=WORKFLOW_TYPE,
        is_local=False,
    )
    with pytest.raises(RuntimeError, match="TMPRL1105"):
        await reading(DataConverter.default).with_context(activity).decode([_LEGACY])


def test_a_workers_converter_is_otherwise_the_given_one() -> None:
    given = DataConverter(payload_codec=_Raising(), external_storage=ExternalStorage(drivers=[_Memory()]))
    found = reading(given)
    assert isinstance(found, ReadingDataConverter)
    assert reading(found) is found
    for name in ("payload_converter_class", "payload_codec", "failure_converter_class", "external_storage"):
        assert getattr(found, name) is getattr(given, name)
