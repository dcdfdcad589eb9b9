"""What a caller gives arrives as it was given, in every type and part, or is refused with the place that would not."""

from __future__ import annotations

import asyncio
import datetime
import json
import re
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from agent_framework import Content, Message, WorkflowInvocationKwargs, WorkflowMessage
from agent_framework_temporal.adapter.client.arguments import (
    encode_kwargs,
    encode_message,
    encode_responses,
)
from agent_framework_temporal.adapter.encoding.conformance import UnfitError, check
from agent_framework_temporal.adapter.encoding.differences import difference
from agent_framework_temporal.adapter.encoding.encoding import dumps
from agent_framework_temporal.adapter.encoding.sending import is_plain, received
from agent_framework_temporal.adapter.errors import PayloadError
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog
from agent_framework_temporal.adapter.framework.values import build
from agent_framework_temporal.workflows.messages import RespondSignal, Value
from hypothesis import HealthCheck, example, settings
from hypothesis import given as property_of
from hypothesis import strategies as st

from tests.unit._given import (
    TAKEN,
    VALUES,
    Area,
    Bag,
    Batch,
    Bill,
    Card,
    Even,
    Last,
    Loose,
    Note,
    Odds,
    Person,
    Price,
    Seat,
    Span,
    Tag,
    Warn,
    When,
    given,
)

_construct: Any = Note.model_construct
CATALOG = TypeCatalog(given())
_MANY = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


def arrived(sent: Value | RespondSignal, catalog: TypeCatalog = CATALOG, declared: Any = TAKEN) -> Any:
    """Return what a superstep gets of what was sent."""
    read = type(sent).model_validate_json(sent.model_dump_json())
    data = read.value if isinstance(read, Value) else read.response
    return asyncio.run(received(data, read.typed, read.type, (declared,), catalog))


def as_message(value: Any) -> Any:
    """Send a value as a message."""
    return arrived(encode_message(value, CATALOG))


def as_response(value: Any, expected: dict[str, Any]) -> Any:
    """Send a value as a response."""
    (sent,) = encode_responses(
        {"r": value},
        call_id="c",
        streaming=False,
        function_invocation_kwargs=None,
        client_kwargs=None,
        expected=expected,
        catalog=CATALOG,
    )
    return arrived(sent)


@_MANY
@property_of(VALUES)
@example(Batch([Warn(text="w"), Note(text="n")]))
@example(Card(owner="o", pin=1))
@example(Bag(content={"when": datetime.datetime(2026, 1, 1), 3: Decimal("1.10"), "pair": (1, Note(text="x"))}))
@example(When(datetime.datetime(2026, 3, 28, 9, tzinfo=ZoneInfo("Europe/Berlin"))))
@example(Last(deque([1, 2, 3], maxlen=3), grid={(1, 2): "cell"}))
@example(Area(w=2, h=3))
@example(Person(givenName="ann"))
@example(Bill(sum=Decimal("9.90")))
@example(Odds(score=float("nan"), raw=b"\xff"))
@example({(1, 2): {"a", "b"}})
def test_equal_or_refused(value: Any) -> None:
    for send in (
        as_message,
        lambda given: as_response(given, {}),
        lambda given: as_response(given, {"r": TAKEN}),
        lambda given: as_response(given, {"r": Any}),
    ):
        try:
            found = send(value)
        except PayloadError as error:
            assert re.match(r"The (message|response to request 'r') \(\w+\) ", str(error))
        else:
            assert difference(value, found) is None


@_MANY
@property_of(st.dictionaries(st.text(max_size=3), VALUES, max_size=3))
def test_arguments_by_name(values: dict[str, Any]) -> None:
    for given_ in (values, WorkflowInvocationKwargs(global_kwargs=values, executor_kwargs={"e": values})):
        try:
            sent = encode_kwargs("client_kwargs", given_, CATALOG)
        except PayloadError as error:
            assert str(error).startswith("`client_kwargs` (dict) ")
            continue
        assert sent is not None
        found = sent.value if sent.typed is None else arrived(sent, declared=dict)
        whole = values if given_ is values else {"global_kwargs": values, "executor_kwargs": {"e": values}}
        assert difference(whole, found) is None


