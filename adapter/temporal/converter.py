"""The payload converter: pydantic JSON, with a binary frame beside it where a wire model has one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter, PydanticPayloadConverter
from temporalio.converter import CompositePayloadConverter, DataConverter, DefaultPayloadConverter

from ...workflows.exported import exported
from ...workflows.messages import Framed, Journalled, NewerVersionError, WireModel
from ...workflows.value_limits import legible
from ..errors import HostingError, NewerReleaseError
from .read_around import read_around

_FRAME_METADATA = "agent-framework-frame"
_JOURNAL_METADATA = "agent-framework-journal"
MAX_PAYLOAD_BYTES = 1_900_000
"""Temporal refuses a payload of 2 MB; the rest is for the envelope."""


class JournalledDict(dict[str, Any]):
    """A message that was decoded without its type, with its journal.

    Args:
        value: The message.
        journal: As `Journalled.journal`.
    """

    def __init__(self, value: dict[str, Any], *, journal: bytes) -> None:
        super().__init__(value)
        self.journal = journal


class FramedJSONPayloadConverter(PydanticJSONPlainPayloadConverter):
    """Pydantic JSON; the frame of a `Framed` model goes into the payload's metadata, as bytes."""

    def to_payload(self, value: Any) -> Payload | None:
        """See base class."""
        payload = super().to_payload(value)
        if payload is not None and isinstance(value, Framed) and value.frame:
            payload.metadata[_FRAME_METADATA] = value.frame
        if payload is not None and isinstance(value, Journalled) and value.journal:
            payload.metadata[_JOURNAL_METADATA] = value.journal
        return payload

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """See base class."""
        try:
            try:
                value = super().from_payload(payload, type_hint)
            except ValidationError as error:
                value = _read_around(payload, type_hint, error)
        except NewerVersionError as error:
            raise NewerReleaseError(str(error)) from None
        if isinstance(value, Framed):
            value.with_frame(payload.metadata.get(_FRAME_METADATA, b""))
        if isinstance(value, Journalled):
            value.with_journal(payload.metadata.get(_JOURNAL_METADATA, b""))
        elif type(value) is dict and _JOURNAL_METADATA in payload.metadata:
            # The SDK asks for heartbeats, and for details of errors, without a type.
            value = JournalledDict(value, journal=payload.metadata[_JOURNAL_METADATA])
        return value


def _read_around(payload: Payload, type_hint: type | None, error: ValidationError) -> Any:
    """Read one of our own messages around what is wrong with it; what is not ours stays as unreadable as it was."""
    if isinstance(type_hint, type) and issubclass(type_hint, WireModel):
        return read_around(payload.data, type_hint, error)
    if type_hint is None and _FRAME_METADATA in payload.metadata:  # The detail of an error, which comes without a type.
        return from_json(legible(payload.data))
    raise error


_FRAMED = FramedJSONPayloadConverter()
_ENCODINGS = tuple(
    _FRAMED if converter.encoding == _FRAMED.encoding else converter
    for converter in DefaultPayloadConverter.default_encoding_payload_converters
)


@exported
class FramedPayloadConverter(CompositePayloadConverter):
    """Temporal's default converters with JSON replaced by `FramedJSONPayloadConverter`."""

    def __init__(self) -> None:
        # The SDK makes a converter for each payload of a workflow task, so what has no state is made once.
        super().__init__(*_ENCODINGS)


def stores_outside(converter: DataConverter) -> bool:
    """Tell whether external storage takes the payloads that are too large for Temporal."""
    storage = converter.external_storage
    return storage is not None and storage.payload_size_threshold <= MAX_PAYLOAD_BYTES


async def encoded_payload(converter: DataConverter, value: Any) -> Payload:
    """Return a value as the payload that is sent, or given to external storage if there is one."""
    (payload,) = converter.payload_converter.to_payloads([value])
    if converter.payload_codec is not None:
        (payload,) = await converter.payload_codec.encode([payload])
    return payload


def with_frames(existing: DataConverter | None) -> DataConverter:
    """Return the data converter with our payload converter; codec, failure converter and external storage stay.

    Raises:
        HostingError: When another payload converter is configured: replacing it would change the user's own payloads.
    """
    if existing is None:
        existing = DataConverter.default
    known = (DefaultPayloadConverter, PydanticPayloadConverter)
    if issubclass(existing.payload_converter_class, FramedPayloadConverter):
        return existing
    if existing.payload_converter_class not in known:
        raise HostingError(
            f"The client's data converter uses {existing.payload_converter_class.__name__!r}. AgentFrameworkPlugin "
            "brings its own payload converter (pydantic JSON): connect a separate client for it, or derive your "
            "converter from agent_framework_temporal.FramedPayloadConverter."
        )
    return replace(existing, payload_converter_class=FramedPayloadConverter)
