"""Workflows that block the event loop of their worker, or end its process; worker processes import them too."""

from __future__ import annotations

import os
import time
from typing import Any, Never

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler

from tests.flows import note


class Blocking(Executor):
    """Blocks the event loop for as many seconds as it is told."""

    @handler
    async def block(self, seconds: float, ctx: WorkflowContext[Never, str]) -> None:
        note(f"begin {self.id}")
        time.sleep(seconds)  # noqa: ASYNC251 - it is what this executor is for.
        note(f"end {self.id}")
        await ctx.yield_output(f"blocked for {seconds:g}")


class SlowToSave(Executor):
    """Blocks it outside of its handler."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.seconds = 0.0

    @handler
    async def take(self, seconds: float, ctx: WorkflowContext[Never, str]) -> None:
        self.seconds = seconds

    async def on_checkpoint_save(self) -> dict[str, Any]:
        time.sleep(self.seconds)  # noqa: ASYNC251 - as above.
        return {}


class Exiting(Executor):
    """Ends the process itself, past all that would keep it from that."""

    @handler
    async def end(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        note(f"begin {self.id}")
        os._exit(17)


def blocking() -> Workflow:
    """Build the workflow whose executor blocks the loop."""
    return WorkflowBuilder(name="blocking", start_executor=Blocking(id="blocker")).build()


def slow_to_save() -> Workflow:
    """Build the workflow whose hook blocks the loop."""
    return WorkflowBuilder(name="slow-to-save", start_executor=SlowToSave(id="saver")).build()


def exiting() -> Workflow:
    """Build the workflow that ends each worker that runs it."""
    return WorkflowBuilder(name="exiting", start_executor=Exiting(id="exiter")).build()
