"""Workflows that worker processes run, and in which a worker is killed."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, Never

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, WorkflowExecutor, handler
from agent_framework_temporal import idempotency_key, once

from tests.flows import LEDGER, Order, note

KILLS = "TESTS_KILLS"
"""Names of calls, each of which kills its worker the first time that it is made."""
FAILS = "TESTS_FAILS"
"""Names of calls, each of which raises the first time."""


def _first(name: str, variable: str) -> bool:
    """Tell whether a call is named there, and has not been made before."""
    path = Path(f"{os.environ[LEDGER]}.{variable}.{name}")
    if name not in os.environ.get(variable, "").split() or path.exists():
        return False
    path.touch()
    return True


async def work(name: str, key: str = "") -> str:
    """Do something that counts, and die where it is so said."""
    note(f"{name} {key}".strip())
    if _first(name, KILLS):
        await asyncio.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    if _first(name, FAILS):
        await asyncio.sleep(0.5)
        raise ConnectionError(name)
    return name


class Start(Executor):
    @handler
    async def start(self, order: Order, ctx: WorkflowContext[Order]) -> None:
        ctx.set_state("item", order.item)
        await ctx.send_message(order)


class Work(Executor):
    """Works, and keeps a count and some state."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.count = 0

    @handler
    async def go(self, order: Order, ctx: WorkflowContext[Order, str]) -> None:
        self.count += 1
        ctx.set_state(self.id, ctx.get_state("item", ""))
        await ctx.yield_output(f"{self.id} begins")
        await work(self.id, idempotency_key(ctx))
        await ctx.yield_output(f"{self.id} {self.count}")
        await ctx.send_message(order)

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"count": self.count}

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


class Pay(Executor):
    """Makes three calls."""

    @handler
    async def go(self, order: Order, ctx: WorkflowContext[Order, str]) -> None:
        note("pay")
        names = [
            await once(ctx, "reserve", work, "reserve"),
            await once(ctx, "charge", work, "charge", idempotency_key(ctx), in_doubt="ask"),
            await once(ctx, "tell", work, "tell"),
        ]
        await ctx.yield_output(" ".join(names))
        await ctx.send_message(order)


class Join(Executor):
    @handler
    async def join(self, orders: list[Order], ctx: WorkflowContext[Never, str]) -> None:
        await ctx.yield_output(f"{len(orders)} for {ctx.get_state('item')}")


def fan() -> Workflow:
    """Three beside each other."""
    start, join = Start(id="start"), Join(id="join")
    works: list[Executor] = [Work("a"), Work("b"), Work("c")]
    builder = WorkflowBuilder(name="paying-fan", start_executor=start, output_from=[*works, join])
    return builder.add_fan_out_edges(start, works).add_fan_in_edges(works, join).build()


def deep() -> Workflow:
    """Three in a row, two workflows deep."""
    a, b, c = Work("a"), Work("b"), Work("c")
    inner = WorkflowBuilder(name="deep-inner", start_executor=a, intermediate_output_from=[a, b, c])
    inner = inner.add_edge(a, b).add_edge(b, c)
    outer = WorkflowExecutor(inner.build(), id="inner")
    middle = WorkflowBuilder(name="deep-middle", start_executor=outer, intermediate_output_from=[outer]).build()
    sub = WorkflowExecutor(middle, id="sub")
    return WorkflowBuilder(name="paying-deep", start_executor=sub, intermediate_output_from=[sub]).build()


def pay() -> Workflow:
    """One that makes calls, and one after it."""
    start, charge, done = Start(id="start"), Pay(id="pay"), Work("done")
    builder = WorkflowBuilder(name="paying", start_executor=start, output_from=[charge, done])
    return builder.add_edge(start, charge).add_edge(charge, done).build()
