"""Rows of the state: what a workflow remembers, what it shows, and which values survive."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any, Never

from agent_framework import (
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowEvent,
    WorkflowExecutor,
    handler,
)
from pydantic import BaseModel, Field

from tests.parity.gallery._row import Row, Turn


class Priority(IntEnum):
    """How much a parcel hurries."""

    LOW = 1
    HIGH = 2


class Channel(StrEnum):
    """How a parcel travels."""

    AIR = "air"
    SEA = "sea"


class Colour(Enum):
    """An enumeration whose values are no plain text or number."""

    RED = (255, 0, 0)
    BLUE = (0, 0, 255)


@dataclass(frozen=True)
class Place:
    """A place on the map."""

    latitude: float
    longitude: float


@dataclass
class Stop:
    """A stop on a route."""

    place: Place
    arrives: datetime
    tags: set[str] = field(default_factory=set)
    window: tuple[int, int] | None = None


class Parcel(BaseModel):
    """A parcel with fields of many types."""

    id: uuid.UUID
    size: tuple[int, int, int]
    weight: Decimal
    priority: Priority
    channel: Channel
    colour: Colour
    labels: frozenset[str]
    seal: bytes
    due: date
    takes: timedelta
    route: list[Stop]
    prices: dict[int, Decimal] = Field(default_factory=dict)


@dataclass
class Manifest:
    """Parcels under keys that are not text."""

    parcels: dict[int, Parcel]
    by_priority: dict[Priority, list[int]]
    by_cell: dict[tuple[int, int], Place]
    flags: dict[bool | None, str]
    previous: "Manifest | None" = None


class Counter(Executor):
    """Count the texts it has seen, in itself and across checkpoints."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._seen: dict[str, int] = {}

    @handler
    async def count(self, text: str, ctx: WorkflowContext[Never, dict[str, int]]) -> None:
        self._seen[text] = self._seen.get(text, 0) + 1
        await ctx.yield_output(dict(self._seen))

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"seen": dict(self._seen)}

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        self._seen = dict(state["seen"])


class Tally(Executor):
    """Add a text to a list in the shared state, and pass on how long the list is."""

    @handler
    async def tally(self, text: str, ctx: WorkflowContext[str]) -> None:
        texts: list[str] = ctx.get_state("texts", [])
        ctx.set_state("texts", [*texts, f"{self.id}:{text}"])
        await ctx.send_message(f"{text}{len(texts)}")


class Report(Executor):
    """Yield the shared list, and forget it once it is long."""

    @handler
    async def report(self, text: str, ctx: WorkflowContext[Never, list[str]]) -> None:
        texts: list[str] = ctx.get_state("texts", [])
        await ctx.yield_output([text, *texts])
        if len(texts) > 3:
            ctx.state.delete("texts")


class Load(Executor):
    """Put a parcel into the manifest kept in the shared state."""

    @handler
    async def load(self, parcel: Parcel, ctx: WorkflowContext[Manifest, Parcel]) -> None:
        previous: Manifest | None = ctx.get_state("manifest")
        number = len(previous.parcels) + 1 if previous else 1
        manifest = Manifest(
            parcels={**(previous.parcels if previous else {}), number: parcel},
            by_priority={parcel.priority: [number], Priority.LOW: []},
            by_cell={(number, 0): parcel.route[0].place},
            flags={True: "sealed", False: "open", None: "unknown"},
            previous=previous,
        )
        ctx.set_state("manifest", manifest)
        await ctx.yield_output(parcel.model_copy(update={"prices": {number: Decimal("9.90")}}))
        await ctx.send_message(manifest)


class Check(Executor):
    """Yield a manifest and what its values are like."""

    @handler
    async def check(self, manifest: Manifest, ctx: WorkflowContext[Never, Manifest | list[str]]) -> None:
        parcels = manifest.parcels.values()
        await ctx.yield_output(manifest)
        await ctx.yield_output([type(value).__name__ for parcel in parcels for value in dict(parcel).values()])
        await ctx.yield_output([type(key).__name__ for key in (*manifest.parcels, *manifest.by_priority)])


