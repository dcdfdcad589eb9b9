"""What it takes to decode: memory and calls in proportion to the text, and never more than a multiple of the limit."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import zstandard
from agent_framework import WorkflowCheckpoint
from agent_framework_temporal.activities.capturing_storage import dump_checkpoint
from agent_framework_temporal.adapter.checkpoints.frames import Frame, pack, packed, unpack, unpacked
from agent_framework_temporal.adapter.checkpoints.logged_events import EventWriter
from agent_framework_temporal.adapter.encoding.decoding import decoded, loads
from agent_framework_temporal.adapter.encoding.document import (
    MAX_BYTES_VARIABLE,
    max_checkpoint_bytes,
)
from agent_framework_temporal.adapter.encoding.encoding import dumps
from agent_framework_temporal.adapter.encoding.off_loop import LARGE
from agent_framework_temporal.adapter.errors import CheckpointCorruptedError, PayloadError
from agent_framework_temporal.adapter.framework.internals import new_event
from agent_framework_temporal.adapter.framework.values import preview

from tests.unit._calls import watched
from tests.unit._kinds import CATALOG, Plain

LIMIT = 1024 * 1024
MULTIPLE = 16
"""Of the limit: the most memory that any text takes while it is decoded."""


@pytest.fixture(autouse=True)
def _small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAX_BYTES_VARIABLE, str(LIMIT))


def _text(body: str, shapes: Any = None, parts: str = "[]") -> bytes:
    header = json.dumps({"v": 1, "shapes": shapes or {}})
    return f"{header}\n{parts}\n{body}".encode("utf-8", "surrogatepass")


def _list(item: str, size: int, before: str = "[", after: str = "]", **more: Any) -> bytes:
    """Return the text of as many items as fit; a number takes the place of `#` in each."""
    fitting = size // (len(item) + 1 + 6 * item.count("#"))
    items = [item.replace("#", str(number)) for number in range(fitting)]
    return _text(f"{before}{','.join(items)}{after}", **more)


_PLAIN = {"x": ["tests.unit._kinds:Plain", ["a"], [0]]}
_WIDE = {"x": ["tests.unit._kinds:Plain", [f"a{number}" for number in range(1_000)], list(range(1_000))]}
_DIGITS = "f" * 9_000
FAMILIES: dict[str, Callable[[int], bytes]] = {
    "lists": partial(_list, "[]"),
    "objects of JSON": partial(_list, '{"#":1}'),
    "sets": partial(_list, '{"$set":[1]}'),
    "deques": partial(_list, '{"$deque":[null,[]]}'),
    "ordered dictionaries": partial(_list, '{"$ordered":{}}'),
    "tuples": partial(_list, '{"$tuple":[]}'),
    "instances": partial(_list, '{"$o":["x"]}', shapes=_PLAIN),
    "instances in parts": lambda size: _text("0", _PLAIN, _list('{"$o":["x"]}', size).decode().split("\n")[2]),
    "instances of many attributes": partial(_list, '{"$o":["x"]}', shapes=_WIDE),
    "integers": partial(_list, "1"),
    "floats": partial(_list, "0.5"),
    "texts": partial(_list, '"ab"'),
    "empty texts": partial(_list, '""'),
    "names": partial(_list, '"#":1', before="{", after="}"),
    "keys": partial(_list, "#,1", before='{"$dict":[', after="]}"),
    "members": partial(_list, "#", before='{"$set":[', after="]}"),
    "a wide text": lambda size: _text('"' + "a" * (size - 100) + '🎉"'),
    "an escaped text": lambda size: _text('"' + "\\u0041" * (size // 7) + '"'),
    "bytes": lambda size: _text('{"$bytes":"' + "YWFh" * (size // 5) + '"}'),
    "an integer": lambda size: _text('{"$int":"' + "f" * (size - 100) + '"}'),
    "a decimal": lambda size: _text('{"$decimal":"' + "9" * (size - 100) + '"}'),
    "exponents": partial(_list, '{"$decimal":"1E+999999999"}'),
    "fractions": partial(_list, '{"$fraction":[{"$int":"' + _DIGITS + '"},{"$int":"' + _DIGITS[1:] + 'e"}]}'),
    "ranges": partial(_list, '{"$range":[0,1000000000,1]}'),
    "datetimes": partial(_list, '{"$datetime":"2026-01-01T00:00:00"}'),
    "annotations": partial(_list, '{"$type":["of","builtins:list","builtins:int"]}'),
    "exceptions": partial(_list, '{"$error":["builtins:ValueError",["x"],null,null]}'),
    "references": partial(_list, '{"$r":0}', parts="[[]]"),
    "flags": partial(_list, '{"$enum":["tests.unit._kinds:Bits",null,#]}'),
}


def _fitting(family: Callable[[int], bytes]) -> bytes:
    """Return the largest text of a family that is taken."""
    size = LIMIT
    while True:
        data = family(size)
        try:
            loads(data, CATALOG)
        except PayloadError as error:
            assert (
                "can be read back" in str(error)
                or "attributes that are None" in str(error)
                or "has no member" in str(error)
            )
            size = size * 2 // 3
        else:
            return data


def _peak(work: Callable[[], Any]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _refused(data: bytes) -> None:
    with pytest.raises(PayloadError):
        loads(data, CATALOG)


@pytest.mark.parametrize("name", FAMILIES)
def test_memory_is_bounded_by_a_small_multiple_of_the_limit(name: str) -> None:
    largest = _fitting(FAMILIES[name])
    assert _peak(lambda: loads(largest, CATALOG)) < MULTIPLE * LIMIT
    data = FAMILIES[name](LIMIT)
    if len(data) > len(largest) * 1.1:
        assert _peak(lambda: _refused(data)) < MULTIPLE * LIMIT


@pytest.mark.parametrize("name", FAMILIES)
def test_calls_are_in_proportion_to_the_text(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def calls(size: int) -> float:
        data = FAMILIES[name](size)
        with watched() as found:
            loads(data, CATALOG)
        return found.number / len(data)

    monkeypatch.setenv(MAX_BYTES_VARIABLE, str(16 * LIMIT))
    calls(4_000)
    assert calls(40_000) < 1.5 * calls(10_000) + 0.01
    assert calls(40_000) < 3


# What was seen to take all memory, or for ever.


def test_no_few_bytes_are_a_large_value() -> None:
    for body in (
        '{"$deque":[null,{"$range":[0,1000000000,1]}]}',
        '{"$counter":{"$range":[0,1000000000,1]}}',
        '{"$set":{"$range":[0,1000000000,1]}}',
        '{"$tuple":{"$range":[0,1000000000,1]}}',
        '{"$fraction":["1e20000000",1]}',
        '{"$fraction":[{"$decimal":"1E+20000000"},1]}',
        '{"$bytearray":1000000000}',
    ):
        assert _peak(lambda body=body: _refused(_text(body))) < 200_000  # type: ignore[misc]


def test_a_nest_of_shared_lists_is_small_and_nothing_unfolds_it() -> None:
    parts = ",".join(f'[{{"$r":{number + 1}}},{{"$r":{number + 1}}}]' for number in range(200))
    found = loads(_text('{"$r":0}', parts=f"[{parts},[]]"), CATALOG)
    assert _peak(lambda: preview(found)) < 20_000_000
    for value in (found, Plain(a=found), (found,), {"a": found}):
        shown, size = preview(value)
        assert shown == f"{type(value).__name__}: (too large to be shown)"
        assert size < 100
    writer = EventWriter(offset=0, attempt=1)
    writer.add(new_event("output", data=found, executor_id="e"), 1)
    assert len(writer.encoded(CATALOG)) < 10_000
    with pytest.raises(PayloadError):
        loads(_text('{"$set":[{"$tuple":[{"$r":0}]}]}', parts=f"[{parts},[]]"), CATALOG)


def test_what_is_shown_of_a_value_that_is_nested_deep_is_its_kind() -> None:
    deep: Any = []
    for _ in range(3_000):
        deep = [deep]
    assert preview(deep)[0] == "list: (too large to be shown)"
    deep = {"a": [Plain(b=list(range(10)))]}
    assert preview(deep)[0] != "dict: (too large to be shown)"


_MEASURED = """
import resource, sys, json, zstandard
from agent_framework_temporal.adapter.checkpoints.frames import unpack
from agent_framework_temporal.adapter.errors import CheckpointCorruptedError
unpack_before = None
data = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    unpack(data, None)
except CheckpointCorruptedError as error:
    print(json.dumps([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, str(error)]))
