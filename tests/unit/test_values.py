"""Values from outside: JSON there and back, validated to what the workflow declares, and nothing else ever built."""

from __future__ import annotations

import datetime
import enum
import json
import math
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import pytest
from agent_framework import (
    AgentExecutorRequest,
    Content,
    Executor,
    Message,
    WorkflowBuilder,
    WorkflowContext,
    handler,
)
from agent_framework_temporal.adapter.errors import PayloadError
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog
from agent_framework_temporal.adapter.framework.internals import matches
from agent_framework_temporal.adapter.framework.values import (
    from_json_value,
    json_schema,
    preview,
    to_json_value,
    wire_type,
)
from agent_framework_temporal.workflows.messages import LoggedEvent, Value
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_serializer, field_validator

from tests.parity.gallery import GALLERY, Row
from tests.unit._in_process import comparable, record


class Size(enum.StrEnum):
    SMALL = "s"


class Order(BaseModel):
    item: str
    copies: int = 1


class Rush(Order):
    until: datetime.datetime


class Aliased(BaseModel):
    name: str = Field(alias="theName")


class Blob(BaseModel):
    data: bytes
    weight: float = 0.0
    parts: list[bytes] = Field(default_factory=list)
    key: uuid.UUID | None = None
    size: Size = Size.SMALL


class Colour(enum.Enum):
    RED = (255, 0, 0)
    BLUE = (0, 0, 255)


class Painted(BaseModel):
    colour: Colour
    label: bytes = b""


@dataclass
class Guess:
    low: int
    high: float
    when: datetime.date | None = None
    seen: set[int] = field(default_factory=set)


@dataclass
class Chunk:
    raw: bytes
    score: float = 0.0


class Taker(Executor):
    @handler
    async def take(
        self, value: Order | Aliased | Blob | Guess | Chunk | Message | Size | Painted, ctx: WorkflowContext
    ) -> None:
        """Declare the types."""


CATALOG = TypeCatalog(WorkflowBuilder(name="taker", start_executor=Taker(id="taker")).build())


def travel(value: Any, *declared: Any, catalog: TypeCatalog = CATALOG) -> Any:
    """Send a value the whole way: sender's JSON, the wire, and what the workflow is given."""
    wire = Value(value=to_json_value(value, "The message"), type=wire_type(value)).model_dump_json()
    received = Value.model_validate_json(wire)
    return from_json_value(received.value, received.type, declared, catalog)


@pytest.mark.parametrize("gallery_row", GALLERY, ids=lambda row: row.name)
async def test_every_message_and_response_of_a_gallery_row_arrives_as_it_was_sent(gallery_row: Row) -> None:
    recording = await record(gallery_row)
    catalog = TypeCatalog(gallery_row.build())
    for value, declared in recording.given:
        arrived = travel(value, *declared, catalog=catalog)
        if any(matches(value, annotation) for annotation in declared):
            assert comparable(arrived) == comparable(value)
        elif not isinstance(value, dict):  # A dictionary may be the JSON of what is declared.
            assert arrived == value


@pytest.mark.parametrize(
    ("value", "declared"),
    [
        ("text", (str,)),
        (3, (int, float)),
        (2.75, (int | float,)),
        (None, (Order | None,)),
        (Order(item="map"), (str, Order, list[Order])),
        ([Order(item="map"), Order(item="book")], (Order, list[str], list[Order])),
        ({"a": Order(item="map")}, (dict[str, Order],)),
        (Guess(1, 2.5, datetime.date(2026, 1, 2), {3}), (Order, Guess)),
        (Aliased(theName="x"), (Aliased,)),
        ((1, "a"), (tuple[int, str],)),
        ({1, 2}, (set[int],)),
        (Size.SMALL, (Size,)),
        (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), (datetime.datetime,)),
        (uuid.UUID(int=7), (uuid.UUID,)),
        (Decimal("1.10"), (Decimal,)),
        (b"text", (bytes,)),
        ("yes", (Literal["yes", "no"],)),
        ({"any": [1, None, {"x": True}]}, (dict,)),
        ({"any": 1}, (Any,)),
        ({1: "a"}, (dict[int, str],)),
    ],
    ids=repr,
)
def test_a_value_arrives_as_it_was_sent(value: Any, declared: tuple[Any, ...]) -> None:
    arrived = travel(value, *declared)
    assert arrived == value
    assert type(arrived) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        Blob(data=b"\x00\xff", parts=[b"ok", b"\xfe"], key=uuid.UUID(int=1), weight=math.inf),
        Chunk(b"\xff", -math.inf),
        b"\xff\x00",
        {"a": [b"\x80", {"b": math.inf}]},
        [math.inf, 1.5],
        math.inf,
    ],
    ids=repr,
)
def test_bytes_and_infinities_arrive_although_json_has_none(value: Any) -> None:
    assert travel(value, Order, Blob, Chunk, bytes, dict, list[float], float) == value


