"""Small framework workflows that the tests of the facade share; worker processes import them too."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Never

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, executor, handler, response_handler
from pydantic import BaseModel

LEDGER = "TESTS_LEDGER"
"""Environment variable: a file to which executors append what they did."""
HOLD = "TESTS_HOLD"
"""Environment variable: a file that the chain's second step waits for, where it is set."""


class Order(BaseModel):
    """What is ordered."""

    item: str
    price: int = 1


class Decision(BaseModel):
    """Whether an order is approved."""

    approved: bool
    by: str = "nobody"


def note(text: str) -> None:
    """Append a line to the ledger, if there is one."""
    path = os.environ.get(LEDGER)
    if path:
        with Path(path).open("a", encoding="utf-8") as ledger:
            ledger.write(f"{os.getpid()} {text}\n")


class Shop(Executor):
    """Asks before it takes an order, and counts the orders of its thread."""

    @handler
    async def take(self, order: Order, ctx: WorkflowContext) -> None:
        ctx.set_state("orders", ctx.get_state("orders", 0) + 1)
        await ctx.request_info(order, Decision, request_id=f"approve-{order.item}")

    @handler
    async def take_all(self, orders: list[Order], ctx: WorkflowContext) -> None:
        for order in orders:
            await self.take(order, ctx)

    @response_handler
    async def decided(self, order: Order, decision: Decision, ctx: WorkflowContext[Never, str]) -> None:
        verdict = "approved" if decision.approved else "refused"
        await ctx.yield_output(f"{order.item} {verdict} by {decision.by}, order {ctx.get_state('orders')}")


class Echo(Executor):
    """Yields a text with the number of texts before it."""

    @handler
    async def echo(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        if text.startswith("fail"):
            note(f"fail {text}")
            raise ValueError(f"told to {text}")
        count = ctx.get_state("count", 0) + 1
        ctx.set_state("count", count)
        await ctx.yield_output(f"{text} {count}")


class Step(Executor):
    """One of a chain: notes itself, takes its time, and passes the text on."""

    @handler
    async def step(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        note(f"begin {self.id} {text}")
        try:
            await asyncio.sleep(float(os.environ.get("TESTS_DELAY", "0")))
            while self.id == STEPS[1] and HOLD in os.environ and not Path(os.environ[HOLD]).exists():
                await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            note(f"cancelled {self.id} {text}")
            raise
        note(f"end {self.id} {text}")
        if self.id == STEPS[-1]:
            await ctx.yield_output(f"{text} done")
        await ctx.send_message(f"{text}>{self.id}")


class Countdown(Executor):
    """Counts down in a loop with itself through another."""

    @handler
    async def count(self, left: int, ctx: WorkflowContext[int, str]) -> None:
        ctx.set_state("counted", ctx.get_state("counted", 0) + 1)
        await ctx.yield_output(f"{left} left")
        if left > 0:
            await ctx.send_message(left - 1)


STEPS = ("first", "second", "third", "fourth")


class Talker(Executor):
    """Yields the words of a text one by one, and passes the text on."""

    @handler
    async def talk(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        note(f"begin {self.id}")
        for word in text.split():
            await ctx.yield_output(f"{self.id} {word}")
            await asyncio.sleep(float(os.environ.get("TESTS_DELAY", "0")))
        note(f"end {self.id}")
        await ctx.send_message(text)


@executor(id="sync")
def sync_echo(text: str, ctx: WorkflowContext[Never, str]) -> None:
    """Block its thread for a moment, as a synchronous executor may."""
    time.sleep(0.05)
    note(f"sync {text}")


def shop() -> Workflow:
    """Build the workflow that asks."""
    return WorkflowBuilder(name="shop", start_executor=Shop(id="shop")).build()


def echo() -> Workflow:
    """Build the workflow that answers at once."""
    return WorkflowBuilder(name="echo", start_executor=Echo(id="echo")).build()


async def echo_later() -> Workflow:
    """Build it with an async factory."""
    await asyncio.sleep(0)
    return WorkflowBuilder(name="echo-later", start_executor=Echo(id="echo")).build()


def chain() -> Workflow:
    """Build the workflow of several supersteps."""
    steps = [Step(id=name) for name in STEPS]
    return WorkflowBuilder(name="chain", start_executor=steps[0]).add_chain(list(steps)).build()


def talk() -> Workflow:
    """Build the workflow that yields much within a superstep."""
    talkers = [Talker(id=name) for name in ("ada", "bob")]
    return WorkflowBuilder(name="talk", start_executor=talkers[0]).add_chain(list(talkers)).build()


def countdown() -> Workflow:
    """Build the workflow that loops."""
    tick, tock = Countdown(id="tick"), Countdown(id="tock")
    builder = WorkflowBuilder(name="countdown", start_executor=tick, max_iterations=100_000)
    return builder.add_edge(tick, tock).add_edge(tock, tick).build()


def sync() -> Workflow:
    """Build the workflow with a synchronous executor."""
    return WorkflowBuilder(name="sync", start_executor=sync_echo).build()
