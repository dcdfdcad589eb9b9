"""Sealing: a payload codec that encrypts and authenticates all that goes to Temporal, and refuses what is not sealed.

AES-GCM over the whole payload, its metadata with our frames included. Each payload names the key that sealed it, so
that keys can be rotated while threads are open, and the place it was sealed for (`place.py`), which is authenticated
with it: a copy of it elsewhere is not opened. A payload that is not opened passes through the codec: a workflow task
whose payloads cannot be decoded would be tried for ever, and anybody may send a signal. It is refused where it would be
trusted, by the payload converter, and treated as foreign JSON where an answer may be just that.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
)

from ...workflows.exported import exported
from ...workflows.messages import INVOCATION_ACTIVITY, SUPERSTEP_ACTIVITY
from .converter import with_frames
from .place import describe, fits, place_of
from .sealed_converter import (
    ENCODING,
    KEY_METADATA,
    NOTES,
    OF_SUPERSTEP,
    PLACE_METADATA,
    REFUSED,
    SEALED_BY,
    AcceptingFailureConverter,
    AcceptingPayloadConverter,
    SealedFailureConverter,
    SealedPayloadConverter,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_OF_OURS = (SUPERSTEP_ACTIVITY, INVOCATION_ACTIVITY)
_KEY_SIZES = (16, 24, 32)
_KEY_ID = re.compile(r"[\w.-]{1,64}")
KEYS_VARIABLE = "AGENT_FRAMEWORK_TEMPORAL_KEYS"


@exported
class SealingCodec(PayloadCodec, WithSerializationContext):
    """Seals payloads with AES-GCM, each for its place: the thread, and whether it is part of a superstep.

    Costs 28 bytes a payload, the key's id, and about 100 bytes with namespace and thread id. Nonces are random, so
    a key should seal no more than 2**32 payloads. Where the SDK tells no place, in a codec server, what is sealed
    belongs to none and is trusted nowhere, and everything is opened that a key has sealed.

    Args:
        keys: Keys of 16, 24 or 32 random bytes, by id. The first one seals; all of them open. To rotate, give every
            process the new key in second place, then in first; drop the old one when no thread it has sealed is needed.
        inner: A codec of yours, one that compresses for instance, which is applied before sealing.

    Raises:
        ValueError: When there is no key, or one is none.
        ImportError: Without the extra `crypto`.
    """

    def __init__(self, keys: Mapping[str, bytes], *, inner: PayloadCodec | None = None) -> None:
        if not keys:
            raise ValueError("`keys` needs at least one key: {'2026-11': os.urandom(32)}.")
        for key_id, key in keys.items():
            if not _KEY_ID.fullmatch(key_id):
                raise ValueError(f"Key id {key_id!r} is none: it has 1 to 64 letters, digits, '_', '.' and '-'.")
            if not isinstance(key, bytes) or len(key) not in _KEY_SIZES:
                raise ValueError(f"Key {key_id!r} must have 16, 24 or 32 bytes, and be as random as os.urandom(32).")
        self._ciphers = {key_id: _cipher(key) for key_id, key in keys.items()}
        self._key_id = next(iter(keys))
        self._inner = inner
        self._context: SerializationContext | None = None

    def with_context(self, context: SerializationContext) -> SealingCodec:
        """Return the codec for a place; see base class."""
        codec = copy(self)
        codec._context = context
        inner: object = self._inner
        if isinstance(inner, WithSerializationContext) and isinstance(inner, PayloadCodec):
            codec._inner = inner.with_context(context)
        return codec

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See base class."""
        if self._inner is not None:
            payloads = await self._inner.encode(payloads)
        return [self._seal(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See base class. What no known key has sealed for this place comes back as it is."""
        opened = [self._open(payload) for payload in payloads]
        if self._inner is None:
            return opened
        found: list[Payload] = []
        for payload in opened:
            # The inner codec sees only what has passed it; of the rest nobody knows what it would make of it.
            if SEALED_BY not in payload.metadata:
                found.append(payload)
                continue
            notes = _take_notes(payload)
            for inner in await self._inner.decode([payload]):
                _take_notes(inner)
                for name, value in notes.items():
                    inner.metadata[name] = value
                found.append(inner)
        return found

    def _seal(self, payload: Payload) -> Payload:
        nonce = os.urandom(_NONCE_BYTES)
        place = None if self._context is None else place_of(self._context)
        key_id = self._key_id.encode()
        sealed = self._ciphers[self._key_id].encrypt(nonce, payload.SerializeToString(), _bound(key_id, place))
        found = Payload(metadata={"encoding": ENCODING, KEY_METADATA: key_id}, data=nonce + sealed)
        if place is not None:
            found.metadata[PLACE_METADATA] = place
        return found

    def _open(self, payload: Payload) -> Payload:
        found = Payload()
        found.CopyFrom(payload)
        _take_notes(found)  # Whoever wrote the payload may have claimed that it was sealed.
        if found.metadata.get("encoding") == ENCODING:
            found = self._unsealed(found)
        context = self._context
        if isinstance(context, ActivitySerializationContext) and context.activity_type in _OF_OURS:
            found.metadata[OF_SUPERSTEP] = b"1"
        return found

    def _unsealed(self, payload: Payload) -> Payload:
        """Open a payload in its place; else return it, with a note why no key will ever open it there."""
        place = payload.metadata.get(PLACE_METADATA)
        if self._context is not None and (place is None or not fits(place, self._context)):
            of = "no place" if place is None else describe(place)
            payload.metadata[REFUSED] = (
                f"A payload is sealed for {of}, and not for this place, {describe(place_of(self._context))}: somebody "
                "has copied it here. It is refused."
            ).encode()
            return payload
        key_id = payload.metadata.get(KEY_METADATA, b"")
        cipher = self._ciphers.get(key_id.decode(errors="replace"))
        if cipher is None:
            return payload
        try:
            opened = cipher.decrypt(payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:], _bound(key_id, place))
            inner = Payload.FromString(opened)
        except Exception:  # InvalidTag, ValueError of a short nonce, DecodeError: it is not what we have sealed.
            if self._context is not None:
                payload.metadata[REFUSED] = (
                    f"A payload says that key {key_id.decode(errors='replace')[:64]!r} has sealed it, and cannot be "
                    "opened with that key: it was altered, or another key has the same id. It is refused."
                ).encode()
            return payload
        _take_notes(inner)
        inner.metadata[SEALED_BY] = key_id
        return inner


def _bound(key_id: bytes, place: bytes | None) -> bytes:
    """Return what is authenticated with a payload; no key's id has a zero byte."""
    return key_id if place is None else key_id + b"\0" + place


def _take_notes(payload: Payload) -> dict[str, bytes]:
    """Take our notes off a payload. Not by pop(): that of a protobuf map takes any key for one that is there."""
    notes = {name: payload.metadata[name] for name in NOTES if name in payload.metadata}
    for name in notes:
        del payload.metadata[name]
    return notes


@exported
def sealing_data_converter(
    data_converter: DataConverter | None = None, *, keys: Mapping[str, bytes], accept_unsealed: bool = False
) -> DataConverter:
    """Return a data converter that seals: `Client.connect(..., data_converter=sealing_data_converter(keys=keys))`.

    For clients and workers alike; both need all keys. Sealed are inputs, results, signals, updates, queries,
    heartbeats, memos and summaries, and the messages and stack traces of failures; each for its place, so that a copy
    of it elsewhere is refused. Readable stay thread ids, the names of task queues and error types, search attributes,
    and when things happen.

    Args:
        data_converter: What you use; its codec is applied before sealing, and external storage gets what is sealed.
        keys: See `SealingCodec`.
        accept_unsealed: Take inputs, checkpoints and results that are not sealed, too: while sealing is introduced.

    Raises:
        HostingError: When the data converter has a payload converter of its own.
        ValueError: See `SealingCodec`.
        ImportError: See `SealingCodec`.
    """
    framed = with_frames(data_converter)
    return replace(
        framed,
        payload_codec=SealingCodec(keys, inner=framed.payload_codec),
        payload_converter_class=AcceptingPayloadConverter if accept_unsealed else SealedPayloadConverter,
        failure_converter_class=AcceptingFailureConverter if accept_unsealed else SealedFailureConverter,
    )


def parse_keys(text: str) -> dict[str, bytes]:
    """Read keys as the environment holds them: `id=base64`, the one that seals first, with commas or on lines.

    Raises:
        ValueError: Without repeating any part of a key.
    """
    keys: dict[str, bytes] = {}
    for number, entry in enumerate(text.replace(",", "\n").split(), start=1):
        key_id, separator, encoded = entry.partition("=")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if not separator or not _KEY_ID.fullmatch(key_id) or len(key) not in _KEY_SIZES or key_id in keys:
            raise ValueError(
                f"Entry {number} of the keys is not `id=base64` of 16, 24 or 32 bytes under an id of its own. Make one "
                'with: python -c "import base64, os; print(base64.b64encode(os.urandom(32)).decode())"'
            )
        keys[key_id] = key
    if not keys:
        raise ValueError("There are no keys; give at least one as `id=base64`.")
    return keys


def _cipher(key: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise ImportError("Sealing needs the extra: pip install 'agent-framework-temporal[crypto]'") from error
    return AESGCM(key)