"""


def _taken_by(data: bytes) -> tuple[int, str]:
    """Return the kilobytes that a process of its own takes to refuse a frame, and what it says."""
    done = subprocess.run([sys.executable, "-c", _MEASURED], input=data, capture_output=True, check=True, timeout=120)
    kilobytes, text = json.loads(done.stdout)
    return kilobytes, text


def test_a_small_frame_that_is_a_large_one_is_refused_having_used_next_to_nothing() -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(500_000_000))
    assert len(bomb) < 64_000
    kilobytes, text = _taken_by(bomb)
    assert "claims 500,000,000 bytes" in text
    assert MAX_BYTES_VARIABLE in text
    assert kilobytes < 4_000


def test_a_frame_that_lies_about_its_size_is_refused_having_used_what_it_claims() -> None:
    honest = zstandard.ZstdCompressor(level=19).compress(bytes(100_000_000))
    parameters = zstandard.get_frame_parameters(honest)
    assert parameters.content_size == 100_000_000
    place = honest.index((100_000_000).to_bytes(4, "little"))
    lying = honest[:place] + (500_000).to_bytes(4, "little") + honest[place + 4 :]
    kilobytes, text = _taken_by(lying)
    assert "cannot be decompressed" in text
    assert kilobytes < 8_000
    claiming = bytes.fromhex("28b52ffd") + bytes([0b11100000]) + (LIMIT).to_bytes(8, "little") + b"\x01\x00\x00"
    assert _taken_by(claiming)[0] < 4_000


def test_a_frame_wants_no_more_of_a_window_than_we_write() -> None:
    wide = (
        bytes.fromhex("28b52ffd") + bytes([0b11000000, 31 - 10 << 3]) + (1_000).to_bytes(8, "little") + b"\x01\x00\x00"
    )
    assert zstandard.get_frame_parameters(wide).window_size > 1 << 30
    kilobytes, text = _taken_by(wide)
    assert "cannot be decompressed" in text
    assert kilobytes < 4_000


# The writer keeps to what the reader takes.


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (["x" * LIMIT], r"It takes 1,048,\d+ bytes; at most 1,048,576 can be read back"),
        ([[] for _ in range(20_000)], r"It holds 20,0\d\d lists and objects; at most 16,384 can be read back"),
        ([1] * 100_000, r"It holds 100,0\d\d values; at most 65,536 can be read back"),
        (
            [Plain(**{f"a{index}": None for index in range(1_000)}) for _ in range(300)],
            "It has 300,000 attributes that are None",
        ),
    ],
    ids=["bytes", "lists", "values", "attributes"],
)
def test_what_could_not_be_read_back_is_not_written(value: Any, text: str) -> None:
    with pytest.raises(PayloadError, match=rf"{text}.*Keep a reference in the state.*{MAX_BYTES_VARIABLE}"):
        dumps(value, CATALOG)
    for fields, part in (
        ({"state": {"good": 1, "large": value}}, "shared state key 'large'"),
        ({"state": {"_executor_state": {"e": {"k": value}}}}, "executor 'e', state key 'k'"),
    ):
        checkpoint = WorkflowCheckpoint(workflow_name="w", graph_signature_hash="h", **fields)
        with pytest.raises(PayloadError, match=f"^{part}: {text}"):
            dump_checkpoint(checkpoint, CATALOG)


def test_parts_that_are_too_large_together_are_refused_with_the_largest() -> None:
    state = {"small": "x" * 300_000, "large": "y" * 400_000, "other": "z" * 350_000}
    checkpoint = WorkflowCheckpoint(workflow_name="w", graph_signature_hash="h", state=state)
    with pytest.raises(
        PayloadError, match=r"^The checkpoint: It takes 1,050,\d+ .* Largest: shared state key 'large' \(400,"
    ):
        dump_checkpoint(checkpoint, CATALOG)


def test_a_frame_that_is_too_large_is_refused_with_its_parts() -> None:
    with pytest.raises(PayloadError, match=r"its checkpoint 900,000, .* and its events 200,000. At most 1,048,576"):
        pack(Frame(checkpoint=b"x" * 900_000, payloads=b"y" * 200_000), None)


def test_the_limit_is_one_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MAX_BYTES_VARIABLE)
    assert max_checkpoint_bytes() == 64 * 1024 * 1024
    for text in ("a lot", "-1", "0", "1e9", "9" * 30, "64MB"):
        monkeypatch.setenv(MAX_BYTES_VARIABLE, text)
        with pytest.raises(PayloadError, match=f"{MAX_BYTES_VARIABLE} is '{text}'. Set it to a number of bytes"):
            max_checkpoint_bytes()
    monkeypatch.setenv(MAX_BYTES_VARIABLE, "1000000")
    frame, _ = pack(Frame(checkpoint=b"x" * 900_000, payloads=b""), None)
    monkeypatch.setenv(MAX_BYTES_VARIABLE, "800000")
    with pytest.raises(CheckpointCorruptedError, match=r"claims 900,\d+ bytes, but at most 800,000 are read"):
        unpack(frame, None)


# Large ones are handled beside the event loop.


async def test_the_event_loop_goes_on_while_large_frames_are_packed_unpacked_and_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(MAX_BYTES_VARIABLE, str(64 * LIMIT))
    records = [{"id": number, "words": [f"word {number}", "x" * 20]} for number in range(30_000)]
    raw = dumps({"records": records}, CATALOG)
    assert len(raw) > 4 * LARGE
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    try:
        for work in _works(raw):
            before = turns
            await work
            assert turns > before + 10
    finally:
        counting.cancel()


def _works(raw: bytes) -> Iterator[Any]:
    frame = Frame(checkpoint=raw * 20, payloads=b"")
    data, _ = pack(frame, None)
    yield packed(frame, None)
    yield unpacked(data, None)
    yield decoded(raw, CATALOG)
