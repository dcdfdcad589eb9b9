"""A loop that passes on fresh text, so that whatever is kept of it shows."""

from __future__ import annotations

import random
from dataclasses import dataclass

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler


@dataclass
class Baton:
    """What is passed on."""

    left: int
    size: int
    text: str = ""


class Runner(Executor):
    """Counts, and passes on."""

    @handler
    async def run(self, baton: Baton, ctx: WorkflowContext[Baton, int]) -> None:
        ctx.set_state("passed", ctx.get_state("passed", 0) + 1)
        await ctx.yield_output(baton.left)
        if baton.left > 0:
            text = random.Random(baton.left).randbytes(baton.size // 2).hex()
            await ctx.send_message(Baton(baton.left - 1, baton.size, text))


def relay() -> Workflow:
    """Build it."""
    first, second = Runner(id="first"), Runner(id="second")
    builder = WorkflowBuilder(name="relay", start_executor=first, max_iterations=100_000)
    return builder.add_edge(first, second).add_edge(second, first).build()
