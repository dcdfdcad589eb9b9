"""Frames: what is packed comes back, costs what changed, and damage is always noticed."""

from __future__ import annotations

import json
import random
import struct
from itertools import pairwise

import pytest
import zstandard
from agent_framework import AgentExecutorRequest, Content, Message, WorkflowCheckpoint
from agent_framework_temporal.adapter.checkpoints.frames import (
    KEYFRAME_EVERY,
    Frame,
    digest,
    pack,
    patch,
    unpack,
    wants_keyframe,
)
from agent_framework_temporal.adapter.encoding.document import (
    MAX_BYTES_VARIABLE,
    max_checkpoint_bytes,
)
from agent_framework_temporal.adapter.encoding.encoding import dumps
from agent_framework_temporal.adapter.errors import CheckpointCorruptedError, PayloadError
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit._in_process import row

PARTS = st.one_of(st.binary(max_size=3_000), st.binary(max_size=40).map(lambda part: part * 200))
BETWEEN = st.lists(PARTS, max_size=4).map(tuple)
FRAMES = st.builds(Frame, checkpoint=PARTS, payloads=PARTS, entry=PARTS, between=BETWEEN)


@given(FRAMES, st.one_of(st.none(), PARTS))
@settings(deadline=None)
def test_any_frame_comes_back(frame: Frame, base: bytes | None) -> None:
    data, is_patch = pack(frame, base)
    assert unpack(data, base if is_patch else None) == frame
    assert not is_patch or base


