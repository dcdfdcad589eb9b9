"""Checkpoints as bytes: every value comes back as it was, or is refused when it is written."""

from __future__ import annotations

import collections
import copy
import datetime
import os
import threading
import typing
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import agent_framework
import pytest
from agent_framework import (
    AgentExecutor,
    AgentResponse,
    Content,
    FunctionTool,
    Message,
    WorkflowCheckpoint,
    WorkflowEvent,
    WorkflowMessage,
    register_checkpoint_type,
)
from agent_framework_temporal.adapter.encoding.decoding import loads
from agent_framework_temporal.adapter.encoding.encoding import dumps, dumps_all
from agent_framework_temporal.adapter.errors import PayloadError, RunFailedError
from agent_framework_temporal.adapter.framework import internals
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog
from agent_framework_temporal.adapter.framework.error_data import rebuilt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.parity.gallery import GALLERY, Row
from tests.parity.gallery._scripted import Prompt, Reply, scripted_agent
from tests.unit._declared import (
    CATALOG,
    Box,
    Colour,
    Grown,
    Level,
    Node,
    Odd,
    Point,
    Rights,
    Shelf,
    Slotted,
    T,
    WithReduce,
)
from tests.unit._in_process import comparable, record
from tests.unit._undeclared import Undeclared, UndeclaredOuter


def round_trip(value: Any) -> Any:
    return loads(dumps(value, CATALOG), CATALOG)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(st.characters(codec=None)),  # Lone surrogates as well: models do stream them.
    st.binary(),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.uuids(),
    st.dates(),
    st.times(),
    st.datetimes(timezones=st.one_of(st.none(), st.timezones(), st.just(datetime.UTC))),
    st.timedeltas(),
    st.sampled_from([*Colour, *Rights, Rights.READ | Rights.WRITE, Rights(0), *Level]),
    st.builds(Point, st.integers(), st.integers()),
    st.builds(Slotted, st.text(), st.frozensets(st.text())),
    st.builds(range, st.integers(0, 9)),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.integers(), st.text(), st.booleans(), st.none(), st.sampled_from(Level)), inner),
        st.sets(st.integers()),
        st.builds(Node, inner),
        st.builds(lambda items: collections.deque(items, maxlen=5), st.lists(inner)),
        st.builds(collections.OrderedDict, st.dictionaries(st.text(), inner)),
        st.builds(lambda value: Box[Any](content=value), inner),
    ),
    max_leaves=20,
)


@given(VALUES)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_declared_value_comes_back_equal_and_of_the_same_type(value: Any) -> None:
    restored = round_trip(value)
    assert restored == value
    assert comparable(restored) == comparable(value)


