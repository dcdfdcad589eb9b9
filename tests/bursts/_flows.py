"""A workflow that loops, tells a ledger what it does, and is told when to fail, to be killed, or to take its time."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler

LEDGER = "TESTS_BURSTS_LEDGER"


@dataclass
class Plan:
    """How many supersteps, and what happens in which."""

    last: int
    kills: list[int] = field(default_factory=list)
    """In which the process is killed, once each."""
    fails: dict[str, int] = field(default_factory=dict)
    """In which, and how often, the executor raises."""
    holds: list[int] = field(default_factory=list)
    """In which it waits until a file is there that the ledger's folder gets from `let`."""
    bulky: int = 0
    """In which it yields more than fits into a payload."""
    number: int = 1


def lines(ledger: Path) -> Counter[str]:
    """Return how often each line is in a ledger."""
    return Counter(ledger.read_text(encoding="utf-8").split("\n")[:-1]) if ledger.exists() else Counter()


def let(ledger: Path, number: int) -> None:
    """Let a superstep go on that waits."""
    ledger.with_name(f"let-{number}").touch()


async def begun(ledger: Path, number: int) -> None:
    """Wait until a superstep has begun."""
    async with asyncio.timeout(50):
        while not lines(ledger)[f"begin {number}"]:
            await asyncio.sleep(0.02)


def _note(text: str) -> int:
    """Append a line; returns how often it is there now."""
    ledger = Path(os.environ[LEDGER])
    with ledger.open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")
    return lines(ledger)[text]


class Stepper(Executor):
    """Does one superstep of the plan, and passes it on."""

    @handler
    async def step(self, plan: Plan, ctx: WorkflowContext[Plan, str]) -> None:
        number = plan.number
        times = _note(f"begin {number}")
        if number in plan.kills and times == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if times <= plan.fails.get(str(number), 0):
            raise ValueError(f"superstep {number} has no luck")
        if number in plan.holds:
            while not Path(os.environ[LEDGER]).with_name(f"let-{number}").exists():
                await asyncio.sleep(0.01)
        ctx.set_state("done", [*ctx.get_state("done", []), number])
        await ctx.yield_output(os.urandom(2_000_000).hex() if number == plan.bulky else f"{self.id} {number}")
        _note(f"end {number}")
        if number < plan.last:
            await ctx.send_message(dataclasses.replace(plan, number=number + 1))


def steps() -> Workflow:
    """Build it: two executors in turns."""
    one, two = Stepper(id="one"), Stepper(id="two")
    builder = WorkflowBuilder(name="steps", start_executor=one, max_iterations=200)
    return builder.add_edge(one, two).add_edge(two, one).build()


def outputs(first: int, last: int) -> list[str]:
    """Return what supersteps from the first to the last yield."""
    return [f"{'one' if number % 2 else 'two'} {number}" for number in range(first, last + 1)]