@given(FRAMES, PARTS)
@settings(deadline=None)
def test_a_patch_is_never_larger_than_a_keyframe(frame: Frame, base: bytes) -> None:
    """But where it is so small that there is nothing to gain by comparing, it may be a few bytes."""
    patch, _ = pack(frame, base)
    keyframe, is_patch = pack(frame, None)
    assert not is_patch
    assert len(patch) <= max(len(keyframe), frame.size // 64)


@given(FRAMES, st.one_of(st.just(b""), PARTS), st.data())
@settings(deadline=None)
def test_damaged_bytes_are_noticed(frame: Frame, base: bytes, data: st.DataObject) -> None:
    packed, is_patch = pack(frame, base)
    broken = bytearray(packed)
    kind = data.draw(st.sampled_from(["flip", "cut", "grow"]))
    if kind == "flip":
        broken[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del broken[data.draw(st.integers(0, len(packed) - 1)) :]
    else:
        broken += data.draw(st.binary(min_size=1, max_size=20))
    try:
        assert unpack(bytes(broken), base if is_patch else None) == frame
        assert kind == "flip"  # Not every bit of the header means something.
    except CheckpointCorruptedError:
        pass


@given(st.binary(max_size=200), st.one_of(st.none(), PARTS))
@settings(deadline=None)
def test_foreign_bytes_are_no_frame(data: bytes, base: bytes | None) -> None:
    with pytest.raises(CheckpointCorruptedError):
        unpack(data, base)
    with pytest.raises(CheckpointCorruptedError):
        unpack(zstandard.compress(data), None)


def test_a_patch_against_another_base_is_noticed() -> None:
    randomness = random.Random(1)
    base = randomness.randbytes(20_000)
    packed, is_patch = pack(Frame(checkpoint=base + b"more", payloads=b""), base)
    assert is_patch
    for other in (None, base[:-1], base[::-1], b"x" * 20_000):
        with pytest.raises(CheckpointCorruptedError):
            unpack(packed, other)


def test_parts_that_do_not_add_up_are_noticed() -> None:
    for sizes in ((1, 1, 1, 1), (2**63, 0, 0, 0), (0, 0, 6, 0)):
        raw = b"AFT2" + struct.pack("<QQQQ", *sizes) + b"ab"
        with pytest.raises(CheckpointCorruptedError, match="do not add up"):
            unpack(zstandard.compress(raw), None)


def test_a_frame_without_checkpoints_between_is_as_it_was() -> None:
    data, _ = pack(Frame(checkpoint=b"one", payloads=b"two", entry=b"three", readable=b"four"), None)
    raw = b"AFT2" + struct.pack("<QQQQ", 3, 5, 3, 4) + b"onethreetwofour"
    assert zstandard.decompress(data) == raw


@given(st.lists(PARTS.filter(bool), min_size=1, max_size=6))
@settings(deadline=None)
def test_checkpoints_between_come_back(raws: list[bytes]) -> None:
    patches = tuple(patch(raw, following) for raw, following in pairwise(raws))
    frame = unpack(pack(Frame(checkpoint=raws[-1], payloads=b"", between=patches), None)[0], None)
    assert frame.passed() == raws[:-1]
    for first in range(len(patches)):
        assert frame.passed(first) == raws[first:-1]


def test_damaged_checkpoints_between_are_noticed() -> None:
    for part in (b"", b"1234567", struct.pack("<Q", 3) + b"ab", struct.pack("<Q", 2**63)):
        raw = b"AFT3" + struct.pack("<QQQQQ", 1, 0, 0, 0, len(part)) + b"x" + part
        if part:
            with pytest.raises(CheckpointCorruptedError, match="do not add up"):
                unpack(zstandard.compress(raw), None)
        else:
            assert unpack(zstandard.compress(raw), None) == Frame(checkpoint=b"x", payloads=b"")
    for patches in ((b"no frame",), (patch(bytes(range(256)), bytes(range(256))),)):
        with pytest.raises(CheckpointCorruptedError, match="cannot be decompressed"):
            Frame(checkpoint=b"x", payloads=b"", between=patches).passed()


def test_checkpoints_between_that_are_too_large_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = Frame(checkpoint=b"x" * 600, payloads=b"", between=(patch(b"x" * 600, b"x" * 600),) * 2)
    monkeypatch.setenv(MAX_BYTES_VARIABLE, "1000")
    with pytest.raises(CheckpointCorruptedError, match=r"claim 1,200 bytes, but at most 1,000 are read"):
        frame.passed()
    assert frame.passed(1) == [b"x" * 600]


def test_a_bomb_is_refused_before_memory_is_taken() -> None:
    header = bytes.fromhex("28b52ffd") + bytes([0b11100000]) + (max_checkpoint_bytes() + 1).to_bytes(8, "little")
    with pytest.raises(CheckpointCorruptedError, match=r"claims 67,108,865 bytes, but at most 67,108,864 are read"):
        unpack(header + b"\x01\x00\x00", None)
    stream = zstandard.ZstdCompressor().compressobj()  # Does not say how large it is.
    with pytest.raises(CheckpointCorruptedError):
        unpack(stream.compress(b"x" * 1000) + stream.flush(), None)


def test_what_could_not_be_read_back_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAX_BYTES_VARIABLE, "1000")
    with pytest.raises(
        PayloadError, match=r"At most 1,000 can be read back. Keep a reference to the data in the state"
    ):
        pack(Frame(checkpoint=b"x" * 1_000, payloads=b""), None)


def test_a_step_of_a_long_conversation_costs_what_it_adds() -> None:
    """5 KB more of a conversation of 800 KB: the measurement behind the choice of text and a raw dictionary."""
    randomness = random.Random(7)
    words = [f"{randomness.choice('bcdfghklmnprst')}{randomness.choice('aeiou')}{number:x}" for number in range(4_000)]

    def text(size: int) -> str:
        found = ""
        while len(found) < size:
            found += randomness.choice(words) + " "
        return found

    def checkpoint(messages: list[Message], superstep: int) -> bytes:
        return dumps(
            WorkflowCheckpoint(
                workflow_name="agents",
                graph_signature_hash="h" * 64,
                iteration_count=superstep,
                state={"_executor_state": {"writer": {"cache": messages, "full_conversation": messages}}},
                messages={"writer": [AgentExecutorRequest(messages=messages)]},  # type: ignore[list-item]
            ),
            catalog,
        )

    catalog = TypeCatalog(row("agent-chain").build())
    messages = [
        Message(
            "user" if index % 2 else "assistant",
            [Content.from_text(text(3_900)), Content.from_function_call(f"call-{index}", "find", arguments="{}")],
            message_id=f"message-{index}",
            author_name="writer",
        )
        for index in range(209)
    ]
    base = checkpoint(messages, 1)
    assert len(base) > 800_000
    grown = checkpoint([*messages, Message("assistant", [Content.from_text(text(5_000))], message_id="last")], 2)
    patch, is_patch = pack(Frame(checkpoint=grown, payloads=b""), base)
    assert is_patch
    assert len(patch) < 6_000
    assert unpack(patch, base).checkpoint == grown
    assert digest(grown) != digest(base)


@pytest.mark.parametrize("kilobytes", [300, 1_000, 3_000, 6_000])
def test_a_patch_costs_what_changed_however_large_the_state(kilobytes: int) -> None:
    """With the match tables zstd chooses itself, the patch of a 5 MB checkpoint is 4 MB."""
    parts = [random.Random(number).randbytes(500).hex() for number in range(kilobytes)]
    base = json.dumps(parts).encode()
    parts[kilobytes // 3] = random.Random("changed").randbytes(500).hex()
    parts.insert(kilobytes // 2, random.Random("added").randbytes(500).hex())
    changed = json.dumps(parts).encode()
    frame = Frame(checkpoint=changed, payloads=changed * 2)  # Events repeat what is in the state.
    patch, is_patch = pack(frame, base)
    assert is_patch
    assert len(patch) < 5_000
    assert unpack(patch, base) == frame


@pytest.mark.parametrize(
    ("chain", "size", "raw", "expected"),
    [
        (0, 0, 100, False),
        (KEYFRAME_EVERY - 1, 0, 100, False),
        (KEYFRAME_EVERY, 0, 100, True),
        (1, 64 * 1024, 100, False),
        (1, 64 * 1024 + 1, 100, True),
        (1, 300_000, 900_000, False),
        (1, 300_001, 900_000, True),
    ],
)
def test_a_chain_of_patches_is_bounded_in_length_and_size(chain: int, size: int, raw: int, expected: bool) -> None:
    assert wants_keyframe(chain, size, raw) is expected
