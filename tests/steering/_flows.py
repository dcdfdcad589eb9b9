"""A desk with an agent that looks things up, and an executor that fails as it is told."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Never

from agent_framework import (
    Agent,
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowExecutor,
    handler,
    step,
    tool,
    workflow,
)
from agent_framework_temporal import once
from agent_framework_temporal.testing import Prompt, Reply, ToolCall, scripted_agent

CALLS: list[str] = []
"""What was really called, in this process."""
BROKEN = "TESTS_STEERING_BROKEN"
"""Environment variable: set while `closer` has its fault."""
HANGING = "TESTS_STEERING_HANGING"
"""Environment variable: set for a process whose `asker` does not come back once it has been answered."""
STOPPING = "TESTS_STEERING_STOPPING"
"""Environment variable: set for a process whose `asker` has a breakpoint."""
CHANGED = "TESTS_STEERING_CHANGED"
"""Environment variable: set while `asker` says something else than it did."""


@tool(approval_mode="never_require")
def look_up(word: str) -> str:
    """Look a word up."""
    CALLS.append(f"tool {word}")
    return f"{word} is a word"


def _script(prompt: Prompt) -> Reply:
    CALLS.append("model")
    if prompt.user_texts[-1] == "everything":
        return Reply(text=random.Random(1).randbytes(1_200_000).hex())
    if not prompt.tool_results:
        return Reply(calls=(ToolCall("look_up", {"word": prompt.user_texts[-1]}),))
    return Reply(text=f"I found: {prompt.tool_results[-1]}")


class Asker(Executor):
    """Has its agent look a word up."""

    def __init__(self) -> None:
        super().__init__(id="asker")
        self.agent: Agent = scripted_agent("librarian", _script, tools=[look_up])

    @handler
    async def ask(self, word: str, ctx: WorkflowContext[str]) -> None:
        """Ask, and pass on what was found."""
        CALLS.append("asker")
        if os.environ.get(STOPPING):
            breakpoint()
        answer = (await self.agent.run(word)).text
        if os.environ.get(HANGING):
            await asyncio.Event().wait()
        ctx.set_state("asked", word)
        if "stumble" in word and os.environ.get(BROKEN):
            raise RuntimeError(f"stumbled over {word!r}")
        await ctx.send_message(f"{answer}!" if os.environ.get(CHANGED) else answer)


class Payer(Executor):
    """Pays once, beside others that take the same message."""

    @handler
    async def pay(self, word: str, ctx: WorkflowContext[Never, str]) -> None:
        """Pay, and say so; raise where it has its fault."""
        CALLS.append(self.id)
        paid = await once(ctx, "pay", _pay, self.id)
        if self.id == "second" and os.environ.get(BROKEN):
            raise RuntimeError(f"{self.id} has paid {paid} and stumbled")
        await ctx.yield_output(f"{self.id} paid {paid} for {word}")


async def _pay(who: str) -> int:
    CALLS.append(f"pay {who}")
    return len(who)


class Start(Executor):
    """Gives a word to all."""

    @handler
    async def give(self, word: str, ctx: WorkflowContext[str]) -> None:
        """Give it."""
        await ctx.send_message(word)


class Closer(Executor):
    """Yields what was found; raises where it has its fault."""

    @handler
    async def close(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        """Close."""
        CALLS.append("closer")
        if "fault" in text and os.environ.get(BROKEN):
            raise ValueError(f"cannot close {text!r}")
        await ctx.yield_output(text.upper())


def desk() -> Workflow:
    """Build the desk."""
    asker, closer = Asker(), Closer(id="closer")
    return WorkflowBuilder(name="desk", start_executor=asker).add_edge(asker, closer).build()


def payers() -> Workflow:
    """Build two that pay in one superstep, the second a little later."""
    start, first, second = Start(id="start"), Payer(id="first"), Payer(id="second")
    return WorkflowBuilder(name="payers", start_executor=start).add_fan_out_edges(start, [first, second]).build()


def office() -> Workflow:
    """Build the desk as a sub-workflow of another."""
    inner = WorkflowExecutor(desk(), id="inner")
    start = Start(id="start")
    return WorkflowBuilder(name="office", start_executor=start).add_edge(start, inner).build()


@step
async def ask_step(word: str) -> str:
    """Ask the librarian."""
    CALLS.append("step ask")
    return (await scripted_agent("librarian", _script, tools=[look_up]).run(word)).text


@step
async def close_step(text: str) -> str:
    """Close; raise where it has its fault."""
    CALLS.append("step close")
    if os.environ.get(BROKEN):
        raise ValueError(f"cannot close {text!r}")
    return text.upper()


@workflow(name="desk-function")
async def desk_function(word: str) -> str:
    """Be the desk as a function."""
    return await close_step(await ask_step(word))
