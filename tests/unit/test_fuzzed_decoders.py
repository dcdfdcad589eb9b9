"""Random and hostile bytes to every decoder: a value or one of our errors, and nothing is executed.

While they decode, an audit hook watches for what an exploit would do: the interpreter reports processes, sockets, code
that is compiled or run, and files that are opened to write.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from agent_framework_temporal import Checkpoint, PayloadError
from agent_framework_temporal.adapter.checkpoints.frames import unpack
from agent_framework_temporal.adapter.checkpoints.label import read_label
from agent_framework_temporal.adapter.checkpoints.pickling import dumps, loads, new_exception
from agent_framework_temporal.adapter.errors import CheckpointCorruptedError
from agent_framework_temporal.adapter.framework.catalog import loaded_class
from agent_framework_temporal.adapter.framework.values import from_json_value
from agent_framework_temporal.adapter.temporal.converter import FramedPayloadConverter
from agent_framework_temporal.workflows import messages as _messages
from agent_framework_temporal.workflows.messages import WireModel
from agent_framework_temporal.workflows.requests.signals import RejectedAnswerError, parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from temporalio.api.common.v1 import Payload

from tests.unit._declared import CATALOG, Colour, Grown, Node, Slotted

_FORBIDDEN = (
    "exec",
    "compile",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "subprocess.Popen",
    "socket.connect",
)
_watching = False
_seen: list[str] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in _FORBIDDEN or (event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")):
        _seen.append(f"{event} {arguments!r:.200}")


sys.addaudithook(_audit)


@contextmanager
def _watched(*, annotations: bool = False) -> Iterator[None]:
    """Watch the body; `annotations` of declared types may be evaluated, as pydantic does when it first meets them."""
    global _watching
    _seen.clear()
    _watching = True
    try:
        yield
    finally:
        _watching = False
    allowed = ("compile ", "exec ") if annotations else ()
    assert [event for event in _seen if not event.startswith(allowed)] == []


def _short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


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
    *(("tests.unit._declared", name) for name in ("Node", "Colour", "Slotted", "Grown", "WithReduce", "Shelf", "Odd")),
    ("agent_framework_temporal.adapter.checkpoints.pickling", "_restore_exception"),
    ("agent_framework_temporal.adapter.checkpoints.pickling", "_restore_nested"),
    ("agent_framework_temporal.adapter.checkpoints.pickling", "_restore_annotation"),
]
_PUSH = st.one_of(
    st.sampled_from([b"N", b"\x88", b"\x89", b"]", b"}", b")", b"\x8f", b"(", b"K\x01", b"J\xff\xff\xff\x7f"]),
    st.sampled_from(["echo pwned", "", "__class__", "os", "x"]).map(_short),
    st.sampled_from(_NAMES).map(lambda name: _short(name[0]) + _short(name[1]) + b"\x93"),
)
_ACT = st.sampled_from(
    [
        *(b"R", b"\x81", b"\x92", b"b", b"a", b"s", b"e", b"u", b"\x90", b"t", b"\x85", b"\x86", b"\x87", b"\x94"),
        *(b"h\x00", b"0", b"1", b"\x91", b"i", b"c", b"o", b"Q", b"\x80\x05", b"\x95" + b"\xff" * 7 + b"\x7f"),
    ]
)
PROGRAMS = st.lists(st.one_of(_PUSH, _ACT), max_size=30).map(lambda parts: b"\x80\x05" + b"".join(parts) + b".")
"""Pickles made of real opcodes: most of random bytes end at the first."""
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=20), inner, max_size=4)),
    max_leaves=12,
)
MODELS = sorted(
    (
        found
        for found in vars(_messages).values()
        if isinstance(found, type) and issubclass(found, WireModel) and found.__module__ == _messages.__name__
    ),
    key=lambda model: model.__name__,
)
_FUZZ = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])


@given(st.one_of(PROGRAMS, st.binary(max_size=200)))
@_FUZZ
def test_pickles(data: bytes) -> None:
    with _watched():
        for decode, expected in (
            (lambda raw: loads(raw, CATALOG), PayloadError),
            (read_label, CheckpointCorruptedError),
        ):
            with suppress(expected):
                decode(data)


@given(st.binary(max_size=300), st.one_of(st.none(), st.binary(max_size=300)))
@_FUZZ
def test_frames(data: bytes, base: bytes | None) -> None:
    with _watched():
        for raw in (data, b"\x28\xb5\x2f\xfd" + data):  # With zstd's magic number it gets further.
            with pytest.raises(CheckpointCorruptedError):
                unpack(raw, base)


@given(st.sampled_from(MODELS), JSON, st.data())
@_FUZZ
def test_wire_models(model: type[WireModel], data: Any, draw: st.DataObject) -> None:
    """From a payload, as a hostile writer of the namespace could send it; also wrong values in the right fields."""
    fields = draw.draw(st.dictionaries(st.sampled_from([*model.model_fields, "x"]), JSON, max_size=6))
    with _watched():
        for value in (data, fields):
            body = json.dumps(value).encode()
            payload = Payload(metadata={"encoding": b"json/plain", "agent-framework-frame": body}, data=body)
            _decoded(partial(FramedPayloadConverter().from_payloads, [payload], [model]))
            _decoded(partial(model.model_validate, value))


def _decoded(decode: Callable[[], Any]) -> None:
    with suppress(ValidationError, ValueError, RuntimeError):  # The SDK wraps what a converter raises.
        decode()


@given(st.sampled_from(["respond", "cancel_requests", "retry", "other"]), st.lists(JSON, max_size=3))
@_FUZZ
def test_signals(name: str, arguments: list[Any]) -> None:
    with _watched():
        for given_arguments in (arguments, [{"request_id": "a", "response": argument} for argument in arguments]):
            with suppress(RejectedAnswerError):
                parse(name, given_arguments)


@given(
    JSON, st.one_of(st.none(), st.sampled_from([f"{module}:{name}" for module, name in _NAMES]), st.text(max_size=30))
)
@_FUZZ
def test_values(data: Any, key: str | None) -> None:
    declared = (Node, Grown, Slotted, list[Colour], str)
    with _watched(annotations=True):
        from_json_value(data, key, declared, CATALOG)


@given(st.sampled_from(_NAMES), st.lists(st.one_of(st.text(max_size=10), st.integers(), st.none()), max_size=4))
@_FUZZ
def test_exceptions(name: tuple[str, str], arguments: list[Any]) -> None:
    """A failure names the class of its exception; only a class of an exception that is loaded is made."""
    with _watched():
        error = new_exception(*name, arguments)
        assert error is None or isinstance(error, Exception)
        assert loaded_class("no_such_module:Any") is None


@given(st.one_of(st.text(max_size=100), JSON.map(json.dumps)))
@_FUZZ
def test_checkpoint_handles(text: str) -> None:
    with _watched():
        _decoded(lambda: Checkpoint.from_json(text))


def test_the_hook_sees_what_it_should() -> None:
    with pytest.raises(AssertionError), _watched():
        compile("1", "fuzz", "eval")
    assert loads(dumps(Node(Colour.RED), CATALOG), CATALOG) == Node(Colour.RED)
