"""Framework workflows whose every step a scenario decides: what is asked, and when a superstep ends."""

from __future__ import annotations

import asyncio
from typing import Never

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler, response_handler
from pydantic import BaseModel, Field


class Gate:
    """Holds supersteps until they may end, one by one; a loop goes round until its gate says that it ends."""

    def __init__(self) -> None:
        self.begun = 0
        """Supersteps that have come here."""
        self._permits = asyncio.Semaphore(0)
        self._ends = False

    async def passed(self) -> bool:
        """Wait; tells whether the loop goes on."""
        self.begun += 1
        await self._permits.acquire()
        return not self._ends

    def let(self, supersteps: int) -> None:
        """Let so many supersteps end."""
        for _ in range(supersteps):
            self._permits.release()

    def end(self) -> None:
        """Let the loop end with the superstep that is held."""
        self._ends = True
        self.let(1)


GATES: dict[str, Gate] = {}
"""By the message of a loop, or as an answer names it; worker and scenario run in one process."""


class Ask(BaseModel):
    """Which requests to ask next: the message, and the answer to each of them."""

    ask: list[str] = Field(default_factory=list)
    text: str = ""
    """Only weight."""
    gate: str | None = None
    """Of `GATES`: holds the superstep that takes this answer."""


class Asker(Executor):
    """Asks what it is told to."""

    @handler
    async def begin(self, message: Ask, ctx: WorkflowContext) -> None:
        for request_id in message.ask:
            await ctx.request_info(request_id, Ask, request_id=request_id)

    @response_handler
    async def told(self, request_id: str, reply: Ask, ctx: WorkflowContext[Never, str]) -> None:
        if reply.gate is not None:
            await GATES[reply.gate].passed()
        await ctx.yield_output(request_id)
        for following in reply.ask:
            await ctx.request_info(following, Ask, request_id=following)


def asking() -> Workflow:
    """Build the workflow that asks."""
    return WorkflowBuilder(name="asking", start_executor=Asker(id="asker")).build()


class Turn(Executor):
    """One half of a loop."""

    @handler
    async def turn(self, key: str, ctx: WorkflowContext[str, str]) -> None:
        if await GATES[key].passed():
            await ctx.send_message(key)
        else:
            await ctx.yield_output(f"{key} ended")


def _loop(*names: str) -> Workflow:
    turns = [Turn(id=name) for name in names]
    builder = WorkflowBuilder(name="looping", start_executor=turns[0], max_iterations=100_000)
    for turn, following in zip(turns, [*turns[1:], turns[0]], strict=True):
        builder.add_edge(turn, following)
    return builder.build()


def looping() -> Workflow:
    """Build the workflow that goes round until its gate ends it."""
    return _loop("ping", "pong")


def looping_otherwise() -> Workflow:
    """Build one of the same name and another graph, as a later build may have it."""
    return _loop("ping", "pong", "pung")


FAILING: set[str] = set()
"""Executors that fail for now; worker and scenario run in one process."""


class Frail(Executor):
    """Passes a text on, unless it fails for now."""

    @handler
    async def take(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        if f"{self.id} {text}" in FAILING:
            raise ValueError(f"{self.id} fails for now")
        await ctx.yield_output(f"{self.id} {text}")
        await ctx.send_message(text)


def frail() -> Workflow:
    """Build the workflow whose executors fail when they are told to."""
    steps = [Frail(id="one"), Frail(id="two")]
    return WorkflowBuilder(name="frail", start_executor=steps[0]).add_chain(list(steps)).build()
