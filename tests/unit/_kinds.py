"""Values of every kind that an executor can hold in its state, and the classes that they are of."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import pathlib
import types
import uuid
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from agent_framework import (
    AgentResponse,
    AgentSession,
    Content,
    Executor,
    Message,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowMessage,
    handler,
)
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel, SecretStr, computed_field
from pydantic.dataclasses import dataclass as pydantic_dataclass

T = TypeVar("T")


class Plain:
    """A class of anybody's."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)

    def __eq__(self, other: object) -> bool:
        return type(other) is Plain and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]


class Thing:
    """Compared by identity."""

    name = "default"


class Slots:
    __slots__ = ("__hidden", "first", "second")

    def __init__(self, first: Any) -> None:
        self.first = first
        self.__hidden = "hidden"


class MoreSlots(Slots):
    __slots__ = ("third",)


class SlotsAndMore(Slots):
    """With a dictionary too."""


class Names(list[Any]):
    label: str


class Table(dict[Any, Any]):
    label: str


class Ordered(collections.OrderedDict[Any, Any]):
    pass


class Default(collections.defaultdict[Any, Any]):
    pass


class Recent(collections.deque[Any]):
    pass


class Tags(set[Any]):
    pass


class FrozenTags(frozenset[Any]):
    pass


class Pair(tuple[Any, ...]):
    label: str


class Code(str):
    label: str


class Amount(int):
    pass


class Ratio(float):
    pass


class Blob(bytes):
    pass


class Moment(datetime.datetime):
    pass


class Day(datetime.date):
    pass


class Price(decimal.Decimal):
    currency: str


class Typed(NamedTuple):
    x: Any
    y: Any = None


Untyped = collections.namedtuple("Untyped", "x y")


class Status(str, enum.Enum):  # noqa: UP042 - the old kind is what is meant.
    ON = "on"


class Mode(enum.StrEnum):
    FAST = "fast"


class Bits(enum.IntFlag):
    A = 1
    B = 2


class Flags(enum.Flag):
    A = 1
    B = 2
    BOTH = 3


class Fancy(enum.Enum):
    """With members that need its own constructor."""

    ONE = (1, "eins")

    def __init__(self, number: int, german: str) -> None:
        self.number = number
        self.german = german


@dataclass
class Invoice:
    """With what its constructor makes of its arguments."""

    net: int
    vat: dataclasses.InitVar[int] = 0
    gross: int = field(init=False, default=0)

    def __post_init__(self, vat: int) -> None:
        self.gross = self.net + vat


@dataclass(frozen=True)
class Frozen:
    x: Any


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    x: Any


@dataclass(kw_only=True)
class Generic1(Generic[T]):
    x: T


@pydantic_dataclass
class Checked:
    x: int


class Model(BaseModel):
    x: Any = None
    hidden: int = Field(default=0, exclude=True)
    renamed: int = Field(default=0, alias="anotherName")
    _private: int = PrivateAttr(default=1)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> Any:
        return self.x


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")


class FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True)
    x: int


class Root(RootModel[list[int]]):
    pass


class Secret(BaseModel):
    password: SecretStr
    address: ipaddress.IPv4Address
    folder: pathlib.Path


class Envelope(BaseModel, Generic[T]):
    content: T


IntEnvelope = Envelope[int]


class Cached:
    """Keeps what it has computed among its attributes."""

    @functools.cached_property
    def answer(self) -> int:
        return 42