class Step(Executor):
    """Yield a text and pass it on."""

    @handler
    async def step(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        await ctx.yield_output(f"{self.id} saw {text}")
        await ctx.send_message(f"{text}+")


class Arrival(WorkflowEvent[Place]):
    """An event of a class of its own."""

    def __init__(self, place: Place) -> None:
        super().__init__("data", data=place)


class Locate(Executor):
    """Emit an event of a class of its own."""

    @handler
    async def locate(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        await ctx.add_event(Arrival(Place(len(text), 0.5)))
        await ctx.yield_output(text)


class Announce(Executor):
    """Emit events of its own, and one that the framework reserves for itself."""

    @handler
    async def announce(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        await ctx.add_event(WorkflowEvent("progress", data={"text": text}))  # type: ignore[arg-type]
        await ctx.add_event(WorkflowEvent("data", data=Place(1.5, 2.5), executor_id=self.id))
        await ctx.add_event(WorkflowEvent.warning(f"{text} is short"))
        await ctx.add_event(WorkflowEvent.error(ValueError(f"{text} is odd")))
        await ctx.add_event(WorkflowEvent("output", data="not allowed"))
        await ctx.add_event(WorkflowEvent.started())
        await ctx.yield_output(text)
        await ctx.send_message(text)


def _shared() -> Workflow:
    first, second, report = Tally(id="first"), Tally(id="second"), Report(id="report")
    return WorkflowBuilder(name="shared-state", start_executor=first).add_chain([first, second, report]).build()


def _counter() -> Workflow:
    return WorkflowBuilder(name="executor-state", start_executor=Counter(id="counter")).build()


def _events() -> Workflow:
    announce, last = Announce(id="announce"), Step(id="last")
    return WorkflowBuilder(name="custom-events", start_executor=announce).add_edge(announce, last).build()


def _event_class() -> Workflow:
    return WorkflowBuilder(name="custom-event-class", start_executor=Locate(id="locate")).build()


def _manifest() -> Workflow:
    load, check = Load(id="load"), Check(id="check")
    return WorkflowBuilder(name="rich-values", start_executor=load).add_edge(load, check).build()


def _child_intermediate() -> Workflow:
    child = WorkflowExecutor(_intermediate_child(), id="child")
    last = Step(id="last")
    builder = WorkflowBuilder(name="sub-workflow-intermediate", start_executor=child, output_from=[last])
    return builder.add_edge(child, last).build()


def _steps(name: str, select: Callable[[dict[str, Executor]], dict[str, Any]]) -> Callable[[], Workflow]:
    def build() -> Workflow:
        steps: dict[str, Executor] = {id: Step(id=id) for id in ("one", "two", "three")}
        builder = WorkflowBuilder(name=name, start_executor=steps["one"], **select(steps))
        return builder.add_chain(list(steps.values())).build()

    return build


_only_last = _steps("output-from", lambda steps: {"output_from": [steps["three"]]})
_intermediate = _steps(
    "intermediate-outputs",
    lambda steps: {"output_from": [steps["three"]], "intermediate_output_from": [steps["one"]]},
)
_all_other = _steps(
    "all-other-intermediate", lambda steps: {"output_from": [steps["two"]], "intermediate_output_from": "all_other"}
)
_intermediate_child = _steps(
    "sub-workflow-intermediate-child",
    lambda steps: {"output_from": [steps["three"]], "intermediate_output_from": [steps["one"], steps["two"]]},
)

_NOON = datetime(2025, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)


def _parcel(number: int) -> Parcel:
    return Parcel(
        id=uuid.UUID(int=number),
        size=(1, 2, number),
        weight=Decimal("1.10"),
        priority=Priority.HIGH,
        channel=Channel.SEA,
        colour=Colour.BLUE,
        labels=frozenset({"fragile"}),
        seal=b"\x00\xffseal",
        due=_NOON.date(),
        takes=timedelta(hours=30, milliseconds=5),
        route=[
            Stop(Place(52.5, 13.4), _NOON, {"start"}, (8, 12)),
            Stop(Place(48.1, 11.6), _NOON.replace(tzinfo=None) + timedelta(days=number)),
        ],
    )


def _row(name: str, feature: str, build: Callable[[], Workflow], *messages: Any) -> Row:
    turns = tuple(Turn(message=message, stream=index % 2 == 1) for index, message in enumerate(messages))
    return Row(name=name, feature=feature, group="State", build=build, turns=turns)


ROWS: tuple[Row, ...] = (
    _row("shared-state", "Shared state, kept over several messages", _shared, "a", "b", "c"),
    _row("executor-state", "Executor state (on_checkpoint_save and on_checkpoint_restore)", _counter, "a", "b", "a"),
    _row("rich-values", "Nested pydantic and dataclass values of many types", _manifest, _parcel(1), _parcel(2)),
    _row("custom-events", "Custom events", _events, "hello", "bye"),
    _row("custom-event-class", "Custom events of a subclass", _event_class, "hello", "bye"),
    _row("output-from", "Output selection", _only_last, "hello", "bye"),
    _row("intermediate-outputs", "Intermediate outputs", _intermediate, "hello", "bye"),
    _row("all-other-intermediate", "All other outputs intermediate", _all_other, "hello"),
    _row("sub-workflow-intermediate", "Intermediate outputs of a sub-workflow", _child_intermediate, "hello", "bye"),
)
