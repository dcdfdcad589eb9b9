"""Values that Python holds and readers of JSON do not take, in every place a superstep can put them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

from agent_framework import (
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowEvent,
    handler,
    response_handler,
)


def nested(depth: int, leaf: Any = 1) -> Any:
    """Return a list in a list in a list."""
    for _ in range(depth):
        leaf = [leaf]
    return leaf


ODD: dict[str, Callable[[], Any]] = {
    "long int": lambda: math.factorial(2000),
    "deep list": lambda: nested(240),
    "deep and long": lambda: {"deep": nested(150, math.factorial(2000)), "n": -math.factorial(2000)},
    "key of many digits": lambda: {math.factorial(2000): 1},
    "lone surrogate": lambda: "a\ud800",
    "surrogate key": lambda: {"\ud800": ["\udfff"]},
    "nul": lambda: "a\x00b",
    "no number": lambda: [math.nan, math.inf, -math.inf],
    "unorderable": lambda: {1, "a", None, (2, b"\xff")},
    "keys of all kinds": lambda: {(1, 2): "tuple", None: "none", 1.5: "float", b"\xff": "bytes"},
    "bytes": lambda: b"\xff\x00",
}


class Odd(Executor):
    """Puts a value where it is told."""

    @handler
    async def take(self, order: list[str], ctx: WorkflowContext[Any, Any]) -> None:
        """Take `[place, name]`."""
        place, name = order
        value = ODD[name]() if name else "plain"
        if place == "output":
            await ctx.yield_output(value)
        elif place == "message":
            await ctx.send_message(value)
        elif place == "state":
            ctx.set_state("odd", value)
        elif place == "request":
            await ctx.request_info(value, str, request_id="odd")
        elif place == "warning":
            await ctx.add_event(WorkflowEvent.warning(value))
        elif place == "error":
            raise ValueError("odd", value)
        await ctx.yield_output("done")

    @response_handler
    async def answered(self, request: Any, response: str, ctx: WorkflowContext[Any, Any]) -> None:
        """Tell whether the request is what was asked."""
        await ctx.yield_output(f"{response} {same(request, ODD)}")


def same(value: Any, among: dict[str, Callable[[], Any]]) -> list[str]:
    """Return the names of a value."""
    return [name for name, make in among.items() if repr_of(make()) == repr_of(value)]


def repr_of(value: Any) -> str:
    """Return what a value is, whatever its length."""
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{repr_of(key)}: {repr_of(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({', '.join(map(repr_of, value))})"
    if isinstance(value, set):
        return "{" + ", ".join(sorted(map(repr_of, value))) + "}"
    return repr(value)


class Slow(Executor):
    """Yields a value and goes on for a while, so that it is read live."""

    @handler
    async def take(self, name: str, ctx: WorkflowContext[Any, Any]) -> None:
        """Take the value's name."""
        for number in range(3):
            await ctx.yield_output(ODD[name]())
            await ctx.yield_output("x" * 50_000 + str(number))
            await asyncio.sleep(0.4)


def slow() -> Workflow:
    """Build the workflow that takes its time."""
    return WorkflowBuilder(name="slow", start_executor=Slow(id="slow")).build()


class Sink(Executor):
    """Tells what came."""

    @handler
    async def take(self, value: Any, ctx: WorkflowContext[Any, Any]) -> None:
        """Take anything."""
        await ctx.yield_output(f"sink {same(value, ODD)}")


def odd() -> Workflow:
    """Build the workflow."""
    first, last = Odd(id="odd"), Sink(id="sink")
    return WorkflowBuilder(name="odd", start_executor=first).add_edge(first, last).build()


class Echo(Executor):
    """Says how deep a list is, and asks for more of them."""

    @handler
    async def take(self, value: list, ctx: WorkflowContext[Any, Any]) -> None:  # type: ignore[type-arg]
        """Take a list."""
        await ctx.yield_output(depth(value))
        await ctx.request_info("more?", list, request_id="more")

    @response_handler
    async def more(self, request: str, value: list, ctx: WorkflowContext[Any, Any]) -> None:  # type: ignore[type-arg]
        """Take another."""
        await ctx.yield_output(depth(value))


def depth(value: Any) -> int:
    """Return how many lists there are, one in the other."""
    found = 0
    while isinstance(value, list):
        found += 1
        value = value[0] if value else None
    return found


def echo() -> Workflow:
    """Build the workflow that takes lists."""
    return WorkflowBuilder(name="echo", start_executor=Echo(id="echo")).build()