class Reduced:
    """Says by methods of its own how it is stored, which keep all that it has."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __getstate__(self) -> dict[str, Any]:
        return dict(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        raise AssertionError("it is not needed")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise AssertionError("it is not asked")


class Dropping:
    """Leaves out what can be computed again."""

    def __init__(self) -> None:
        self.kept = 1
        self.dropped = 2

    def __getstate__(self) -> dict[str, Any]:
        return {"kept": self.kept}


class ShopError(Exception):
    def __init__(self, item: str, left: int) -> None:
        super().__init__(f"{left} of {item}")
        self.item, self.left = item, left


Declared = (
    Plain | Thing | Slots | MoreSlots | SlotsAndMore | Cached | Reduced | Dropping | types.SimpleNamespace | Secret
)
Collected = Names | Table | Ordered | Default | Recent | Tags | FrozenTags | Pair
Derived = Code | Amount | Ratio | Blob | Moment | Day | Price


class Keeper(Executor):
    """Declares the classes that are no data classes; those of this module count without it."""

    @handler(input=Declared | Collected | Derived)
    async def keep(self, value: Any, ctx: WorkflowContext[Envelope[list[Model]]]) -> None:
        """Declare the types."""


def build() -> Workflow:
    return WorkflowBuilder(name="kinds", start_executor=Keeper(id="keeper")).build()


CATALOG = TypeCatalog(build())


def _with(value: Any, **attributes: Any) -> Any:
    vars(value).update(attributes)
    return value


def _slots() -> Iterator[Any]:
    yield Slots(1)
    more: Any = MoreSlots([1])
    more.third = more.second = {"x": (1,)}
    yield more
    yield _with(SlotsAndMore(None), extra=1)


def _private(value: Any) -> Any:
    value._private = 7
    return value


UTC, BERLIN = datetime.UTC, zoneinfo.ZoneInfo("Europe/Berlin")
KINDS: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**63, -(2**64), 10**4_000, 10**5_000, -(10**5_000)),
    *(0.0, -0.0, 1.5, 1e300, 5e-324, float("inf"), float("-inf")),
    *("", "text", "\ud800", "\x00\x1f\u2028", "🎉" * 3, "x" * 200_000, '"\\', "$o"),
    *(b"", b"bytes\xff", b"x" * 200_000, bytearray(b"\x00"), 1 + 2j, range(0, 10**30, 7), slice(1, None, "x"), ...),
    *([], [1, "a", None], [[]], (), (1,), ((), ((),)), (1,) * 100, ([],)),
    *({}, {"a": 1}, {"$o": ["x"], "$r": 0}, {"": 1}, {1: "a", "1": "b"}, {None: 1, True: 2, 1.5: 3, (1, (2,)): 4}),
    *(set(), {1, 2}, {"a", "b"}, {1, "a", None}, frozenset(), frozenset({(1, 2)}), {frozenset({1})}),
    *(decimal.Decimal("1.10"), decimal.Decimal("1E+400"), decimal.Decimal("-0"), decimal.Decimal("-Infinity")),
    *(fractions.Fraction(1, 3), fractions.Fraction(10**300, 7), uuid.UUID(int=5), uuid.uuid1()),
    *(datetime.date(2026, 1, 2), datetime.time(1, 2, 3, 4), datetime.time(1, 2, tzinfo=UTC, fold=1)),
    *(
        datetime.datetime(2026, 1, 1),
        datetime.datetime(1, 1, 1, 0, 0, 0, 1),
        datetime.datetime(2026, 10, 25, 2, 30, fold=1),
    ),
    *(datetime.datetime(2026, 3, 28, 9, tzinfo=BERLIN), datetime.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)),
    *(datetime.datetime(2026, 1, 1, tzinfo=UTC), datetime.datetime.max, datetime.datetime.min),
    *(datetime.timedelta(days=-1, microseconds=1), datetime.timedelta.max, UTC, BERLIN),
    *(datetime.timezone(datetime.timedelta(minutes=-90)), datetime.timezone(datetime.timedelta(hours=1), "home")),
    *(pathlib.PurePosixPath("/a/b"), pathlib.PureWindowsPath("c:\\a"), pathlib.Path("a/../b"), pathlib.Path()),
    *(collections.OrderedDict(b=1, a=2), collections.Counter("abca"), collections.Counter({1: -5})),
    *(collections.deque([1, [2]], 5), collections.deque(), collections.deque([1], 0)),
    *(collections.defaultdict(list, a=[1]), collections.defaultdict(None, {1: 2}), collections.defaultdict(Plain)),
    *(dict, Plain, Status, type(None), list[int]),
    *(Status.ON, Mode.FAST, Bits.A | Bits.B, Bits(0), Bits(9), Flags.BOTH, Flags.A | Flags.B, Flags(0), Fancy.ONE),
    *(Plain(), Plain(a=None, b=[None], c=Plain()), types.SimpleNamespace(a=1), *_slots()),
    *(
        _with(Names([1, [2]]), label="n"),
        _with(Table({1: 2, "a": []}), label="t"),
        Ordered(a=1),
        Default(int, {"a": 1}),
    ),
    *(
        Recent([1, 2, 3], 2),
        Tags({1, "a"}),
        FrozenTags({1}),
        _with(Pair([1, []]), label="p"),
        Typed(1),
        Untyped(1, [2]),
    ),
    *(_with(Code("c"), label=["x"]), Amount(5), Amount(10**50), Ratio(0.5), Blob(b"\xff"), Day(2026, 1, 2)),
    *(Moment(2026, 1, 1, tzinfo=BERLIN, fold=1), _with(Price("1.10"), currency="EUR")),
    *(_with(collections.OrderedDict(a=1), extra=1), _with(collections.Counter("aa"), extra=[1])),
    *(Invoice(100, 19), Frozen([1]), FrozenSlots((1,)), Generic1(x=[1]), Checked(5), _with(Invoice(1), added=None)),
    *(
        Model(x={"a": (1, decimal.Decimal(1))}, hidden=5, anotherName=7),
        _private(Model()),
        Model.model_construct(x=object),
    ),
    *(Model.model_construct(x="not checked", unknown=1), Extra(a=1, b=[Model()]), FrozenModel(x=1), Root([1, 2])),
    Secret(password=SecretStr("p"), address=ipaddress.IPv4Address("10.0.0.1"), folder=pathlib.Path("/tmp")),
    *(Envelope[int](content=1), Envelope[list[Model]](content=[Model(x=1)]), Envelope(content=1)),
    *({Frozen(1): 1}, {FrozenSlots((1, "a"))}, {FrozenModel(x=1): 1}, {Typed(1, (2,)): 1}, {Status.ON, Mode.FAST}),
    {datetime.date(2026, 1, 1): 1, UTC: 2, pathlib.PurePath("a"): 3, decimal.Decimal(1): 4, uuid.UUID(int=1): 5},
    *({Code("a"): 1, Amount(1): 2, Pair((1,)): 3}, {int: 1, list[int]: 2, type(None): 3}, {...: 1}),
    *(Reduced([1]), _with(Cached(), answer=43)),
]
"""Whatever comes back of them must be equal, of the same type, and hold the same."""
FRAMEWORK: list[Any] = [
    Message("user", ["hi", Content.from_function_call("c", "f", arguments={"a": 1})], message_id="m"),
    AgentResponse(messages=[Message("assistant", ["x"])], response_id="r", value={"a": 1}),
    WorkflowMessage(data=[Message("user", ["x"])], source_id="a", trace_contexts=[{"traceparent": "00"}]),
    _with(AgentSession(session_id="s"), state={"a": [Message("user", ["x"])]}),
]
