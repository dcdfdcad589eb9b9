"""Payload and failure converter of sealed clients and workers: what is trusted has to be sealed, here and as this.

The codec opens what belongs to its place, and notes on each payload what it has found; here it is held against what is
to be made of it. The notes are metadata that a payload has only on its way from codec to converter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, get_args, get_origin

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import TimeoutType
from temporalio.api.failure.v1 import Failure
from temporalio.common import RawValue
from temporalio.converter import DefaultFailureConverterWithEncodedAttributes, PayloadConverter

from ...workflows.messages import REFUSED_FAILURE, WireModel
from ..advice import Advice, Step, Way
from ..errors import NotSealedError
from .converter import FramedPayloadConverter

ENCODING = b"binary/encrypted"
KEY_METADATA = "encryption-key-id"
PLACE_METADATA = "sealed-for"
KIND_METADATA = "agent-framework-kind"
"""Inside the seal: the wire model, so that a payload is taken as nothing else."""
SEALED_BY = "agent-framework-sealed-by"
"""Note: the key that had sealed it."""
REFUSED = "agent-framework-refused"
"""Note: why it was not opened, though the key is known."""
OF_SUPERSTEP = "agent-framework-of-superstep"
"""Note: it was decoded as input, outcome or heartbeat of a superstep, where nothing comes from strangers."""
NOTES = (SEALED_BY, REFUSED, OF_SUPERSTEP)
_FAILURE_KIND = b"failure"
_SERVERS_OWN = re.compile("[A-Z_]{1,80}")
"""Reasons of the server's, e.g. COMPLETE_RESULT_EXCEEDS_LIMIT."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Stands for a heartbeat that is not trusted: the SDK gives up an attempt whose heartbeat raises."""

    reason: str


class SealedPayloadConverter(FramedPayloadConverter):
    """`FramedPayloadConverter` that takes our own models only from payloads sealed as such, for this place."""

    accepts_unsealed = False

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """See base class."""
        payloads = super().to_payloads(values)
        for payload, value in zip(payloads, values, strict=True):
            kind = _kind(value)
            if kind is not None:
                payload.metadata[KIND_METADATA] = kind.encode()
        return payloads

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """See base class.

        Raises:
            NotSealedError: When one would be trusted and was not sealed for this place by a known key.
        """
        values: list[Any] = []
        for payload, hint in zip_longest(payloads, (type_hints or [])[: len(payloads)]):
            refusal = None if hint is RawValue else self._refusal(payload, hint)
            if refusal is None:
                values += super().from_payloads([payload], None if hint is None else [hint])
            elif hint is None and OF_SUPERSTEP in payload.metadata:
                values.append(Refused(str(refusal)))
            else:
                raise refusal
        return values

    def _refusal(self, payload: Payload, hint: Any) -> NotSealedError | None:
        if payload.metadata.get("encoding") == ENCODING:
            return _not_opened(payload)
        model, in_list = _wire_model(hint)
        if SEALED_BY not in payload.metadata:
            trusted = model is not None or (hint is None and OF_SUPERSTEP in payload.metadata)
            return _not_sealed(model) if trusted and not self.accepts_unsealed else None
        kind = payload.metadata.get(KIND_METADATA, b"").decode(errors="replace")
        if model is None or kind in _kinds(model, in_list):
            return None
        return NotSealedError(
            f"A payload is sealed as {kind or 'something else'!r} and not as {model.__name__}: it was copied from "
            "another place of its thread. It is refused."
        )


class AcceptingPayloadConverter(SealedPayloadConverter):
    """`SealedPayloadConverter` that takes what is not sealed, too, while sealing is introduced."""

    accepts_unsealed = True


