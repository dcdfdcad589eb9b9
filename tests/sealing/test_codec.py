"""The codec itself: what it seals, opens, and passes through."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Sequence
from typing import Any

import pytest
from agent_framework_temporal import NotSealedError, SealingCodec, sealed
from agent_framework_temporal.adapter.temporal.converter import FramedPayloadConverter
from agent_framework_temporal.adapter.temporal.sealing import SealedPayloadConverter, parse_keys
from agent_framework_temporal.workflows.messages import RunInput, SuperstepResult
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter, PayloadCodec

OLD, NEW = os.urandom(32), os.urandom(32)
CANARY = b"canary-7f3a"


def _encode(codec: PayloadCodec, payload: Payload) -> Payload:
    (sealed_payload,) = asyncio.run(codec.encode([payload]))
    return sealed_payload


def _decode(codec: PayloadCodec, payload: Payload) -> Payload:
    (opened,) = asyncio.run(codec.decode([payload]))
    return opened


def _payload() -> Payload:
    return Payload(metadata={"encoding": b"json/plain", "agent-framework-frame": CANARY}, data=b'"' + CANARY + b'"')


class Reversing(PayloadCodec):
    """A codec of a user's."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(metadata={"encoding": b"x/reversed"}, data=p.SerializeToString()[::-1]) for p in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(payload.data[::-1]) for payload in payloads]


def test_metadata_and_data_are_sealed() -> None:
    codec = SealingCodec({"k1": NEW})
    found = _encode(codec, _payload())
    assert CANARY not in found.SerializeToString()
    assert dict(found.metadata) == {"encoding": b"binary/encrypted", "encryption-key-id": b"k1"}
    assert found.data != _encode(codec, _payload()).data
    opened = _decode(codec, found)
    assert opened.metadata["agent-framework-sealed-by"] == b"k1"
    del opened.metadata["agent-framework-sealed-by"]
    assert opened == _payload()


def test_keys_are_rotated() -> None:
    before = _encode(SealingCodec({"k1": OLD}), _payload())
    both = SealingCodec({"k2": NEW, "k1": OLD})
    assert _decode(both, before).data == _payload().data
    assert _encode(both, _payload()).metadata["encryption-key-id"] == b"k2"
    after = SealingCodec({"k2": NEW})
    assert _decode(after, before) == before


def test_inner_codec_comes_first() -> None:
    codec = SealingCodec({"k1": NEW}, inner=Reversing())
    opened = _decode(codec, _encode(codec, _payload()))
    assert opened.data == _payload().data
    # What was not sealed does not reach it.
    foreign = _encode(Reversing(), _payload())
    assert _decode(codec, foreign) == foreign


def test_claim_of_having_been_sealed_is_dropped() -> None:
    forged = _payload()
    forged.metadata["agent-framework-sealed-by"] = b"k1"
    assert _decode(SealingCodec({"k1": NEW}), forged) == _payload()
    assert _decode(SealingCodec({"k1": NEW}, inner=Reversing()), forged) == _payload()


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_altered_payload_is_not_opened(position: int, bit: int) -> None:
    codec = SealingCodec({"k1": NEW})
    found = _encode(codec, _payload())
    data = bytearray(found.data)
    data[position % len(data)] ^= 1 << bit
    found.data = bytes(data)
    assert _decode(codec, found) == found


@given(data=st.binary(max_size=100), key_id=st.binary(max_size=20))
def test_any_bytes_pass_through(data: bytes, key_id: bytes) -> None:
    payload = Payload(metadata={"encoding": b"binary/encrypted", "encryption-key-id": key_id}, data=data)
    assert _decode(SealingCodec({"k1": NEW}), payload) == payload


def test_key_of_another_id_does_not_open() -> None:
    """The id is authenticated: one key under two ids is two keys."""
    found = _encode(SealingCodec({"k1": NEW}), _payload())
    found.metadata["encryption-key-id"] = b"k2"
    assert _decode(SealingCodec({"k1": NEW, "k2": NEW}), found) == found


@pytest.mark.parametrize("model", [RunInput(workflow_name="w", mode="message"), SuperstepResult(state="idle")])
def test_our_models_are_taken_only_when_sealed(model: Any) -> None:
    converter = sealed(keys={"k1": NEW})
    plain = FramedPayloadConverter().to_payloads([model])[0]

    async def decode(data_converter: DataConverter, payload: Payload) -> Any:
        return (await data_converter.decode([payload], [type(model)]))[0]

    async def encode(data_converter: DataConverter) -> Payload:
        return (await data_converter.encode([model]))[0]

    assert asyncio.run(decode(converter, asyncio.run(encode(converter)))) == model
    with pytest.raises(NotSealedError, match=f"should hold a {type(model).__name__} was not sealed"):
        asyncio.run(decode(converter, plain))
    stranger = asyncio.run(encode(sealed(keys={"k9": OLD})))
    with pytest.raises(NotSealedError, match="key 'k9' has sealed it, and cannot be opened"):
        asyncio.run(decode(converter, stranger))
    assert asyncio.run(decode(sealed(keys={"k1": NEW}, accept_unsealed=True), plain)) == model


def test_converter_of_ours_and_codec_of_the_user_stay() -> None:
    converter = sealed(DataConverter(payload_codec=Reversing()), keys={"k1": NEW})
    assert converter.payload_converter_class is SealedPayloadConverter
    # Sealing twice is two codecs, and the plugin leaves the converter as it is.
    assert isinstance(converter.payload_codec, SealingCodec)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({}, "needs at least one key"),
        ({"k1": b"short"}, "must have 16, 24 or 32 bytes"),
        ({"k 1": NEW}, "Key id 'k 1' is none"),
    ],
)
def test_keys_that_cannot_work_are_refused(keys: dict[str, bytes], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SealingCodec(keys)


def test_keys_from_text() -> None:
    old, new = (base64.b64encode(key).decode() for key in (OLD, NEW))
    assert list(parse_keys(f"k2={new},\n k1={old}\n").items()) == [("k2", NEW), ("k1", OLD)]
    for text in ("", "k1", f"k1={old[:-4]}", f"k1={old},k1={new}", "k1=?", f"={old}"):
        with pytest.raises(ValueError, match="keys") as caught:
            parse_keys(text)
        assert old[:-4] not in str(caught.value)
