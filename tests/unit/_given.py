"""Types of every kind that a caller's value may be of, each with values, and a workflow that takes them."""

from __future__ import annotations

import datetime
import enum
import fractions
import pathlib
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from agent_framework import (
    AgentExecutorRequest,
    Content,
    Executor,
    Message,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    handler,
    response_handler,
)
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    RootModel,
    computed_field,
    field_serializer,
    field_validator,
    model_validator,
)


class Size(enum.StrEnum):
    """An enumeration of texts."""

    SMALL = "s"
    LARGE = "l"


class Colour(enum.Enum):
    """An enumeration of tuples."""

    RED = (255, 0, 0)


class Rights(enum.Flag):
    """Flags."""

    READ = 1
    WRITE = 2


class Note(BaseModel):
    """One of two like classes."""

    text: str


class Warn(BaseModel):
    """The other."""

    text: str


class Sub(Note):
    """A class below."""

    more: int = 0


@dataclass
class Batch:
    """Either of like classes."""

    entries: list[Note | Warn]


@dataclass
class Price:
    """What `__post_init__` makes of an argument is not in the fields."""

    net: int
    vat: InitVar[int] = 0
    gross: int = field(init=False, default=0)

    def __post_init__(self, vat: int) -> None:
        self.gross = self.net + vat


@dataclass
class Tag:
    """Made anew of its fields, it would be another."""

    name: str

    def __post_init__(self) -> None:
        self.name = f"#{self.name}"


@dataclass
class Span:
    """It computes a field that callers do not give."""

    start: int
    end: int
    length: int = field(init=False)

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError("ends before it starts")
        self.length = self.end - self.start


class Seat(BaseModel):
    """A validator that is not to be applied twice."""

    row: int

    @field_validator("row", mode="before")
    @classmethod
    def from_zero(cls, value: Any) -> Any:
        """Count from one."""
        return int(value) + 1


class Card(BaseModel):
    """A field that is kept out of dumps."""

    owner: str
    pin: int = Field(default=0, exclude=True)


class Bag(BaseModel):
    """Anything."""

    content: Any


@dataclass
class When:
    """Moments."""

    at: datetime.datetime
    time: datetime.time = datetime.time(0)
    day: datetime.date = datetime.date(2026, 1, 1)
    span: datetime.timedelta = datetime.timedelta(0)


@dataclass
class Last:
    """Collections that JSON has not."""

    seen: deque[int] = field(default_factory=deque)
    names: frozenset[str] = frozenset()
    grid: dict[tuple[int, int], str] = field(default_factory=dict)
    numbers: tuple[int, ...] = ()
    counted: Counter[str] = field(default_factory=Counter)
    ordered: OrderedDict[str, int] = field(default_factory=OrderedDict)
    grouped: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))


class Area(BaseModel):
    """Extra is forbidden, and something is computed."""

    model_config = ConfigDict(extra="forbid")
    w: int
    h: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def area(self) -> int:
        """Return the product."""
        return self.w * self.h

    @cached_property
    def doubled(self) -> int:
        """Return twice that."""
        return 2 * self.area


class Person(BaseModel):
    """One alias to read, another to write."""

    first: str = Field(validation_alias="givenName", serialization_alias="given_name")


class Bill(BaseModel):
    """A serializer for people."""

    sum: Decimal = Field(ge=0)

    @field_serializer("sum")
    def euro(self, value: Decimal) -> str:
        """Return text."""
        return f"{value} EUR"


class Loose(BaseModel):
    """Extra is allowed, and there is something private."""

    model_config = ConfigDict(extra="allow")
    known: float = 0.0
    _hidden: int = PrivateAttr(default=1)


class Even(BaseModel):
    """A rule that no type says."""

    numbers: list[int]

    @model_validator(mode="after")
    def _even(self) -> Even:
        if any(number % 2 for number in self.numbers):
            raise ValueError("must be even")
        return self


class Names(RootModel[list[str]]):
    """A model of a list."""


class Point(NamedTuple):
    """A named tuple."""

    x: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Odds:
    """Kinds of values that JSON says as text, or not at all."""

    number: complex = 0j
    ratio: Any = None
    key: uuid.UUID | None = None
    path: pathlib.Path | None = None
    raw: bytes = b""
    size: Size = Size.SMALL
    colour: Colour | None = None
    rights: Rights = Rights.READ
    choice: Literal["a", 1] = "a"
    score: float = 0.0
    point: Point | None = None
    either: int | str | None = None


TYPES = (
    *(Batch, Price, Tag, Span, Seat, Card, Bag, When, Last, Area, Person, Bill, Loose, Even, Names, Point, Odds, Note),
    *(Warn, Message, AgentExecutorRequest, Size, Colour, datetime.datetime, Decimal, uuid.UUID, pathlib.Path, bytes),
    *(str, int, float, bool, dict, list, tuple, set, frozenset, deque),
)
TAKEN: Any = TYPES[0]
for _kind in TYPES[1:]:
    TAKEN |= _kind


class Taker(Executor):
    """Takes all of them, and yields what it was given."""

    @handler(input=TAKEN, workflow_output=Any)
    async def take(self, value: Any, ctx: WorkflowContext[Any, Any]) -> None:
        """Take a message, and ask for another value."""
        await ctx.yield_output(value)
        await ctx.request_info("another?", TAKEN, request_id="another")

    @response_handler(request=str, response=TAKEN, workflow_output=Any)
    async def took(self, request: str, value: Any, ctx: WorkflowContext[Any, Any]) -> None:
        """Take the response."""
        await ctx.yield_output(value)