class SealedFailureConverter(DefaultFailureConverterWithEncodedAttributes):
    """Seals messages and stack traces, and believes no failure that was not sealed; never raises for one."""

    accepts_unsealed = False

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """See base class."""
        super().to_failure(exception, payload_converter, failure)
        failure.encoded_attributes.metadata[KIND_METADATA] = _FAILURE_KIND

    def from_failure(self, failure: Failure, payload_converter: PayloadConverter) -> BaseException:
        """See base class. One that nobody with a key of this process has reported has type `REFUSED_FAILURE`."""
        copy = Failure()
        copy.CopyFrom(failure)
        self._strip(copy)
        return super().from_failure(copy, payload_converter)

    def _strip(self, failure: Failure) -> None:
        """Take from one failure, not from its causes, what nobody with a key has written."""
        attributes = failure.encoded_attributes
        sealed = SEALED_BY in attributes.metadata and attributes.metadata.get(KIND_METADATA) == _FAILURE_KIND
        kind = failure.WhichOneof("failure_info")
        if kind == "application_failure_info":
            details = failure.application_failure_info.details.payloads
            closed = [payload for payload in (*details, attributes) if payload.metadata.get("encoding") == ENCODING]
            if not closed and (self.accepts_unsealed or (sealed and all(map(_is_sealed, details)))):
                return
            failure.application_failure_info.Clear()
            failure.application_failure_info.type = REFUSED_FAILURE
            _say(failure, str(_not_opened(closed[0]) if closed else _not_sealed(None)))
            return
        for holder in ("timeout_failure_info", "canceled_failure_info"):
            # A heartbeat that cannot be opened would raise, and nothing of ours reads these.
            info = getattr(failure, holder)
            field = "last_heartbeat_details" if kind == "timeout_failure_info" else "details"
            if kind == holder and not all(map(_is_sealed, getattr(info, field).payloads)):
                info.ClearField(field)
        if not sealed and not self.accepts_unsealed:
            # Written by the server: the kind says as much as its text, which anybody may have written in its place.
            _say(failure, _text_of(failure, kind))


class AcceptingFailureConverter(SealedFailureConverter):
    """`SealedFailureConverter` that believes what is not sealed, too, while sealing is introduced."""

    accepts_unsealed = True


def _say(failure: Failure, message: str) -> None:
    failure.ClearField("encoded_attributes")
    failure.stack_trace = ""
    failure.message = message


def _text_of(failure: Failure, kind: str | None) -> str:
    if kind == "timeout_failure_info":
        name = TimeoutType.Name(failure.timeout_failure_info.timeout_type).removeprefix("TIMEOUT_TYPE_")
        return f"timeout: {name.replace('_', ' ').lower()}"
    if kind == "server_failure_info" and _SERVERS_OWN.fullmatch(failure.message):
        return failure.message
    return (kind or "failure").removesuffix("_info").replace("_", " ")


def _is_sealed(payload: Payload) -> bool:
    return SEALED_BY in payload.metadata


def _kind(value: Any) -> str | None:
    if isinstance(value, WireModel):
        return type(value).__name__
    if isinstance(value, list):
        names = {type(element).__name__ if isinstance(element, WireModel) else None for element in value}
        if not names:
            return "list"
        if len(names) == 1 and None not in names:
            return f"list[{names.pop()}]"
    return None


def _kinds(model: type[WireModel], in_list: bool) -> set[str]:
    names = model.sealed_as or {model.__name__}
    return {"list", *(f"list[{name}]" for name in names)} if in_list else set(names)


def _wire_model(hint: Any) -> tuple[type[WireModel] | None, bool]:
    in_list = get_origin(hint) is list
    model = get_args(hint)[0] if in_list else hint
    if isinstance(model, type) and issubclass(model, WireModel):
        return model, in_list
    return None, False


def _not_opened(payload: Payload) -> NotSealedError:
    reason = payload.metadata.get(REFUSED)
    if reason is not None:
        return NotSealedError(reason.decode(errors="replace"))
    key_id = payload.metadata.get(KEY_METADATA, b"").decode(errors="replace")
    error = NotSealedError(
        f"A payload says that key {key_id[:64]!r} has sealed it, and cannot be opened: this process does not "
        "have that key, or the payload was altered. Give it the key that was in use when the run began."
    )
    error.waits_for_key = True
    return error


def _not_sealed(model: type[WireModel] | None) -> NotSealedError:
    what = "be part of a superstep" if model is None else f"hold a {model.__name__}"
    return NotSealedError(
        Advice(
            f"A payload that should {what} was not sealed. It was written by a process without keys, or by somebody "
            "who has none. Give every client and worker of the namespace the same ",
            Step(Way.KEYS_EVERYWHERE),
            ".",
        )
    )
