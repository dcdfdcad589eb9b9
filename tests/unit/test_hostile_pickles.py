"""What is read is never trusted: hostile or damaged bytes do nothing but fail."""

from __future__ import annotations

import builtins
import contextlib
import copyreg
import datetime
import os
import pathlib
import pickle
import subprocess
import uuid
from typing import Any

import agent_framework
import pytest
from agent_framework import (
    FileCheckpointStorage,
    Message,
)
from agent_framework_temporal.adapter.checkpoints.pickling import dumps, loads
from agent_framework_temporal.adapter.errors import PayloadError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit._declared import (
    CATALOG,
    Colour,
    Grown,
    Level,
    Node,
    Slotted,
)


class _Exploit:
    """Pickles to a call."""

    def __init__(self, function: Any, *args: Any, state: Any = None) -> None:
        self.reduced = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def _bytes(*parts: bytes) -> bytes:
    return b"\x80\x05" + b"".join(parts) + b"."


def _name(module: str, name: str) -> bytes:
    return b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name)) + b"\x93"


def _text(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


_TEMPORARY = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"exploited-{uuid.uuid4().hex}"

_NESTED = pickle.dumps(_Exploit(os.system, f"touch {_TEMPORARY}"), 5)
HOSTILE: dict[str, bytes] = {
    "os.system": pickle.dumps(_Exploit(os.system, f"touch {_TEMPORARY}"), 5),
    "os.system, protocol 0": pickle.dumps(_Exploit(os.system, f"touch {_TEMPORARY}"), 0),
    "subprocess": pickle.dumps(_Exploit(subprocess.Popen, ["touch", str(_TEMPORARY)]), 5),
    "eval": pickle.dumps(_Exploit(builtins.eval, f"open({str(_TEMPORARY)!r}, 'w')"), 5),
    "exec": pickle.dumps(_Exploit(builtins.exec, f"open({str(_TEMPORARY)!r}, 'w')"), 5),
    "open": pickle.dumps(_Exploit(open, str(_TEMPORARY), "w"), 5),
    "getattr chain": pickle.dumps(_Exploit(getattr, dict, "__class__"), 5),
    "dotted name": _bytes(_name("agent_framework_temporal.adapter.checkpoints.pickling", "loads.__globals__")),
    "dotted name through a class": _bytes(_name("tests.unit._declared", "Node.__init__")),
    "type makes a class": pickle.dumps(_Exploit(type, "X", (), {}), 5),
    "object is called": pickle.dumps(_Exploit(list, range(10**12)), 5),
    "huge bytes": pickle.dumps(_Exploit(bytes, 10**12), 5),
    "huge bytearray": _bytes(b"\x96" + (10**12).to_bytes(8, "little")),
    "storage makes a folder": pickle.dumps(_Exploit(FileCheckpointStorage, str(_TEMPORARY)), 5),
    "storage, without constructor": _bytes(_name(FileCheckpointStorage.__module__, "FileCheckpointStorage"), b")\x81"),
    "framework data is called": pickle.dumps(_Exploit(Message, "user", ["hi"]), 5),
    "framework function": pickle.dumps(_Exploit(agent_framework.tool, len), 5),
    "framework decoder": _bytes(
        _name("agent_framework._workflows._checkpoint_encoding", "decode_checkpoint_value"), b")R"
    ),
    "name imported by the framework": _bytes(_name("agent_framework._workflows._checkpoint", "Path")),
    "module of the framework": _bytes(_name("agent_framework._workflows._checkpoint", "os")),
    "undeclared class": _bytes(_name("tests.unit._undeclared", "Undeclared"), b")\x81"),
    "helper as attribute": _bytes(_name("agent_framework_temporal.adapter.checkpoints.pickling", "pickle")),
    "exception that is none": _bytes(
        _name("agent_framework_temporal.adapter.checkpoints.pickling", "_restore_enum"),
        _name("builtins", "object"),
        _text("x"),
        b"N\x87R",
    ),
    "copyreg": pickle.dumps(_Exploit(copyreg._reconstructor, Node, object, None), 5),  # type: ignore[attr-defined]
    "persistent id": _bytes(b"Pid\n"),
    "extension": _bytes(b"\x82\x01"),
    "inst": b"(ios\nsystem\n.",
    "class attribute": _bytes(_name("tests.unit._declared", "Node"), b"N}" + _text("children") + b"K\x01s\x86b"),
    "class attribute of the framework": _bytes(
        _name("agent_framework._types", "Message"), b"N}" + _text("text") + _text("yes") + b"s\x86b"
    ),
    "enum member": _bytes(
        _name("tests.unit._declared", "Level"), b"K\x01\x85\x81", b"}" + _text("_value_") + b"K\x07sb"
    ),
    "enum member by helper": _bytes(
        _name("agent_framework_temporal.adapter.checkpoints.pickling", "_restore_enum"),
        _name("tests.unit._declared", "Level"),
        _text("LOW"),
        b"N\x87R}" + _text("_value_") + b"K\x07sb",
    ),
    "helper is changed": _bytes(
        _name("agent_framework_temporal.adapter.checkpoints.pickling", "_restore_enum"),
        b"N}" + _text("__defaults__") + b"K\x01\x85s\x86b",
    ),
    "nested": _bytes(
        _name("agent_framework_temporal.adapter.checkpoints.pickling", "_restore_nested"),
        b"C" + bytes([len(_NESTED)]) + _NESTED + b"\x85R",
    ),
    "nested, no bytes": _bytes(
        _name("agent_framework_temporal.adapter.checkpoints.pickling", "_restore_nested"), b"K\x01\x85R"
    ),
    "method of a class as collection": _bytes(_name("tests.unit._declared", "Shelf"), b"K\x01a"),
    "nothing": b"",
    "no pickle": b"hello",
    "no end": pickle.dumps([1, 2, 3], 5)[:-1],
    "text instead of data": b"I1\n.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_does_nothing_but_fail(name: str) -> None:
    before = (dict(vars(Node)), dict(vars(Message)), Level.LOW.value)
    with pytest.raises(PayloadError, match="Checkpoint data cannot be read"):
        loads(HOSTILE[name], CATALOG)
    assert not _TEMPORARY.exists()
    assert (dict(vars(Node)), dict(vars(Message)), Level.LOW.value) == before


def test_a_hostile_pickle_imports_nothing() -> None:
    import sys

    for module, name in (("this", "s"), ("antigravity", "webbrowser"), ("agent_framework.devui", "serve")):
        sys.modules.pop(module, None)
        with pytest.raises(PayloadError):
            loads(_bytes(_name(module, name)), CATALOG)
        assert module not in sys.modules


@given(st.data())
@settings(deadline=None)
def test_a_damaged_pickle_gives_a_value_or_a_payload_error(data: st.DataObject) -> None:
    raw = bytearray(dumps([Node(Slotted("a")), {"k": Grown(due=datetime.datetime(2026, 1, 1))}, Colour.RED], CATALOG))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PayloadError):
        loads(bytes(raw[: data.draw(st.integers(0, len(raw)))]), CATALOG)
