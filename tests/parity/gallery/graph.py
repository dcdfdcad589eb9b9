"""Rows of the graph: executors, edges of every kind, loops and sub-workflows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Never

from agent_framework import (
    Case,
    Default,
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowExecutor,
    executor,
    handler,
)
from pydantic import BaseModel

from tests.parity.gallery._row import Row, Turn


class Order(BaseModel):
    """An order of some copies of an item."""

    item: str
    copies: int


@dataclass
class Guess:
    """A guess of a number, and the bounds it lies in."""

    low: int
    high: int
    tried: list[int] = field(default_factory=list)


class Append(Executor):
    """Append its own id to a text and pass it on."""

    @handler
    async def append(self, text: str, ctx: WorkflowContext[str]) -> None:
        await ctx.send_message(f"{text} > {self.id}")


class Finish(Executor):
    """Yield the text it gets."""

    @handler
    async def finish(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        await ctx.yield_output(f"{text} > {self.id}")


class Collect(Executor):
    """Yield the texts a fan-in gathers."""

    @handler
    async def collect(self, texts: list[str], ctx: WorkflowContext[Never, list[str]]) -> None:
        await ctx.yield_output(texts)


class Intake(Executor):
    """Take an order in any of four shapes."""

    @handler
    async def from_text(self, text: str, ctx: WorkflowContext[Order]) -> None:
        await ctx.send_message(Order(item=text, copies=1))

    @handler
    async def from_number(self, number: int | float, ctx: WorkflowContext[Order]) -> None:
        await ctx.send_message(Order(item="page", copies=round(number)))

    @handler
    async def from_order(self, order: Order, ctx: WorkflowContext[Order]) -> None:
        await ctx.send_message(order.model_copy(update={"copies": order.copies + 1}))

    @handler
    async def from_orders(self, orders: list[Order], ctx: WorkflowContext[Order]) -> None:
        for order in orders:
            await ctx.send_message(order)


class Ship(Executor):
    """Yield an order as shipped."""

    @handler
    async def ship(self, order: Order, ctx: WorkflowContext[Never, Order | str]) -> None:
        await ctx.yield_output(f"{self.id}: {order.copies} of {order.item}")


class Guesser(Executor):
    """Guess the number 42 by halving, one guess for each round of the loop."""

    @handler
    async def guess(self, guess: Guess, ctx: WorkflowContext[Guess, list[int]]) -> None:
        middle = (guess.low + guess.high) // 2
        tried = [*guess.tried, middle]
        if middle == 42:
            await ctx.yield_output(tried)
        else:
            await ctx.send_message(Guess(guess.low, guess.high, tried))


class Judge(Executor):
    """Narrow the bounds by the last guess."""

    @handler
    async def judge(self, guess: Guess, ctx: WorkflowContext[Guess]) -> None:
        last = guess.tried[-1]
        low, high = (last + 1, guess.high) if last < 42 else (guess.low, last - 1)
        await ctx.send_message(Guess(low, high, guess.tried))


async def upper(text: str, ctx: WorkflowContext[str]) -> None:
    """Pass a text on in upper case."""
    await ctx.send_message(text.upper())


def note_length(text: str, ctx: WorkflowContext) -> None:
    """Note the length of a text; a synchronous executor runs in a thread and cannot send."""
    ctx.set_state("length", len(text))


async def with_length(text: str, ctx: WorkflowContext[Never, str]) -> None:
    """Yield a text with the length noted one superstep earlier."""
    await ctx.yield_output(f"{text} {ctx.get_state('length')}")


async def is_large(message: Any) -> bool:
    """Whether an order is large; an asynchronous condition of an edge."""
    return isinstance(message, Order) and message.copies > 10


def is_small(message: Any) -> bool:
    """Whether an order is not large."""
    return isinstance(message, Order) and message.copies <= 10


def is_single(message: Any) -> bool:
    """Whether an order is of one copy."""
    return isinstance(message, Order) and message.copies == 1


def shipments(order: Order, targets: Sequence[str]) -> list[str]:
    """Select every second target for an even number of copies, and all for an odd one."""
    return list(targets) if order.copies % 2 else list(targets)[::2]


def _linear() -> Workflow:
    first, second, last = Append(id="first"), Append(id="second"), Finish(id="last")
    return WorkflowBuilder(name="linear", start_executor=first).add_chain([first, second, last]).build()


def _functions() -> Workflow:
    start, note = executor(id="upper")(upper), executor(id="note")(note_length)
    relay, last = Append(id="relay"), executor(id="with-length")(with_length)
    builder = WorkflowBuilder(name="function-executors", start_executor=start)
    return builder.add_fan_out_edges(start, [note, relay]).add_edge(relay, last).build()


def _handlers() -> Workflow:
    intake, ship = Intake(id="intake"), Ship(id="ship")
    return WorkflowBuilder(name="several-handlers", start_executor=intake).add_edge(intake, ship).build()


def _conditions() -> Workflow:
    intake, truck, bike = Intake(id="intake"), Ship(id="truck"), Ship(id="bike")
    builder = WorkflowBuilder(name="conditional-edges", start_executor=intake)
    return builder.add_edge(intake, truck, condition=is_large).add_edge(intake, bike, condition=is_small).build()


def _switch() -> Workflow:
    intake, mail, bike, truck = Intake(id="intake"), Ship(id="mail"), Ship(id="bike"), Ship(id="truck")
    cases: list[Case | Default] = [
        Case(condition=is_single, target=mail),
        Case(condition=is_small, target=bike),
        Default(target=truck),
    ]
    return WorkflowBuilder(name="switch-case", start_executor=intake).add_switch_case_edge_group(intake, cases).build()


def _selection() -> Workflow:
    intake, targets = Intake(id="intake"), [Ship(id="north"), Ship(id="east"), Ship(id="south")]
    builder = WorkflowBuilder(name="multi-selection", start_executor=intake)
    return builder.add_multi_selection_edge_group(intake, targets, selection_func=shipments).build()


def _fan() -> Workflow:
    start, collect = Append(id="start"), Collect(id="collect")
    branches = [Append(id="left"), Append(id="middle"), Append(id="right")]
    builder = WorkflowBuilder(name="fan-out-fan-in", start_executor=start)
    return builder.add_fan_out_edges(start, branches).add_fan_in_edges(branches, collect).build()


def _uneven_fan() -> Workflow:
    start, collect = Append(id="start"), Collect(id="collect")
    short, long, tail = Append(id="short"), Append(id="long"), Append(id="tail")
    builder = WorkflowBuilder(name="fan-in-over-two-supersteps", start_executor=start)
    builder.add_fan_out_edges(start, [short, long]).add_edge(long, tail)
    return builder.add_fan_in_edges([short, tail], collect).build()


def _loop() -> Workflow:
    guesser, judge = Guesser(id="guesser"), Judge(id="judge")
    builder = WorkflowBuilder(name="loop", start_executor=guesser)
    return builder.add_edge(guesser, judge).add_edge(judge, guesser).build()


def _child(name: str) -> Workflow:
    first, last = Append(id="child-first"), Finish(id="child-last")
    return WorkflowBuilder(name=name, start_executor=first).add_edge(first, last).build()


def _sub_workflow() -> Workflow:
    start, last = Append(id="start"), Finish(id="last")
    child = WorkflowExecutor(_child("sub-workflow-child"), id="child")
    return WorkflowBuilder(name="sub-workflow", start_executor=start).add_chain([start, child, last]).build()


def _nested_sub_workflow() -> Workflow:
    inner = WorkflowExecutor(_child("nested-sub-workflow-inner"), id="inner", allow_direct_output=True)
    entry = Append(id="entry")
    middle = WorkflowBuilder(name="nested-sub-workflow-middle", start_executor=entry).add_edge(entry, inner).build()
    start, outer = Append(id="start"), WorkflowExecutor(middle, id="outer", allow_direct_output=True)
    return WorkflowBuilder(name="nested-sub-workflow", start_executor=start).add_edge(start, outer).build()


def _row(name: str, feature: str, build: Any, *messages: Any) -> Row:
    turns = tuple(Turn(message=message, stream=index % 2 == 1) for index, message in enumerate(messages))
    return Row(name=name, feature=feature, group="Graph", build=build, turns=turns)


_ORDERS = [Order(item="map", copies=1), Order(item="book", copies=4), Order(item="leaflet", copies=500)]

ROWS: tuple[Row, ...] = (
    _row("linear", "Chain of executors", _linear, "one", "two"),
    _row("function-executors", "Function executors, asynchronous and synchronous", _functions, "hello", "bye"),
    _row(
        "several-handlers",
        "Executor with several handlers and union input types",
        _handlers,
        "map",
        3,
        2.75,
        _ORDERS[0],
        _ORDERS,
    ),
    _row("conditional-edges", "Conditional edges, synchronous and asynchronous", _conditions, 3, 30, _ORDERS),
    _row("switch-case", "Switch-case edges", _switch, 1, 5, 50),
    _row("multi-selection", "Multi-selection edges", _selection, 2, 3, _ORDERS),
    _row("fan-out-fan-in", "Fan-out and fan-in", _fan, "one", "two"),
    _row("fan-in-over-two-supersteps", "Fan-in that fills over several supersteps", _uneven_fan, "one", "two"),
    _row("loop", "Loop until done", _loop, Guess(0, 100), Guess(40, 42)),
    _row("sub-workflow", "Sub-workflow", _sub_workflow, "one", "two"),
    _row("nested-sub-workflow", "Sub-workflow in a sub-workflow, with direct output", _nested_sub_workflow, "one"),
)
