"""The framework workflows that are measured: one keeps its data in shared state, one passes a conversation on."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Never

from agent_framework import Executor, Message, Workflow, WorkflowBuilder, WorkflowContext, handler, response_handler

from ._text import hex_text, words_text

PART = 1_000
"""Characters of the state that a superstep replaces."""
ADDED = 5_000
"""Characters that a superstep adds to the conversation."""
MAX_SUPERSTEPS = 5_000


@dataclass
class Work:
    """Which superstep this is, of how many, and how much state to keep."""

    last: int
    size: int
    number: int = 1


class Keeper(Executor):
    """Keeps `size` characters in shared state and replaces one part of it in each superstep."""

    @handler
    async def keep(self, work: Work, ctx: WorkflowContext[Work, int]) -> None:
        """Change a part of the state and pass the work on."""
        parts: list[str] = ctx.get_state("parts", [])
        part = min(PART, work.size)
        if not parts:
            parts = [hex_text(part, seed) for seed in range(work.size // part)]
        parts[work.number % len(parts)] = hex_text(part, 1_000_000 + work.number)
        ctx.set_state("parts", parts)
        if work.number == work.last:
            await ctx.yield_output(work.number)
        else:
            await ctx.send_message(Work(work.last, work.size, work.number + 1))


@dataclass
class Carried:
    """Which superstep this is, of how many, with the state in the message itself."""

    last: int
    parts: list[str]
    number: int = 1


class Carrier(Executor):
    """Passes its data on and replaces one part of it in each superstep."""

    @handler
    async def carry(self, work: Carried, ctx: WorkflowContext[Carried, int]) -> None:
        """Change a part of the data and pass it on."""
        parts = list(work.parts)
        place = work.number % len(parts)
        parts[place] = hex_text(len(parts[place]), 1_000_000 + work.number)
        if work.number == work.last:
            await ctx.yield_output(work.number)
        else:
            await ctx.send_message(Carried(work.last, parts, work.number + 1))


def carried(last: int, size: int) -> Carried:
    """Return the message to begin with: `size` characters in parts."""
    part = min(PART, size)
    return Carried(last, [hex_text(part, seed) for seed in range(size // part)])


@dataclass
class Telling:
    """How many supersteps, tokens in each, and seconds between two tokens."""

    supersteps: int
    tokens: int
    pause: float


class Teller(Executor):
    """Yields the time as a token, again and again."""

    @handler
    async def tell(self, telling: Telling, ctx: WorkflowContext[Telling, float]) -> None:
        """Tell, and pass the rest on."""
        for _ in range(telling.tokens):
            await ctx.yield_output(time.time())
            await asyncio.sleep(telling.pause)
        if telling.supersteps > 1:
            await ctx.send_message(Telling(telling.supersteps - 1, telling.tokens, telling.pause))


@dataclass
class Spread:
    """How long each of three executors takes."""

    seconds: float


class Starter(Executor):
    """Sends what it is given to all three."""

    @handler
    async def start(self, given: Spread, ctx: WorkflowContext[Spread]) -> None:
        """Send it."""
        await ctx.send_message(given)


class Sleeper(Executor):
    """Takes its time, and says from when to when."""

    @handler
    async def sleep(self, given: Spread, ctx: WorkflowContext[Never, list[float]]) -> None:
        """Sleep."""
        begun = time.time()
        await asyncio.sleep(given.seconds)
        await ctx.yield_output([begun, time.time()])


class Speaker(Executor):
    """Adds 5 KB to the conversation it is given and passes the whole on, as a chain of agents does."""

    @handler
    async def speak(self, conversation: list[Message], ctx: WorkflowContext[list[Message], int]) -> None:
        """Answer the conversation; its first message says how many answers there will be, and of which kind."""
        last, kind = conversation[0].text.split()[:2]
        spoken = ctx.get_state("spoken", 0) + 1
        ctx.set_state("spoken", spoken)
        text = _KINDS[kind](ADDED, 2_000_000 + spoken)
        longer = [*conversation, Message(role="assistant", contents=[text], author_name=self.id)]
        if spoken == int(last):
            await ctx.yield_output(spoken)
        else:
            await ctx.send_message(longer)


_KINDS = {"hex": hex_text, "words": words_text}


def conversation(size: int, supersteps: int, kind: str) -> list[Message]:
    """Return the conversation to begin with: `size` characters in messages of 4,000."""
    texts = [_KINDS[kind](min(4_000, size - start), start) for start in range(0, size, 4_000)]
    texts[0] = f"{supersteps} {kind} {texts[0]}"
    return [
        Message(role="user" if number % 2 == 0 else "assistant", contents=[text]) for number, text in enumerate(texts)
    ]


class Asker(Executor):
    """Asks, and says what it is told."""

    @handler
    async def ask(self, text: str, ctx: WorkflowContext) -> None:
        """Ask."""
        await ctx.request_info(text, str, request_id="answer")

    @response_handler
    async def told(self, text: str, answer: str, ctx: WorkflowContext[Never, str]) -> None:
        """Say it."""
        await ctx.yield_output(f"{text}: {answer}")


def keep() -> Workflow:
    """Build the workflow that keeps its data in shared state."""
    left, right = Keeper(id="left"), Keeper(id="right")
    builder = WorkflowBuilder(name="keep", start_executor=left, max_iterations=MAX_SUPERSTEPS)
    return builder.add_edge(left, right).add_edge(right, left).build()


def carry() -> Workflow:
    """Build the workflow that passes its data on."""
    left, right = Carrier(id="left"), Carrier(id="right")
    builder = WorkflowBuilder(name="carry", start_executor=left, max_iterations=MAX_SUPERSTEPS)
    return builder.add_edge(left, right).add_edge(right, left).build()


def speak() -> Workflow:
    """Build the workflow that passes a conversation on."""
    left, right = Speaker(id="left"), Speaker(id="right")
    builder = WorkflowBuilder(name="speak", start_executor=left, max_iterations=MAX_SUPERSTEPS)
    return builder.add_edge(left, right).add_edge(right, left).build()


def tell() -> Workflow:
    """Build the workflow whose executors yield tokens."""
    one, two = Teller(id="one"), Teller(id="two")
    builder = WorkflowBuilder(name="tell", start_executor=one, max_iterations=MAX_SUPERSTEPS)
    return builder.add_edge(one, two).add_edge(two, one).build()


def spread() -> Workflow:
    """Build the workflow that fans out to three executors."""
    start, sleepers = Starter(id="start"), [Sleeper(id=name) for name in ("one", "two", "three")]
    builder = WorkflowBuilder(name="spread", start_executor=start, output_from=[*sleepers])
    return builder.add_fan_out_edges(start, sleepers).build()


def ask() -> Workflow:
    """Build the workflow that waits for an answer."""
    return WorkflowBuilder(name="ask", start_executor=Asker(id="asker")).build()
