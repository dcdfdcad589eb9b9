"""A workflow whose executors spend tokens, as its message says, and fail or wait on the way."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from typing import Never

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler
from agent_framework_temporal.activities.journal.journal import Scope, current_scope, journalled
from agent_framework_temporal.activities.journal.tally import Tokens
from pydantic import BaseModel

from tests.flows import note

STOPPED: Counter[str] = Counter()
"""How often a spending has stopped in this process, by its name."""
EACH = Tokens(10, 1, 11)
"""What each call costs."""


class Spending(BaseModel):
    """What an executor is to do."""

    name: str
    calls: int = 4
    rounds: int = 0
    """So many more supersteps."""
    stops: tuple[tuple[int, int], ...] = ()
    """Rounds and calls at which it stops: the first time at the first of these, and so on."""
    ending: str = "fail"
    """`fail`, `kill` or `wait`."""


class Spender(Executor):
    """Makes calls, each a journal entry with its cost."""

    @handler
    async def spend(self, spending: Spending, ctx: WorkflowContext[Spending, str]) -> None:
        scope = current_scope()
        assert scope is not None
        with journalled(Scope(scope.journal, executor_id=self.id)):
            for number in range(spending.calls):
                await self._stop(spending, number)
                if scope.journal.take("chat", f"{number}") is None:
                    note(f"call {number}")
                    await scope.journal.end("chat", f"{number}", "model", number, tokens=EACH)
        if spending.rounds:
            await ctx.send_message(spending.model_copy(update={"rounds": spending.rounds - 1}))
        else:
            await ctx.yield_output("spent")

    async def _stop(self, spending: Spending, number: int) -> None:
        times = STOPPED[spending.name]
        if times >= len(spending.stops) or spending.stops[times] != (spending.rounds, number):
            return
        STOPPED[spending.name] += 1
        if spending.ending == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if spending.ending == "wait":
            await asyncio.sleep(600)
        raise OSError("told to fail")


class Silent(Executor):
    """Calls nothing."""

    @handler
    async def work(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        await ctx.yield_output(text)


def spending() -> Workflow:
    """Build the workflow."""
    first, second = Spender(id="first"), Spender(id="second")
    builder = WorkflowBuilder(name="spending", start_executor=first, output_from=[first, second])
    return builder.add_edge(first, second).add_edge(second, first).build()


def silent() -> Workflow:
    """Build a workflow that calls nothing."""
    return WorkflowBuilder(name="silent", start_executor=Silent(id="silent")).build()
