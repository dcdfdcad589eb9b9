"""What a worker does with payloads it cannot read, before our workflow sees them; private names of the SDK are here.

The SDK decodes all that comes with a workflow task before any workflow code runs, and fails the task where it cannot:
anybody's signal would then stop a run for good. Here such a payload is given to our workflow as one that says so, and
the workflow refuses it. Results of activities are not from anybody: where they cannot be read the task is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, cast

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.api.sdk.v1.external_storage_pb2 import ExternalStorageReference
from temporalio.client import Client
from temporalio.converter import (
    DataConverter,
    SerializationContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
    WorkflowSerializationContext,
)

from ...workflows.messages import WORKFLOW_TYPE
from ...workflows.unreadable import STORED, UNREADABLE, unreadable

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
REFERENCE_ENCODING = b"json/external-storage-reference"
REFERENCE_MESSAGE = ExternalStorageReference.DESCRIPTOR.full_name.encode()
REFERENCE_MARKER = "__temporal_external_storage_reference"
"""How the SDK knows a reference to external storage; a test compares them with its own."""
RETRIEVING_SECONDS = 5.0
"""What a workflow task spends on reading from external storage. It has ten in all, and anybody can send references."""


class ReadingDataConverter(DataConverter):
    """A worker's data converter: `DataConverter`, except for what comes with the workflow tasks of our workflow."""

    def _with_contexts(
        self, serialization_ctx: SerializationContext, store_ctx: StorageDriverStoreContext
    ) -> DataConverter:
        converter = super()._with_contexts(serialization_ctx, store_ctx)
        target = store_ctx.target
        ours = isinstance(target, StorageDriverWorkflowInfo) and target.type == WORKFLOW_TYPE
        if not ours or not isinstance(serialization_ctx, WorkflowSerializationContext):
            return converter
        return _TaskDataConverter.of(converter)


class _TaskDataConverter(DataConverter):
    """Decodes what comes with one workflow task; the SDK has it decode in three passes."""

    _strict: DataConverter
    _until: float | None
    _logged: bool

    @classmethod
    def of(cls, converter: DataConverter) -> _TaskDataConverter:
        found = object.__new__(cls)  # Twice for each workflow task: what the other has made is not made again.
        vars(found).update(vars(converter), _strict=converter, _until=None, _logged=False)
        return found

    async def decode(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Decode what somebody asks for, who can be told that it is unreadable."""
        return await self._strict.decode(payloads, type_hints)

    async def decode_failure(self, failure: Failure) -> BaseException:
        """See `decode`."""
        return await self._strict.decode_failure(failure)

    async def _decode_reference_payload_sequence(self, payloads: Sequence[Payload]) -> list[Payload]:
        if not any(_is_marked(payload) or _is_reference(payload) for payload in payloads):
            return _same(payloads)
        found: list[Payload] = []
        for payload in payloads:
            plain = _without_marks(payload)
            if not _is_reference(plain):
                found.append(plain)
                continue
            try:
                (decoded,) = await super()._decode_reference_payload_sequence([plain])
            except Exception as error:  # The codec is code of others.
                found.append(self._unreadable("its reference to external storage", error, stored=True))
            else:
                found.append(_marked(decoded))
        return found

    async def _external_retrieve_payload_sequence(self, payloads: Sequence[Payload]) -> list[Payload]:
        if not any(STORED in payload.metadata for payload in payloads):
            return _same(payloads)
        found: list[Payload] = []
        for payload in payloads:
            if STORED not in payload.metadata or UNREADABLE in payload.metadata:
                found.append(payload)
                continue
            try:
                async with asyncio.timeout(self._seconds_left()):
                    (retrieved,) = await super()._external_retrieve_payload_sequence([payload])
            except Exception as error:  # So is the storage driver.
                found.append(self._unreadable("its reference to external storage", error, stored=True))
            else:
                found.append(_marked(_without_marks(retrieved)))
        return found

    def _seconds_left(self) -> float:
        if self._until is None:
            object.__setattr__(self, "_until", time.monotonic() + RETRIEVING_SECONDS)
        left = (self._until or 0.0) - time.monotonic()
        if left <= 0:
            raise TimeoutError("too much is to be read from external storage at once")
        return left

    async def _decode_payload_sequence(self, payloads: Sequence[Payload]) -> list[Payload]:
        if self.payload_codec is None or any(UNREADABLE in payload.metadata for payload in payloads):
            return _same(payloads)
        stored = any(STORED in payload.metadata for payload in payloads)
        try:
            decoded = await super()._decode_payload_sequence([_without_marks(payload) for payload in payloads])
        except Exception as error:
            return [self._unreadable("what the payload codec makes of it", error, stored=stored) for _ in payloads]
        found = [_without_marks(payload) for payload in decoded]
        return [_marked(payload) for payload in found] if stored else found

    def _unreadable(self, what: str, error: Exception, *, stored: bool) -> Payload:
        if not self._logged:  # Once a workflow task: whoever sends one may send thousands.
            object.__setattr__(self, "_logged", True)
            _LOGGER.warning("A payload sent to a run cannot be read, by %s: %s: %s", what, type(error).__name__, error)
        return unreadable(f"{what} fails ({type(error).__name__})", stored=stored)


def _same(payloads: Sequence[Payload]) -> list[Payload]:
    """Return payloads that stay as they are: the SDK copies those of any other list."""
    return cast("list[Payload]", payloads)


def _is_reference(payload: Payload) -> bool:
    encoding = payload.metadata.get("encoding")
    return (
        encoding == REFERENCE_ENCODING
        or (encoding == b"json/protobuf" and payload.metadata.get("messageType") == REFERENCE_MESSAGE)
        or payload.metadata.get(REFERENCE_MARKER) == b"true"
    )


def _marked(payload: Payload) -> Payload:
    marked = Payload()
    marked.CopyFrom(payload)
    marked.metadata[STORED] = b"true"
    return marked


def _is_marked(payload: Payload) -> bool:
    return STORED in payload.metadata or UNREADABLE in payload.metadata


def _without_marks(payload: Payload) -> Payload:
    """Return a payload without our marks, which anybody may have put on it."""
    if not _is_marked(payload):
        return payload
    plain = Payload()
    plain.CopyFrom(payload)
    for name in (STORED, UNREADABLE):
        if name in plain.metadata:  # Not pop(): that of a protobuf map takes any key for one that is there.
            del plain.metadata[name]
    return plain


def reading(converter: DataConverter) -> DataConverter:
    """Return a data converter for workers; payload converter, codec and external storage stay."""
    if isinstance(converter, ReadingDataConverter):
        return converter
    return ReadingDataConverter(
        **{field.name: getattr(converter, field.name) for field in fields(converter) if field.init}
    )


def reading_client(client: Client) -> Client:
    """Return a worker's client; it differs only in what the worker's workflow tasks bring."""
    config = client.config(active_config=True)
    config["data_converter"] = reading(client.data_converter)
    config["plugins"] = []  # They have been applied already.
    return Client(**config)