def test_an_enum_of_tuples_arrives() -> None:
    for painted in (Painted(colour=Colour.BLUE), Painted(colour=Colour.RED, label=b"\xff")):
        assert travel(painted, Order, Painted) == painted
        assert travel([painted], list[Painted]) == [painted]


def test_not_a_number_arrives() -> None:
    arrived = travel(Chunk(b"", math.nan), Chunk)
    assert math.isnan(arrived.score)
    assert math.isnan(travel(math.nan, float))


def test_framework_objects_arrive() -> None:
    message = Message("user", [Content.from_text("hi"), Content.from_uri("http://x/y.png", media_type="image/png")])
    assert comparable(travel(message, str, Message)) == comparable(message)
    assert comparable(travel([message, message], str, list[Message])) == comparable([message, message])
    request = AgentExecutorRequest(messages=[message], should_respond=False)
    assert comparable(travel(request, AgentExecutorRequest)) == comparable(request)


@pytest.mark.parametrize(
    ("data", "declared"),
    [
        ("7", (int,)),
        (7, (str,)),
        ("yes", (bool,)),
        (1, (bool,)),
        (["7"], (list[int],)),
        ({"item": 1}, (Order,)),
        ({"copies": 1}, (Order,)),
        ("map", (Order,)),
        ([{"item": "map"}], (Order,)),
        ("x", ()),
        ("", (Literal["a"],)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("key", [None, "builtins:dict", "not_loaded:Thing", "no key"])
def test_a_value_of_the_wrong_type_arrives_unchanged(data: Any, declared: tuple[Any, ...], key: str | None) -> None:
    """The framework then refuses it in its own words."""
    assert from_json_value(data, key, declared, CATALOG) is data


@pytest.mark.parametrize(
    ("data", "declared", "expected"),
    [
        ({"item": "map", "copies": "3"}, (Order,), Order(item="map", copies=3)),
        ([{"item": "map"}], (str, list[Order]), [Order(item="map")]),
        ({"low": 1, "high": 2, "when": "2026-01-02"}, (Order, Guess), Guess(1, 2.0, datetime.date(2026, 1, 2))),
        (3, (float,), 3.0),
        ("s", (Size,), Size.SMALL),
        ("2026-01-01T00:00:00Z", (datetime.datetime,), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)),
        ({"item": "x"}, (str, dict), {"item": "x"}),
    ],
    ids=repr,
)
def test_plain_json_of_a_sender_without_types_is_built(data: Any, declared: tuple[Any, ...], expected: Any) -> None:
    built = from_json_value(data, None, declared, CATALOG)
    assert built == expected
    assert type(built) is type(expected)


def test_a_subclass_of_what_is_declared_may_be_named() -> None:
    rush = Rush(item="map", until=datetime.datetime(2026, 1, 1))
    assert travel(rush, Order) == rush
    assert travel(rush, Any) == rush
    assert from_json_value(to_json_value(rush, "x"), wire_type(rush), (Order,), CATALOG) == rush


@pytest.mark.parametrize(
    "key",
    [
        "subprocess:Popen",
        "agent_framework._workflows._checkpoint:FileCheckpointStorage",
        "agent_framework._tools:FunctionTool",
        "agent_framework._mcp:MCPStdioTool",
        f"{__name__}:Guess",
        "tests.unit._undeclared:Undeclared",
        "antigravity:x",
        "",
        ":",
        "a:b:c",
        "os.path:join",
    ],
)
def test_a_class_that_is_not_declared_for_the_value_is_never_built(key: str, tmp_path: Any) -> None:
    data = {"storage_path": str(tmp_path / "made"), "args": ["touch", str(tmp_path / "made")], "low": 1, "high": 2}
    loaded = set(sys.modules)
    assert from_json_value(data, key, (Order, str), CATALOG) is data
    assert set(sys.modules) == loaded
    assert not list(tmp_path.iterdir())
    for declared in (Any, object):
        arrived = from_json_value(data, key, (declared,), CATALOG)
        assert type(arrived) in (dict, Guess)


@pytest.mark.parametrize(
    "data",
    [
        {"__pickled__": "gASVIQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAZ0b3VjaCB4lIWUUpQu", "__type__": "builtins:int"},
        {"type": "agent_framework._tools:FunctionTool", "value": 1},
        {"__class__": "os", "__init__": {"__globals__": 1}},
        {"py/object": "os.system"},
        {"agent_framework_temporal.bytes": "not base64!"},
        {"agent_framework_temporal.float": [1]},
        {"agent_framework_temporal.bytes": 7, "more": 1},
    ],
    ids=repr,
)
def test_keys_that_mean_something_to_a_decoder_stay_data(data: dict[str, Any]) -> None:
    assert from_json_value(data, None, (dict,), CATALOG) == data
    assert from_json_value(data, "builtins:dict", (dict[str, Any],), CATALOG) == data
    assert travel({"inner": [data]}, dict) == {"inner": [data]}


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=15,
)


@given(JSON, st.sampled_from([None, "builtins:dict", f"{__name__}:Order", "builtins:list"]))
@settings(deadline=None)
def test_any_json_from_anyone_gives_a_value(data: Any, key: str | None) -> None:
    from_json_value(data, key, (Order, Guess | list[Blob], str), CATALOG)
    assert from_json_value(data, key, (Any,), CATALOG) == data or key == f"{__name__}:Order"
    assert travel(data, Any) == data


# What cannot travel is refused by the sender.


class Broken(BaseModel):
    x: int = 1

    @field_serializer("x")
    def fail(self, value: int) -> int:
        raise KeyError("serializer")


class Strange:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def _endless() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


UNFIT: dict[str, Any] = {
    "object": object(),
    "strange": Strange(),
    "function": len,
    "class": Order,
    "endless": _endless(),
    "broken": Broken(),
    "surrogate": "\ud800",
    "nested surrogate": {"a": ["\udfff"]},
    "key": {b"\xff": 1},
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_value_that_cannot_travel_is_refused_by_name(name: str) -> None:
    with pytest.raises(PayloadError, match=r"^The response to 'x' \(\w+\) cannot be sent as JSON: "):
        to_json_value([UNFIT[name]] if name != "object" else UNFIT[name], "The response to 'x'")


@pytest.mark.parametrize(
    "value",
    [*UNFIT.values(), Blob(data=b"\xff"), Chunk(b"\xff", math.nan), math.nan, b"\xff", {(1, 2): {3}}, 10**400],
    ids=lambda value: type(value).__name__,
)
def test_a_preview_is_json_of_anything(value: Any) -> None:
    for shown in (value, {"in": [value]}):
        data, size = preview(shown)
        json.dumps(data, allow_nan=False)
        LoggedEvent(offset=0, type="output", data=data).model_dump_json()
        assert size > 0


def test_a_preview_of_plain_data_is_the_data() -> None:
    data = {"a": [1, 2.5, None, True, "ä"]}
    assert preview(data) == (data, len(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()))
    assert preview(Order(item="map"))[0] == {"item": "map", "copies": 1}
    assert preview(Message("user", ["hi"]))[0]["contents"][0]["text"] == "hi"
    assert preview(Order)[0] == f"{__name__}:Order"


def test_schemas_and_names_are_for_people() -> None:
    schema = json_schema(Order)
    assert isinstance(schema, Mapping)
    assert schema["required"] == ["item"]
    assert json_schema(Message) is None
    assert json_schema(list[Order]) is not None
    assert wire_type("x") is None
    assert wire_type([1]) == "builtins:list"


class Picky(BaseModel):
    x: int

    @field_validator("x", mode="before")
    @classmethod
    def _look(cls, value: Any) -> Any:
        raise RuntimeError("not today")


@dataclass
class Breaking:
    x: object

    def __post_init__(self) -> None:
        raise LookupError("never")


@pytest.mark.parametrize("kind", [Picky, Breaking])
def test_a_type_whose_own_code_raises_takes_nothing(kind: Any) -> None:
    assert from_json_value({"x": 1}, None, (kind,), CATALOG) == {"x": 1}
