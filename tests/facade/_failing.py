"""Workflows whose executors fail in ways of their own; worker processes import them too."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Never

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler

from tests.flows import LEDGER, note

MENDED = "TESTS_MENDED"
"""Environment variable: set when what makes the executors fail is mended."""


class Start(Executor):
    @handler
    async def start(self, text: str, ctx: WorkflowContext[str]) -> None:
        note(f"begin {self.id}")
        await ctx.send_message(text)


class Failing(Executor):
    """Fails at once, or sleeps for as long as the text says, until it is mended."""

    @handler
    async def fail(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        note(f"begin {self.id}")
        if MENDED in os.environ:
            await ctx.yield_output(f"{self.id} done")
        elif text.isdigit():
            await asyncio.sleep(int(text))
        else:
            raise OSError(f"{self.id} is down")


class Doomed(Executor):
    """Hangs the first time, so that its worker can be killed, and fails from then on."""

    @handler
    async def hang(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        first = "begin doomed" not in Path(os.environ[LEDGER]).read_text()
        note("begin doomed")
        if first:
            await asyncio.sleep(60)
        raise OSError("doomed")


def failing() -> Workflow:
    """Build the workflow whose second superstep fails."""
    start, target = Start(id="start"), Failing(id="failing")
    return WorkflowBuilder(name="failing", start_executor=start).add_edge(start, target).build()


def failing_at_once() -> Workflow:
    """Build the workflow whose first superstep fails."""
    return WorkflowBuilder(name="failing-at-once", start_executor=Failing(id="failing")).build()


def doomed() -> Workflow:
    """Build the workflow whose second superstep loses its worker."""
    start, target = Start(id="start"), Doomed(id="doomed")
    return WorkflowBuilder(name="doomed", start_executor=start).add_edge(start, target).build()
