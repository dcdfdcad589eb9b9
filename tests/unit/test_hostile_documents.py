"""What is read is never trusted: a hostile or damaged text does nothing but fail."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import sys
import uuid
import zoneinfo
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest
from agent_framework import FileCheckpointStorage, Message
from agent_framework_temporal.adapter.encoding.decoding import loads
from agent_framework_temporal.adapter.encoding.document import NESTING
from agent_framework_temporal.adapter.encoding.encoding import dumps
from agent_framework_temporal.adapter.errors import PayloadError
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from tests.unit._declared import CATALOG, Colour, Grown, Level, Node, Slotted
from tests.unit._watch import outcome

T = TypeVar("T")


class Loaded(BaseModel, Generic[T]):
    """A generic model that is loaded, and that no workflow declares: to subscript it evaluates text."""

    content: T


loads(dumps([list[int], zoneinfo.ZoneInfo("UTC")], CATALOG), CATALOG)  # What is looked up once.
TEMPORARY = Path(os.environ.get("TMPDIR", "/tmp")) / f"exploited-{uuid.uuid4().hex}"
SOURCE = f"__import__('os').system('touch {TEMPORARY}')"
"""What would be evaluated as a type."""
STORAGE = f"{FileCheckpointStorage.__module__}:FileCheckpointStorage"


def document(body: Any, shapes: dict[str, Any] | None = None, parts: list[Any] | None = None) -> bytes:
    """Return the text that says `body`."""
    lines = ({"v": 1, "shapes": shapes or {}}, parts or [], body)
    return "\n".join(json.dumps(line) for line in lines).encode()


def instance(key: Any, *values: Any, names: Any = None, empty: Any = None, **more: Any) -> bytes:
    """Return the text of an object of a class."""
    given = [f"a{index}" for index in range(len(values))] if names is None else names
    return document({"$o": ["x", *values], **more}, {"x": [key, given, [] if empty is None else empty]})


def annotated(node: Any) -> bytes:
    return document({"$type": node})


_DECLARED = "tests.unit._declared"
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
    *("$fraction", "$uuid", "$timedelta", "$timezone", "$zone", "$tz", "$path", "$r", "$o"),
)
_FITTING = {("$tuple", list), ("$set", list), ("$frozenset", list), ("$counter", dict), ("$ordered", dict)}
_MESSAGE = "agent_framework._types:Message"
HOSTILE: dict[str, bytes] = {
    # Classes and functions.
    "os.system": instance("os:system", SOURCE),
    "subprocess": instance("subprocess:Popen", ["touch", str(TEMPORARY)]),
    "eval": instance("builtins:eval", SOURCE),
    "type": instance("builtins:type"),
    "object": instance("builtins:object"),
    "abstract class": instance("collections.abc:Sequence"),
    "builtin class": instance("builtins:dict", **{"$of": {}}),
    "storage": instance(STORAGE, str(TEMPORARY), names=["storage_path"]),
    "tool": instance("agent_framework._tools:FunctionTool", "x", names=["name"]),
    "framework function": instance("agent_framework._tools:tool"),
    "name imported by the framework": instance("agent_framework._workflows._checkpoint:Path", "x"),
    "module of the framework": instance("agent_framework._workflows._checkpoint:os"),
    "our own module": instance("agent_framework_temporal.adapter.encoding.decoding:loads"),
    "undeclared class": instance("tests.unit._undeclared:Undeclared"),
    "dotted name": instance(f"{_DECLARED}:Node.__init__.__globals__"),
    "executor": instance(f"{_DECLARED}:Keeper"),
    "a class without a name": instance(7),
    "a list": instance(["union", "builtins:int", "builtins:str"]),
    "an enumeration": instance(f"{_DECLARED}:Level", 7, names=["_value_"]),
    "an exception": instance(f"{_DECLARED}:Odd", "pens", names=["item"]),
    "a metaclass": instance("builtins:type", **{"$of": "X"}),
    # Objects that are none.
    "too few attributes": instance(f"{_DECLARED}:Node", names=["value"]),
    "too many attributes": instance(f"{_DECLARED}:Node", 1, 2, names=["value"]),
    "one attribute twice": instance(f"{_DECLARED}:Node", 1, 2, names=["value", "value"]),
    "attribute without name": instance(f"{_DECLARED}:Node", 1, names=[1]),
    "slot that is none": instance(f"{_DECLARED}:Slotted", 1, names=["other"]),
    "gap beyond": instance(f"{_DECLARED}:Node", names=["value"], empty=[5]),
    "gap twice": instance(f"{_DECLARED}:Node", names=["value"], empty=[0, 0]),
    "gap that is none": instance(f"{_DECLARED}:Node", names=["value"], empty=["value"]),
    "unknown shape": document({"$o": ["x"]}),
    "shape that is none": document({"$o": ["x"]}, {"x": [1]}),
    "content of an object": instance(f"{_DECLARED}:Node", **{"$of": {}}),
    "no content": instance(f"{_DECLARED}:Shelf"),
    "other content": instance(f"{_DECLARED}:Shelf", **{"$of": []}),
    "content elsewhere": document(
        {"$o": ["x"], "$of": {"$r": 0}}, {"x": [f"{_DECLARED}:Shelf", [], []]}, [{}]
    ),
    "class in place of a method": instance(_MESSAGE, {"$type": "builtins:list"}, names=["to_dict"]),
    "pydantic's notes": instance(f"{_DECLARED}:Node.Inner", 1, names=["__pydantic_fields_set__"]),
    "more than an object": document({"$o": ["x"], "other": 1}, {"x": [f"{_DECLARED}:Node", [], []]}),
    # Annotations, as types of requests are.
    "list of source": annotated(["of", "builtins:list", SOURCE]),
    "dict of source": annotated(["of", "builtins:dict", "builtins:str", SOURCE]),
    "union of source": annotated(["union", "builtins:int", SOURCE]),
    "source": annotated(SOURCE),
    "source as text": annotated(["of", "builtins:list", ["literal"]]),
    "forward reference": annotated(["of", "typing:ForwardRef", SOURCE]),
    "generic model": annotated(["of", f"{__name__}:Loaded", "builtins:int"]),
    "generic model of source": annotated(["of", f"{__name__}:Loaded", SOURCE]),
    "instance of a generic model": instance(["of", f"{__name__}:Loaded", SOURCE]),
    "declared model of source": annotated(["of", f"{_DECLARED}:Box", SOURCE]),
    "declared model of another type": annotated(["of", f"{_DECLARED}:Box", "builtins:bytes"]),
    "model of the OpenAI package": annotated(["of", "openai.types.chat.parsed_chat_completion:ParsedChoice", SOURCE]),
    "literal of a class": annotated(["literal", ["enum", "builtins:object", "x"]]),
    "union of nothing": annotated(["union"]),
    "annotation of a number": annotated(7),
    "annotation of nothing": annotated([]),
    "annotation that is too deep": annotated(json.loads('["of","builtins:list",' * 60 + '"any"' + "]" * 60)),
    "annotation of too many parts": annotated(["union", *[f"builtins:{name}" for name in ("int", "str") * 99]]),
    # Members, exceptions, factories.
    "member that is none": document({"$enum": f"{_DECLARED}:Level.HIGH"}),
    "member of no enumeration": document({"$enum": f"{_DECLARED}:Node.value"}),
    "member by attribute": document({"$enum": f"{_DECLARED}:Level.__class__"}),
    "value of no flag": document({"$enum": [f"{_DECLARED}:Level", None, 7]}),
    "value that is none": document({"$enum": [f"{_DECLARED}:Rights", None, "x"]}),
    "factory": document({"$defaultdict": ["os:system", {}]}),
    "factory of the framework": document({"$defaultdict": ["agent_framework._types:Message", {}]}),
    "factory that is undeclared": document({"$defaultdict": ["tests.unit._undeclared:Undeclared", {}]}),
    "exception's argument": document({"$error": ["builtins:ValueError", [{"$type": "builtins:list"}], "x", None]}),
    "exception without text": document({"$error": ["builtins:ValueError", [], None, None]}),
    # Values.
    "bytes that are none": document({"$bytes": "*"}),
    "integer that is none": document({"$int": "0x5_0"}),
    "fraction of nothing": document({"$fraction": [1, 0]}),
    "fraction that is too long": document({"$fraction": [{"$int": "f" * 20_000}, {"$int": "7" * 20_000}]}),
    "fraction of text": document({"$fraction": ["1e20000000", 1]}),
    "decimal of text": document({"$decimal": "one"}),
    "range of nothing": document({"$range": [0, 1, 0]}),
    "range of text": document({"$range": ["a", "b", "c"]}),
    "deque of numbers": document({"$deque": [None, {"$range": [0, 10**9, 1]}]}),
    "deque of a negative length": document({"$deque": [-1, []]}),
    "counter of numbers": document({"$counter": {"$range": [0, 10**9, 1]}}),
    "set of lists": document({"$set": [[]]}),
    "dictionary of lists": document({"$dict": [[], 1]}),
    "dictionary of half": document({"$dict": [1]}),
    "time zone that is a path": document({"$zone": "../../etc/passwd"}),
    "time zone that is another path": document({"$zone": "/etc/localtime"}),
    "time zone that is a module": document({"$zone": "this/that"}),
    "timedelta that is too long": document({"$timedelta": [10**10, 0, 0]}),
    "timezone that is too far": document({"$timezone": [[2, 0, 0]]}),
    "datetime that is none": document({"$datetime": "tomorrow"}),
    "datetime of no zone": document({"$datetime": ["2026-01-01T00:00:00", 0, 1]}),
    "path of another kind": document({"$path": ["Popen", "x"]}),
    "UUID that is none": document({"$uuid": "x"}),
    # References.
    "reference beyond": document({"$r": 0}),
    "negative reference": document({"$r": -1}, parts=[1]),
    "reference that is none": document({"$r": True}, parts=[1, 2]),
    "reference to a reference": document({"$r": 0}, parts=[{"$r": 1}, []]),
    "reference in a key": document({"$set": [{"$r": 0}]}, parts=[{"$tuple": [1]}]),
    "tuple in itself": document({"$r": 0}, parts=[{"$tuple": [{"$r": 0}]}]),
    "tuples in each other": document({"$r": 0}, parts=[{"$tuple": [{"$r": 1}]}, {"$tuple": [{"$tuple": [{"$r": 0}]}]}]),
    # Keys.
    "key with a hash of its own": document(
        {"$set": [{"$o": ["x"]}]}, {"x": ["tests.unit.test_hostile_documents:Hashing", [], []]}
    ),
    "key of objects that cannot be hashed": document({"$set": [{"$o": ["x"]}]}, {"x": [f"{_DECLARED}:Node", [], []]}),
    "keys with one hash": document({"$set": [number * (2**61 - 1) for number in range(1, 100)]}),
    "keys with one hash, in a dictionary": document({"$dict": [x for n in range(1, 99) for x in (n * (2**61 - 1), 1)]}),
    # Depth.
    "lists in lists": b'{"v":1,"shapes":{}}\n[]\n' + b"[" * 100_000 + b"]" * 100_000,
    "objects in objects": b'{"v":1,"shapes":{}}\n[]\n' + b'{"a":' * 400 + b"1" + b"}" * 400,
    "tuples in tuples": document(
        {"$r": 0}, parts=[{"$tuple": [{"$r": number}]} for number in range(1, 2_000)] + [{"$tuple": []}]
    ),
    "keys in keys": document({"$set": [json.loads('{"$tuple":[' * (2 * NESTING) + "1" + "]}" * (2 * NESTING))]}),
    # Texts that are none.
    "nothing": b"",
    "no text": b"hello",
    "a pickle": b"\x80\x05N.",
    "one line": b"{}",
    "two lines": b'{"v":1,"shapes":{}}\n[]',
    "four lines": b'{"v":1,"shapes":{}}\n[]\n1\n1',
    "another format": b'{"v":2,"shapes":{}}\n[]\n1',
    "no shapes": b'{"v":1}\n[]\n1',
    "no parts": b'{"v":1,"shapes":{}}\n{}\n1',
    "no JSON": b'{"v":1,"shapes":{}}\n[]\n{',
    "no UTF-8": b'{"v":1,"shapes":{}}\n[]\n"\xff"',
    "more than one value": b'{"v":1,"shapes":{}}\n[]\n1 2',
    "too many digits": b'{"v":1,"shapes":{}}\n[]\n' + b"9" * 5_000,
    "unknown tag": document({"$eval": SOURCE}),
    "two tags": document({"$tuple": [], "$set": []}),
    **{
        f"{tag} of {value!r:.20}": document({tag: value})
        for tag in _TAGS
        for value in (None, -1.5, SOURCE, [None] * 5, {"a": 1})
        if (tag, type(value)) not in _FITTING
    },
}  # fmt: skip


class Hashing:
    def __hash__(self) -> int:
        raise AssertionError("code of the class runs")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_does_nothing_but_fail(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from agent_framework._workflows import _checkpoint_encoding as encoding

    monkeypatch.setattr(encoding, "_REGISTERED_CHECKPOINT_TYPE_KEYS", {f"{__name__}:Hashing"})
    before = (dict(vars(Node)), dict(vars(Message)), Level.LOW.value, set(sys.modules))
    message = str(outcome(HOSTILE[name], CATALOG))
    assert message.startswith("Checkpoint data cannot be read")
    assert len(message) < 1_000
    assert not TEMPORARY.exists()
    assert (dict(vars(Node)), dict(vars(Message)), Level.LOW.value, set(sys.modules)) == before


def test_an_exception_of_another_class_is_only_its_text() -> None:
    for key in ("builtins:SystemExit", "builtins:KeyboardInterrupt", "tests.unit._undeclared:Undeclared", "os:error"):
        error = outcome(document({"$error": [key, ["said"], None, {"note": [1]}]}), CATALOG)
        assert type(error) is RuntimeError
        assert str(error) == "said"


def test_a_text_imports_nothing() -> None:
    for module, name in (("this", "s"), ("antigravity", "webbrowser"), ("agent_framework.devui", "serve")):
        sys.modules.pop(module, None)
        key = f"{module}:{name}"
        for data in (instance(key), annotated(key), document({"$enum": f"{key}.x"})):
            assert isinstance(outcome(data, CATALOG), PayloadError)
        assert module not in sys.modules


@given(st.data())
@settings(deadline=None)
def test_a_damaged_text_gives_a_value_or_a_payload_error(data: st.DataObject) -> None:
    raw = bytearray(dumps([Node(Slotted("a")), {"k": Grown(due=datetime.datetime(2026, 1, 1))}, Colour.RED], CATALOG))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PayloadError):
        loads(bytes(raw[: data.draw(st.integers(0, len(raw)))]), CATALOG)
