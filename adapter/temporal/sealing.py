"""Sealing: a payload codec that encrypts and authenticates all that goes to Temporal, and refuses what is not sealed.

AES-GCM over the whole payload, its metadata with our frames included. Each payload names the key that sealed it, so
that keys can be rotated while threads are open. A payload that no known key has sealed passes through the codec: a
workflow task whose payloads cannot be decoded would be tried for ever, and anybody may send a signal. It is refused
where it would be trusted, by the payload converter, and treated as foreign JSON where an answer may be just that.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec

from ...workflows.exported import exported
from ...workflows.messages import WireModel
from ..errors import NotSealedError
from .converter import FramedPayloadConverter, with_frames

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_ENCODING = b"binary/encrypted"
_KEY_METADATA = "encryption-key-id"
_SEALED_BY = "agent-framework-sealed-by"
"""Metadata that a payload has only between codec and payload converter: the key that had sealed it."""
_NONCE_BYTES = 12
_KEY_SIZES = (16, 24, 32)
_KEY_ID = re.compile(r"[\w.-]{1,64}")
KEYS_VARIABLE = "AGENT_FRAMEWORK_TEMPORAL_KEYS"


@exported
class SealingCodec(PayloadCodec):
    """Seals payloads with AES-GCM.

    Costs 28 bytes a payload and the key's id. Nonces are random, so a key should seal no more than 2**32 payloads.

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

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See base class."""
        if self._inner is not None:
            payloads = await self._inner.encode(payloads)
        return [self._seal(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See base class. What no known key has sealed comes back as it is."""
        opened = [self._open(payload) for payload in payloads]
        if self._inner is None:
            return opened
        found: list[Payload] = []
        for payload in opened:
            # The inner codec sees only what has passed it; of the rest nobody knows what it would make of it.
            if _SEALED_BY not in payload.metadata:
                found.append(payload)
                continue
            key_id = payload.metadata[_SEALED_BY]
            del payload.metadata[_SEALED_BY]
            for inner in await self._inner.decode([payload]):
                inner.metadata[_SEALED_BY] = key_id
                found.append(inner)
        return found

    def _seal(self, payload: Payload) -> Payload:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._key_id].encrypt(nonce, payload.SerializeToString(), self._key_id.encode())
        return Payload(
            metadata={"encoding": _ENCODING, _KEY_METADATA: self._key_id.encode()},
            data=nonce + sealed,
        )

    def _open(self, payload: Payload) -> Payload:
        found = Payload()
        found.CopyFrom(payload)
        # Whoever wrote the payload may have claimed that it was sealed.
        if _SEALED_BY in found.metadata:  # Not pop(): that of a protobuf map takes any key for one that is there.
            del found.metadata[_SEALED_BY]
        if payload.metadata.get("encoding") != _ENCODING:
            return found
        key_id = payload.metadata.get(_KEY_METADATA, b"")
        cipher = self._ciphers.get(key_id.decode(errors="replace"))
        if cipher is None:
            return found
        try:
            opened = cipher.decrypt(payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:], key_id)
            inner = Payload.FromString(opened)
        except Exception:  # InvalidTag, ValueError of a short nonce, DecodeError: it is not what we have sealed.
            return found
        inner.metadata[_SEALED_BY] = key_id
        return inner


class SealedPayloadConverter(FramedPayloadConverter):
    """`FramedPayloadConverter` that takes our own models only from payloads that were sealed."""

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """See base class.

        Raises:
            NotSealedError: When one would be trusted and no known key has sealed it.
        """
        for payload, hint in zip_longest(payloads, (type_hints or [])[: len(payloads)]):
            if hint is not RawValue:
                _check(payload, hint)
        return super().from_payloads(payloads, type_hints)


def _check(payload: Payload, hint: Any) -> None:
    if payload.metadata.get("encoding") == _ENCODING:
        key_id = payload.metadata.get(_KEY_METADATA, b"").decode(errors="replace")
        raise NotSealedError(
            f"A payload says that key {key_id[:64]!r} has sealed it, and cannot be opened: this process does not "
            "have that key, or the payload was altered. Give it the key that was in use when the run began."
        )
    if isinstance(hint, type) and issubclass(hint, WireModel) and _SEALED_BY not in payload.metadata:
        raise NotSealedError(
            f"A payload that should hold a {hint.__name__} was not sealed. It was written by a process without keys, "
            "or by somebody who has none. Give every client and worker of the namespace the same `sealed(keys=...)`; "
            "for threads from before sealing was on add `accept_unsealed=True`."
        )


@exported
def sealed(
    data_converter: DataConverter | None = None, *, keys: Mapping[str, bytes], accept_unsealed: bool = False
) -> DataConverter:
    """Return a data converter that seals: `Client.connect(..., data_converter=sealed(keys=keys))`.

    For clients and workers alike; both need all keys. Sealed are inputs, results, signals, updates, queries,
    heartbeats, memos and summaries, and the messages and stack traces of failures. Readable stay thread ids, the names
    of task queues and error types, search attributes, and when things happen.

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
        payload_converter_class=framed.payload_converter_class if accept_unsealed else SealedPayloadConverter,
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
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
