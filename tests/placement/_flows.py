"""Workflows whose executors run on several task queues; worker processes import them too."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Never

from agent_framework import (
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    handler,
    response_handler,
)
from agent_framework_temporal import current_superstep, idempotency_key, takes_executor
from agent_framework_temporal.testing import Prompt, Reply, ToolCall, scripted_agent

from tests.flows import note

GATES = "TESTS_GATES"
"""Environment variable: a folder. An executor that begins there waits for the file of its id, if it is to."""


async def pass_gate(name: str) -> None:
    """Wait until the gate of a name is open; it is where there is none."""
    folder = os.environ.get(GATES)
    closed = Path(folder, f"{name}.closed") if folder else None
    while closed is not None and closed.exists():
        await asyncio.sleep(0.02)


class Start(Executor):
    """Sends the text on."""

    @handler
    async def start(self, text: str, ctx: WorkflowContext[str]) -> None:
        ctx.set_state("topic", text)
        await ctx.send_message(text)


class Work(Executor):
    """Does all that an executor may do, and counts its invocations."""

    def __init__(self, id: str, model: str | None = None) -> None:
        super().__init__(id=id)
        self.model = model
        self.count = 0

    @handler
    async def work(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        begun = time.monotonic()
        note(f"begin {self.id} {text}")
        try:
            await pass_gate(self.id)
        except asyncio.CancelledError:
            note(f"cancelled {self.id} {text}")
            raise
        if text.startswith("fail"):
            note(f"fail {self.id}")
            raise PriceError(text, 3)
        self.count += 1
        ctx.set_state(self.id, f"{ctx.get_state('topic')}#{self.count}")
        step = current_superstep()
        assert step is not None
        note(f"key {self.id} {idempotency_key(ctx)} {step.superstep}")
        await ctx.yield_output(f"{self.id}:{self.count}:{self.model}")
        await ctx.send_message(f"{self.id}({text})")
        note(f"end {self.id} {text} {begun} {time.monotonic()}")

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"count": self.count}

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


class PriceError(Exception):
    """An error of its own."""

    def __init__(self, text: str, price: int) -> None:
        super().__init__(text, price)
        self.price = price


class Join(Executor):
    """Yields what came from all, and what the state has."""

    def __init__(self, id: str, of: Sequence[str]) -> None:
        super().__init__(id=id)
        self.of = of

    @handler
    async def join(self, texts: list[str], ctx: WorkflowContext[Never, str]) -> None:
        states = [str(ctx.get_state(name)) for name in self.of]
        await ctx.yield_output(" ".join([*sorted(texts), *states]))


def fan() -> Workflow:
    """Build a fan-out to three workers of which each loads its model where it runs."""
    names = ("cpu-1", "gpu-1", "gpu-2")
    start, join = Start(id="start"), Join("join", names)
    workers = [Work(name, f"model of {name}" if takes_executor(name) else None) for name in names]
    builder = WorkflowBuilder(name="fan", start_executor=start, output_from=[*workers, join])
    return builder.add_fan_out_edges(start, workers).add_fan_in_edges(workers, join).build()


class Repeat(Executor):
    """Sends the text on, twice."""

    @handler
    async def repeat(self, text: str, ctx: WorkflowContext[str]) -> None:
        ctx.set_state("topic", text)
        await ctx.send_message(text)
        await ctx.send_message(text)


def twice() -> Workflow:
    """Build a workflow whose worker has two invocations in one superstep, that are alike."""
    repeat, work = Repeat(id="repeat"), Work("gpu-1")
    return WorkflowBuilder(name="twice", start_executor=repeat, output_from=[work]).add_edge(repeat, work).build()


class Clerk(Executor):
    """Asks, and goes on with the answer."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.asked = 0

    @handler
    async def ask(self, text: str, ctx: WorkflowContext) -> None:
        self.asked += 1
        await ctx.request_info(text, bool, request_id=f"may-{text}")

    @response_handler
    async def answered(self, text: str, answer: bool, ctx: WorkflowContext[Never, str]) -> None:
        await ctx.yield_output(f"{text} {answer} in {os.getpid()} after {self.asked}")

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"asked": self.asked}

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        self.asked = state["asked"]


def office() -> Workflow:
    """Build a workflow of a clerk."""
    return WorkflowBuilder(name="office", start_executor=Clerk(id="clerk")).build()


FAILED: set[str] = set()
"""Messages that have failed once, after all had been looked up."""


def look_up(topic: str) -> str:
    """Look a topic up."""
    note(f"look up {topic}")
    return f"all about {topic}"


def _research(prompt: Prompt) -> Reply:
    found = len(prompt.tool_results)
    note(f"model {found}")
    if found < 3:
        return Reply(calls=(ToolCall("look_up", {"topic": str(found)}),))
    asked = prompt.user_texts[-1]
    if asked.startswith("fail") and asked not in FAILED:
        FAILED.add(asked)
        raise OSError("told to fail")
    return Reply("found " + " ".join(f"word{number}" for number in range(20)))


async def _slowly(topic: str) -> str:
    """Look a topic up, at leisure."""
    await pass_gate(f"topic-{topic}")
    return look_up(topic)


def research() -> Workflow:
    """Build a workflow of an agent that calls tools."""
    _slowly.__name__ = "look_up"
    agent = scripted_agent("gpu-agent", _research, tools=[_slowly])
    return WorkflowBuilder(name="placed-research", start_executor=agent).build()


class Speaker(Executor):
    """Says words, one after the other."""

    @handler
    async def speak(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        note(f"begin {self.id} {text}")
        for number, word in enumerate(text.split()):
            await pass_gate(f"{self.id}-{number}")
            await ctx.yield_output(word)
            await asyncio.sleep(0.05)


def speech() -> Workflow:
    """Build a workflow of a speaker."""
    return WorkflowBuilder(name="speech", start_executor=Speaker(id="speaker")).build()