@_MANY
@property_of(VALUES)
def test_without_types_only_what_json_says_exactly(value: Any) -> None:
    try:
        sent = encode_message(value, None)
    except PayloadError as error:
        assert (
            "would not arrive unchanged" in str(error)
            or "cannot be sent as JSON" in str(error)
            or "limits" in str(error)
        )
        return
    assert sent.typed is None
    assert is_plain(value) or difference(value, build(sent.value, type(value))) is None


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (Price(100, 19), "`gross`: Price"),
        (Tag("a"), "`name`: Tag"),
        (Seat(row=0), "`row`: Seat"),
        (Batch([Note(text="a"), Seat(row=1)]), "`entries[1].row`: Seat"),  # type: ignore[list-item]
        (_construct(text=5), "`text`: Note does not accept it"),
        (_construct(), "`text`: Note does not accept it"),
        (Even.model_construct(numbers=[1]), "Even does not accept it"),
        (Bag(content={"a": [object()]}), "`content['a'][0]`: object is not a model"),
        (Bag(content=lambda: 0), "`content`: function is not a model"),
        (Odds(score=True), "`score`: Odds, rebuilt from its fields, differs here (bool would become float)"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_the_place_is_named(value: Any, place: str) -> None:
    for send in (as_message, lambda given: as_response(given, {})):
        with pytest.raises(PayloadError, match=re.escape(place)):
            send(value)


def test_a_class_that_is_not_declared() -> None:
    @dataclass
    class Local:
        x: int

    with pytest.raises(PayloadError, match=r"`content`: no executor declares Local"):
        as_message(Bag(content=Local(1)))


def test_private_attributes() -> None:
    hidden = Loose(known=1.5, more="extra")
    assert difference(as_message(hidden), hidden) is None
    hidden._hidden = 7
    with pytest.raises(PayloadError, match="`_hidden`"):
        as_message(hidden)


def test_what_a_cached_property_has_noted_is_no_difference() -> None:
    area = Area(w=2, h=3)
    assert area.doubled == 12
    for found in (as_message(area), as_message(Bag(content=area)).content):
        assert found == Area(w=2, h=3)
        assert "doubled" not in vars(found)


def test_plain_data_travels_as_json_alone() -> None:
    for value in ("text", 1, [1, {"a": None}], Note(text="x"), Span(1, 3), Message("user", [Content.from_text("x")])):
        assert encode_message(value, CATALOG).typed is None


def test_typed_text_has_json_for_people_beside_it() -> None:
    small = encode_message(Batch([Warn(text="w"), Note(text="n")]), CATALOG)
    assert small.typed is not None
    assert small.value == {"entries": [{"text": "w"}, {"text": "n"}]}
    large = encode_message(Batch([Warn(text="w" * 10_000), Note(text="n")]), CATALOG)
    assert str(large.value).startswith("(Batch, 10,")


def test_the_wrapper_of_the_framework_is_taken_off() -> None:
    assert as_message(WorkflowMessage(data=Note(text="x"), source_id="me")) == Note(text="x")


def test_whatever_a_list_could_be_it_is_what_it_was() -> None:
    """What fits one of the declared types as it is, is not built to be another."""
    kinds = (list[datetime.datetime], list[str])
    sent = encode_message(["2026-01-01"], CATALOG)
    assert asyncio.run(received(sent.value, sent.typed, sent.type, kinds, CATALOG)) == ["2026-01-01"]


def _forged(value: Any, *changes: tuple[str, str]) -> Value:
    text = dumps(value, CATALOG).decode()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return Value(value={}, typed=text)


@pytest.mark.parametrize(
    "forged",
    [
        _forged(Even(numbers=[2]), ("[2]", "[3]")),
        _forged(Even(numbers=[2]), ("[2]", '["2"]')),
        _forged(Bill(sum=Decimal("9.90")), ('"9.90"', '"-9.90"')),
        _forged(Span(1, 3), (",1,3,2]", ",1,3,9]")),
        _forged(Span(1, 3), (",1,3,2]", ",3,1,-2]")),
        _forged(Price(1), (",1,1]", ",1,0]")),
        _forged(Card(owner="o", pin=1), ('"o"', "{}")),
        _forged(Bag(content=Even(numbers=[2])), ("[2]", "[3]")),
        _forged([Even(numbers=[2])], ("[2]", "[3]")),
        _forged({"a": {1: (Even(numbers=[2]),)}}, ("[2]", "[3]")),
        _forged(Last(deque([1])), ("[null,[1]]", '[null,["x"]]')),
        _forged([ValueError("x")]),
        _forged([Note]),
    ],
)
def test_typed_text_of_anybody_says_nothing_that_its_classes_would_not(forged: Value) -> None:
    with pytest.raises(PayloadError, match=r"is none that these would make|cannot be read"):
        arrived(forged)


def test_a_cached_property_that_was_made_up_is_forgotten() -> None:
    area = Area(w=2, h=3)
    vars(area)["doubled"] = 1_000_000
    found = arrived(Value(value={}, typed=dumps(area, CATALOG).decode()))
    assert found.doubled == 12


@_MANY
@property_of(
    VALUES, st.integers(0, 10**6), st.sampled_from(["0", "1.5", '"x"', "null", "[]", "{}", "true", '{"$tuple":[1]}'])
)
def test_mutated_typed_text_is_refused_or_what_its_classes_would_make(value: Any, at: int, instead: str) -> None:
    try:
        lines = dumps(value, CATALOG).decode().split("\n")
    except PayloadError:
        return
    nodes: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        for key, item in list(enumerate(node) if isinstance(node, list) else node.items()):
            nodes.append((node, key))
            if isinstance(item, list | dict):
                collect(item)

    body = [json.loads(lines[2])]
    collect(body)
    holder, key = nodes[at % len(nodes)]
    holder[key] = json.loads(instead)
    lines[2] = json.dumps(body[0])
    try:
        found = arrived(Value(value={}, typed="\n".join(lines)))
    except PayloadError:
        return
    check(found, (TAKEN,), CATALOG)


def test_the_outside_of_what_is_declared_is_not_enough() -> None:
    """The framework looks at what a deque is, not at what is in it."""
    with pytest.raises(UnfitError):
        check(deque(["x"]), (deque[int],), CATALOG)
    check(deque([1]), (deque[int],), CATALOG)
    check(deque(["x"]), (deque[int], deque[str]), CATALOG)