@pytest.mark.parametrize(
    "value",
    [
        Grown.model_validate_json('{"due": "2026-01-01T12:00:00+02:00"}'),
        Box[Grown](content=Grown(due=datetime.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")))),
        Node(children=[Node(Node.Inner(deep=3))]),
        collections.Counter("abracadabra"),
        collections.defaultdict(list, {"a": [1]}),
        {(1, 2): {3, 4}, Colour.BLUE: frozenset({Level.LOW}), None: b"\x00"},
        bytearray(b"bytes"),
        slice(1, None),
        Fraction(1, 3),
        Shelf(a=1),
        {**{str(number): number for number in range(3_000)}},
        ("x" * 100_000, b"y" * 300_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_comes_back(value: Any) -> None:
    restored = round_trip(value)
    assert restored == value
    assert type(restored) is type(value)


def test_an_object_that_contains_itself_comes_back() -> None:
    node = Node()
    node.children.append(node)
    node.value = {"me": (node,)}
    restored = round_trip(node)
    assert restored.children[0] is restored
    assert restored.value["me"][0] is restored


def test_an_object_held_twice_is_restored_once() -> None:
    node = Node()
    first, second = round_trip([node, node])
    assert first is second


def test_the_own_reduce_of_a_declared_class_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = dumps(WithReduce("text"), CATALOG)

    def called(*arguments: Any) -> None:
        raise AssertionError("its code runs")

    monkeypatch.setattr(WithReduce, "__init__", called)
    monkeypatch.setattr(WithReduce, "__reduce__", called)
    assert loads(stored, CATALOG).text == "text"


@pytest.mark.parametrize(
    "annotation",
    [
        str,
        list,
        Grown,
        Colour,
        type(None),
        Any,
        list[str],
        dict[str, list[Grown]],
        tuple[int, ...],
        tuple[()],
        str | None,
        typing.Optional[Grown],  # noqa: UP045 - the old spelling is what is tested.
        Literal["yes", "no"],
        Sequence[int],
        Mapping[str, Any],
        Sequence,
    ],
    ids=str,
)
def test_a_request_type_comes_back(annotation: Any) -> None:
    assert round_trip((annotation, {"of": annotation})) == (annotation, {"of": annotation})


@pytest.mark.parametrize(
    ("annotation", "close"),
    [
        (typing.List[int], list[int]),  # noqa: UP006
        (typing.Annotated[list[int], "note"], list[int]),
        (T, Any),
        (Callable[[int], str], Callable),
    ],
    ids=str,
)
def test_an_unusual_request_type_comes_back_as_the_closest_one(annotation: Any, close: Any) -> None:
    assert round_trip([annotation]) == [close]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad", 1),
        FileNotFoundError(2, "No such file", "a.txt"),
        KeyError("key"),
        Odd("pens", 3),
        agent_framework.WorkflowConvergenceException("no"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_keeps_its_type_and_text(error: Exception) -> None:
    restored = round_trip({"error": error})["error"]
    assert type(restored) is type(error) or isinstance(error, UnicodeDecodeError)
    assert str(restored) == str(error)


def test_an_exception_that_cannot_be_rebuilt_keeps_its_text() -> None:
    with pytest.raises(ValueError, match="int_parsing") as caught:
        TypeAdapter(int).validate_python("x")
    for error in (caught.value, ExceptionGroup("several", [ValueError("one")])):
        restored = round_trip(error)
        assert isinstance(restored, RuntimeError)
        assert str(restored) == str(error)


def test_an_exception_from_the_wire_is_rebuilt_only_if_the_workflow_names_its_class() -> None:
    def made(module: str, name: str, catalog: TypeCatalog | None = None) -> type[Exception]:
        return type(rebuilt(module, name, ["3 of pens"], "3 of pens", None, catalog=catalog))

    assert made("builtins", "LookupError") is LookupError
    assert made("tests.unit._declared", "Odd", CATALOG) is Odd
    assert made("tests.unit._declared", "Odd") is RunFailedError
    assert made("not_there", "Odd", CATALOG) is RunFailedError
    assert made("builtins", "dict") is RunFailedError
    assert made("builtins", "SystemExit") is RunFailedError


def test_the_providers_own_object_is_dropped_and_everything_else_kept() -> None:
    lock = threading.Lock()  # Not even picklable: it must not be looked at.
    content = Content.from_text("hi", raw_representation=lock, additional_properties={"a": 1})
    message = Message("assistant", [content], message_id="m1", raw_representation=lock)
    response = AgentResponse(messages=[message], response_id="r1", raw_representation=[lock])
    restored = round_trip([response, response.messages[0]])
    assert restored[0].messages[0].contents[0].raw_representation is None
    assert restored[0].raw_representation is None
    assert restored[0].to_dict() == response.to_dict()
    assert restored[0].messages[0] is restored[1]
    assert content.raw_representation is lock


def test_a_checkpoint_with_a_pending_request_comes_back() -> None:
    declared: Any = list[Grown] | None
    event: WorkflowEvent[Any] = WorkflowEvent.request_info("id-1", "keeper", Node("ask"), declared)
    checkpoint = WorkflowCheckpoint(
        workflow_name="keeper", graph_signature_hash="h", pending_request_info_events={"id-1": event}
    )
    restored = round_trip(checkpoint)
    assert comparable(restored) == comparable(checkpoint)
    assert restored.pending_request_info_events["id-1"].response_type == list[Grown] | None


def test_a_message_is_the_same_bytes_wherever_it_is_part_of_something() -> None:
    """Or a patch would say a conversation's every message anew: in flight, in two events, in the next checkpoint."""
    conversation = [Message("user", [f"message {number}"], author_name="someone") for number in range(9)]
    alone = dumps(conversation, CATALOG).rpartition(b"\n")[2]
    checkpoint = WorkflowCheckpoint(
        workflow_name="agents",
        graph_signature_hash="h",
        messages={"writer": [WorkflowMessage(data=conversation, source_id="writer")]},
    )
    stored = dumps(checkpoint, CATALOG)
    given = [copy.deepcopy(conversation), conversation[0], "text"]
    events, sizes = dumps_all(given, CATALOG)
    assert alone in stored
    assert alone in events
    assert sizes[0] == len(alone)
    assert sizes[2] == len('"text"')
    assert comparable(loads(stored, CATALOG)) == comparable(checkpoint)
    assert comparable(loads(events, CATALOG)) == comparable(given)
    with pytest.raises(PayloadError, match=r"register_checkpoint_type\(Undeclared\)"):
        dumps_all([1, Undeclared()], CATALOG)


def test_what_is_held_twice_is_the_same_text_as_what_is_held_once() -> None:
    """An agent keeps its messages in two lists, and sends them in a third."""
    conversation = [Message("user", [f"message {number}"]) for number in range(9)]
    alone = dumps(conversation, CATALOG).rpartition(b"\n")[2]
    twice = dumps({"cache": [*conversation], "all": [*conversation]}, CATALOG)
    assert alone in twice
    cache, everything = loads(twice, CATALOG).values()
    assert all(one is other for one, other in zip(cache, everything, strict=True))


@pytest.mark.parametrize("gallery_row", GALLERY, ids=lambda row: row.name)
async def test_every_checkpoint_and_event_of_a_gallery_row_comes_back(gallery_row: Row) -> None:
    recording = await record(gallery_row)
    catalog = TypeCatalog(recording.workflow)
    assert recording.checkpoints
    for checkpoint in recording.checkpoints:
        restored = loads(dumps(checkpoint, catalog), catalog)
        assert comparable(restored) == comparable(checkpoint)
    data = [event.data for event in recording.events]
    assert comparable(loads(dumps(data, catalog), catalog)) == comparable(data)


# What cannot be stored is refused when it is written, and the error says what to do.


def test_an_undeclared_class_is_refused_with_the_line_to_add() -> None:
    with pytest.raises(PayloadError) as caught:
        dumps({"x": [Undeclared()]}, CATALOG)
    assert "tests.unit._undeclared.Undeclared" in str(caught.value)
    assert "agent_framework.register_checkpoint_type(Undeclared)" in str(caught.value)
    with pytest.raises(PayloadError, match=r"register_checkpoint_type\(UndeclaredOuter.Inner\)"):
        dumps(UndeclaredOuter.Inner(), CATALOG)


def test_a_registered_class_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    from agent_framework._workflows import _checkpoint_encoding as encoding

    monkeypatch.setattr(encoding, "_REGISTERED_CHECKPOINT_TYPE_KEYS", set())
    register_checkpoint_type(Undeclared)
    register_checkpoint_type(UndeclaredOuter.Inner)
    assert isinstance(round_trip(Undeclared()), Undeclared)
    assert isinstance(round_trip(UndeclaredOuter.Inner()), UndeclaredOuter.Inner)


def _answer(prompt: Prompt) -> Reply:
    return Reply("answer")


def _live_objects() -> list[tuple[Any, str]]:
    class Local:
        pass

    return [
        (Local(), "is local to a function.*Move the class to module level"),
        (lambda: None, "Function .*can hold only data"),
        (os.system, "Function .*can hold only data"),
        ("text".upper, "Function .*can hold only data"),
        ((number for number in range(3)), "not data"),
        (threading.Lock(), "lock"),
        (object(), "not data"),
        (scripted_agent("a", _answer), "scripted|Agent"),
        (FunctionTool(name="t", func=len), r"register_checkpoint_type\(FunctionTool\)"),
        (AgentExecutor(scripted_agent("a", _answer), id="x"), r"register_checkpoint_type\(AgentExecutor\)"),
    ]


@pytest.mark.parametrize("index", range(len(_live_objects())))
def test_a_live_object_is_refused_when_it_is_written(index: int) -> None:
    value, text = _live_objects()[index]
    with pytest.raises(PayloadError, match=text):
        dumps([value], CATALOG)


def test_values_that_break_while_they_are_taken_apart_are_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(PayloadError, match="Node cannot be stored"):
        dumps(Node(deep), CATALOG)


def test_what_an_earlier_release_wrote_is_still_read() -> None:
    """The tags, and the names of classes, are part of the stored format: histories hold them as long as they live."""
    node = loads(STORED.encode(), CATALOG)
    assert node == Node(
        (Colour.BLUE, list[str] | None, zoneinfo.ZoneInfo("Europe/Berlin")), [Node(Decimal("1.5")), Node(b"b")]
    )
    error = loads(STORED_ERROR.encode(), CATALOG)
    assert (type(error), str(error)) == (Odd, "3 of pens")


STORED = (
    '{"v":1,"shapes":{"Node~72144b":["tests.unit._declared:Node",["value","children"],[]]}}\n'
    "[]\n"
    '{"$o":["Node~72144b",{"$tuple":[{"$enum":"tests.unit._declared:Colour.BLUE"},'
    '{"$type":["union",["of","builtins:list","builtins:str"],"none"]},{"$zone":"Europe/Berlin"}]},'
    '[{"$o":["Node~72144b",{"$decimal":"1.5"},[]]},{"$o":["Node~72144b",{"$bytes":"Yg=="},[]]}]]}'
)
STORED_ERROR = '{"v":1,"shapes":{}}\n[]\n{"$error":["tests.unit._declared:Odd",["3 of pens"],null,{"item":"pens"}]}'


def test_a_class_that_has_moved_since_is_found_under_its_new_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The framework's private modules are part of every checkpoint's text."""
    moved = {
        "agent_framework._old:Message": "agent_framework._types:Message",
        "shop._errors:Odd": "tests.unit._declared:Odd",
    }
    monkeypatch.setattr(internals, "RENAMED", moved)
    message = dumps(Message("user", ["hi"]), CATALOG).replace(
        b"agent_framework._types:Message", b"agent_framework._old:Message"
    )
    assert b"_old" in message
    assert loads(message, CATALOG).text == "hi"
    error = loads(STORED_ERROR.replace("tests.unit._declared", "shop._errors").encode(), CATALOG)
    assert type(error) is Odd