def given() -> Workflow:
    """Build the workflow."""
    taker = Taker(id="taker")
    return WorkflowBuilder(name="given", start_executor=taker, output_from=[taker]).build()


_ints = st.integers(-(10**12), 10**12)
_texts = st.text(st.characters(codec="utf-8"), max_size=8)
_floats = st.floats(allow_nan=True)
_zones: Any = st.sampled_from(
    [None, datetime.UTC, ZoneInfo("Europe/Berlin"), datetime.timezone(datetime.timedelta(hours=5))]
)
_moments = st.datetimes(
    min_value=datetime.datetime(1970, 1, 1), max_value=datetime.datetime(2100, 1, 1), timezones=_zones
)
_decimals = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=0, max_value=10**9)
_scalars = st.one_of(st.none(), st.booleans(), _ints, _floats, _texts)
_leaves = st.one_of(
    _scalars,
    _moments,
    _decimals,
    st.binary(max_size=8),
    st.uuids(),
    st.fractions(),
    st.timedeltas(),
    st.complex_numbers(allow_nan=False),
    st.sampled_from([*Size, *Colour, Rights.READ | Rights.WRITE, pathlib.Path("a/b"), range(3)]),
)
_keys = st.one_of(_texts, _ints, st.tuples(_ints, _texts))
_anything = st.recursive(
    st.one_of(_leaves, st.builds(Note, text=_texts), st.builds(Warn, text=_texts), st.builds(Point, _ints, _texts)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(_keys, inner, max_size=3),
        st.sets(_keys, max_size=3),
        st.builds(deque, st.lists(inner, max_size=2), st.one_of(st.none(), st.integers(2, 5))),
        st.builds(Bag, content=inner),
    ),
    max_leaves=6,
)
_notes = st.one_of(st.builds(Note, text=_texts), st.builds(Warn, text=_texts), st.builds(Sub, text=_texts, more=_ints))
_construct: Any = Note.model_construct
VALUES: st.SearchStrategy[Any] = st.one_of(
    _anything,
    st.builds(Batch, st.lists(_notes, max_size=3)),
    st.builds(Price, _ints, st.sampled_from([0, 19])),
    st.builds(Tag, _texts),
    st.builds(lambda start, length: Span(start, start + length), _ints, st.integers(0, 9)),
    st.builds(Seat, row=_ints),
    st.builds(Card, owner=_texts, pin=_ints),
    st.builds(Bag, content=_anything),
    st.builds(When, _moments, st.times(), st.dates(), st.timedeltas()),
    st.builds(
        Last,
        st.builds(deque, st.lists(_ints, max_size=2), st.sampled_from([None, 3])),
        st.frozensets(_texts, max_size=2),
        st.dictionaries(st.tuples(_ints, _ints), _texts, max_size=2),
        st.lists(_ints, max_size=3).map(tuple),
        st.dictionaries(_texts, st.integers(0, 5), max_size=2).map(Counter),
        st.dictionaries(_texts, _ints, max_size=2).map(OrderedDict),
        st.dictionaries(_texts, st.lists(_ints, max_size=1), max_size=2).map(lambda found: defaultdict(list, found)),
    ),
    st.builds(Area, w=_ints, h=_ints),
    st.builds(lambda name: Person(givenName=name), _texts),
    st.builds(Bill, sum=_decimals),
    st.builds(Loose, known=_floats, extra=_anything),
    st.builds(Even, numbers=st.lists(_ints.map(lambda number: 2 * number), max_size=3)),
    st.builds(Names, st.lists(_texts, max_size=3)),
    st.builds(
        Odds,
        st.complex_numbers(allow_nan=False),
        st.one_of(st.fractions(), _anything),
        st.uuids(),
        st.sampled_from([pathlib.Path(), pathlib.Path("a/b")]),
        st.binary(max_size=8),
        st.sampled_from(Size),
        st.sampled_from([None, *Colour]),
        st.sampled_from([Rights.READ, Rights.READ | Rights.WRITE]),
        st.sampled_from(["a", 1]),
        st.one_of(_floats, _ints),
        st.one_of(st.none(), st.builds(Point, _ints, _texts)),
        st.one_of(_ints, _texts, st.none()),
    ),
    st.builds(
        lambda text, more: Message("user", [Content.from_text(text, additional_properties=more)]),
        _texts,
        st.dictionaries(_texts, _leaves, max_size=1),
    ),
    st.builds(lambda text: AgentExecutorRequest(messages=[Message("user", [text])], should_respond=True), _texts),
    # What no validator would make: a field of another type, none at all, and what breaks the class's own rule.
    st.builds(_construct, text=st.one_of(_texts, _ints)),
    st.builds(_construct),
    st.builds(Even.model_construct, numbers=st.lists(_ints, max_size=2)),
    st.builds(lambda low, high: Batch([low, high]), _notes, _anything),
    st.builds(Odds, st.just(1), score=st.one_of(st.booleans(), _texts)),
)
__all__ = ["TAKEN", "VALUES", "fractions", "given"]
