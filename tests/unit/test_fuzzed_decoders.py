"""Random and hostile bytes to every decoder: a value or one of our errors, and nothing runs but a closed set.

See `_watch.py` for what is watched while they decode.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from agent_framework_temporal import Checkpoint, PayloadError
from agent_framework_temporal.adapter.checkpoints.frames import unpack
from agent_framework_temporal.adapter.encoding.decoding import loads
from agent_framework_temporal.adapter.encoding.encoding import dumps
from agent_framework_temporal.adapter.errors import CheckpointCorruptedError
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog
from agent_framework_temporal.adapter.framework.error_data import rebuilt
from agent_framework_temporal.adapter.framework.static import loaded_class
from agent_framework_temporal.adapter.framework.values import from_json_value
from agent_framework_temporal.adapter.temporal.converter import FramedPayloadConverter
from agent_framework_temporal.workflows import messages as _messages
from agent_framework_temporal.workflows.messages import NewerVersionError, WireModel
from agent_framework_temporal.workflows.requests.signals import RejectedResponseError, parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from temporalio.api.common.v1 import Payload

from tests.parity.gallery import GALLERY, Row
from tests.unit import _kinds
from tests.unit._declared import CATALOG, Colour, Grown, Node, Slotted, WithReduce
from tests.unit._in_process import record
from tests.unit._watch import audited, decoding, label_outcome, outcome
from tests.unit.test_hostile_documents import HOSTILE, SOURCE, TEMPORARY, document

_NAMES = [
    *(
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "__import__"),
        ("builtins", "getattr"),
    ),
    *(("subprocess", "Popen"), ("importlib", "import_module"), ("functools", "partial"), ("operator", "attrgetter")),
    *(
        ("pickle", "loads"),
        ("builtins", "open"),
        ("types", "FunctionType"),
        ("builtins", "type"),
        ("builtins", "object"),
    ),
    *(("agent_framework._workflows._checkpoint", "FileCheckpointStorage"), ("agent_framework._agents", "Agent")),
    *(("agent_framework._types", "Message"), ("tests.unit.test_hostile_documents", "Loaded")),
    *(("tests.unit._declared", name) for name in ("Node", "Colour", "Slotted", "Grown", "WithReduce", "Shelf", "Odd")),
]
_KEYS = [f"{module}:{name}" for module, name in _NAMES]
_TAGS = (
    *(
        "$tuple",
        "$set",
        "$frozenset",
        "$dict",
        "$bytes",
        "$bytearray",
        "$slice",
        "$datetime",
        "$time",
        "$deque",
        "$date",
    ),
    *("$defaultdict", "$ordered", "$counter", "$enum", "$type", "$error", "$int", "$complex", "$range", "$decimal"),
    *("$fraction", "$uuid", "$timedelta", "$timezone", "$zone", "$tz", "$path", "$r", "$of", "$eval"),
)
_LEAVES = st.one_of(
    st.none(),
    st.sampled_from([0, 1, -1, 2**61 - 1, 10**9, 0.5, "", "$o", SOURCE, "Europe/Berlin", "2026-01-01", "of", "union"]),
    st.sampled_from(_KEYS),
)
TREES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(st.sampled_from(_TAGS), inner).map(lambda pair: {pair[0]: pair[1]}),
        st.lists(inner, max_size=3).map(lambda values: {"$o": ["x", *values]}),
        st.tuples(st.lists(inner, max_size=3), inner).map(lambda pair: {"$o": ["x", *pair[0]], "$of": pair[1]}),
        st.lists(inner, min_size=1, max_size=3).map(lambda values: {"$type": ["of", *values]}),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_leaves=12,
)
"""Texts made of real tags: most random ones end at the first."""
SHAPES = st.tuples(
    st.one_of(st.sampled_from(_KEYS), TREES),
    st.lists(st.sampled_from(["value", "children", "name", "tags", "__class__", "__dict__", "x"]), max_size=3),
    st.lists(st.integers(-1, 3), max_size=2),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=20), inner, max_size=4)),
    max_leaves=12,
)
MODELS = sorted(
    (found for found in vars(_messages).values() if isinstance(found, type) and issubclass(found, WireModel)),
    key=lambda model: model.__name__,
)
_EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "100"))
"""`make hostile` tries more."""
_FUZZ = settings(deadline=None, max_examples=_EXAMPLES, suppress_health_check=[HealthCheck.too_slow])


@given(TREES, SHAPES, st.lists(TREES, max_size=3))
@_FUZZ
def test_texts_of_real_tags(body: Any, shape: tuple[Any, ...], parts: list[Any]) -> None:
    data = document(body, {"x": list(shape)}, parts)
    outcome(data, CATALOG)
    label_outcome(data)
    assert not TEMPORARY.exists()


@given(st.binary(max_size=200))
@_FUZZ
def test_bytes(data: bytes) -> None:
    for given_data in (data, b'{"v":1,"shapes":{}}\n[]\n' + data):
        outcome(given_data, CATALOG)
        label_outcome(given_data)


@pytest.mark.parametrize("gallery_row", GALLERY, ids=lambda row: row.name)
async def test_mutated_checkpoints_of_a_gallery_row(gallery_row: Row) -> None:
    """Real ones, in which a part is something else: a hostile one, or another of its own."""
    recording = await record(gallery_row)
    catalog = TypeCatalog(recording.workflow)
    randomness = random.Random(gallery_row.name)
    raw = dumps(max(recording.checkpoints, key=lambda checkpoint: len(dumps(checkpoint, catalog))), catalog)
    loads(raw, catalog)  # What is looked up once.
    assert not isinstance(outcome(raw, catalog), PayloadError)
    for data in _mutations(raw, randomness, _EXAMPLES // 10):
        outcome(data, catalog)
        label_outcome(data)
    assert not TEMPORARY.exists()


def test_mutated_values_of_every_kind() -> None:
    randomness = random.Random(1)
    short = [value for value in _kinds.KINDS if len(dumps(value, _kinds.CATALOG)) < 2_000]
    raw = dumps([*short, *_kinds.FRAMEWORK], _kinds.CATALOG)
    loads(raw, _kinds.CATALOG)
    for data in _mutations(raw, randomness, 30):
        outcome(data, _kinds.CATALOG)
    assert not TEMPORARY.exists()


def _mutations(raw: bytes, randomness: random.Random, count: int) -> Iterator[bytes]:
    hostile = [json.loads(data.split(b"\n")[2]) for data in HOSTILE.values() if data.startswith(b'{"v": 1')]
    for number in range(count):
        if number % 5 == 0:
            flipped = bytearray(raw)
            for _ in range(randomness.randrange(1, 4)):
                flipped[randomness.randrange(len(raw))] = randomness.randrange(256)
            yield bytes(flipped)
            continue
        lines = [json.loads(line) for line in raw.decode("utf-8", "surrogatepass").split("\n")]
        for _ in range(randomness.randrange(1, 3)):
            places = list(_places(lines))
            holder, key = randomness.choice(places)
            other, other_key = randomness.choice(places)
            replacement = randomness.choice(
                [hostile[randomness.randrange(len(hostile))], other[other_key], SOURCE, {}, [], 7]
            )
            holder[key] = json.loads(json.dumps(replacement))
        yield "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode("utf-8", "surrogatepass")


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    waiting = [node]
    while waiting:
        item = waiting.pop()
        for key in range(len(item)) if isinstance(item, list) else list(item):
            yield item, key
            if isinstance(item[key], list | dict):
                waiting.append(item[key])


@given(st.binary(max_size=300), st.one_of(st.none(), st.binary(max_size=300)))
@_FUZZ
def test_frames(data: bytes, base: bytes | None) -> None:
    with audited():
        for raw in (data, b"\x28\xb5\x2f\xfd" + data):  # With zstd's magic number it gets further.
            with pytest.raises(CheckpointCorruptedError):
                unpack(raw, base)


@given(st.sampled_from(MODELS), JSON, st.data())
@_FUZZ
def test_wire_models(model: type[WireModel], data: Any, draw: st.DataObject) -> None:
    """From a payload, as a hostile writer of the namespace could send it; also wrong values in the right fields."""
    fields = draw.draw(st.dictionaries(st.sampled_from([*model.model_fields, "x"]), JSON, max_size=6))
    with audited():
        for value in (data, fields):
            body = json.dumps(value).encode()
            payload = Payload(metadata={"encoding": b"json/plain", "agent-framework-frame": body}, data=body)
            _decoded(partial(FramedPayloadConverter().from_payloads, [payload], [model]))
            _decoded(partial(model.model_validate, value))


def _decoded(decode: Callable[[], Any]) -> None:
    with suppress(
        ValidationError, ValueError, RuntimeError, NewerVersionError
    ):  # The SDK wraps what a converter raises.
        decode()


@given(st.sampled_from(["respond", "cancel_requests", "retry", "other"]), st.lists(JSON, max_size=3))
@_FUZZ
def test_signals(name: str, arguments: list[Any]) -> None:
    with audited():
        for given_arguments in (arguments, [{"request_id": "a", "response": argument} for argument in arguments]):
            with suppress(RejectedResponseError):
                parse(name, given_arguments)


@given(JSON, st.one_of(st.none(), st.sampled_from(_KEYS), st.text(max_size=30)))
@_FUZZ
def test_values(data: Any, key: str | None) -> None:
    declared = (Node, Grown, Slotted, list[Colour], str)
    # Annotations of declared types may be evaluated, as pydantic does when it first meets them.
    with audited(allowed=("compile ", "exec ", "import ")):
        from_json_value(data, key, declared, CATALOG)


@given(st.sampled_from(_NAMES), st.lists(st.one_of(st.text(max_size=10), st.integers(), st.none()), max_size=4))
@_FUZZ
def test_exceptions(name: tuple[str, str], arguments: list[Any]) -> None:
    """A failure names the class of its exception; only one that may be made is, and without its code."""
    with decoding():
        error = rebuilt(*name, arguments, "text", None, catalog=CATALOG)
        loaded = loaded_class("no_such_module:Any")
    assert type(error).__name__ in ("RunFailedError", "Odd")
    assert loaded is None


@given(st.one_of(st.text(max_size=100), JSON.map(json.dumps)))
@_FUZZ
def test_checkpoint_handles(text: str) -> None:
    with audited():
        _decoded(lambda: Checkpoint.from_json(text))


def test_the_hooks_see_what_they_should() -> None:
    with pytest.raises(AssertionError), audited():
        compile("1", "fuzz", "eval")
    with pytest.raises(AssertionError, match=r"_declared\.py:WithReduce\.__init__"), decoding():
        WithReduce("text")
    with pytest.raises(AssertionError, match=r"posix\.getpid"), decoding():
        os.getpid()
    assert loads(dumps(Node(Colour.RED), CATALOG), CATALOG) == Node(Colour.RED)
