"""Workflows whose executors and tools let out what is no ordinary exception; worker processes import them too."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Never

from agent_framework import AgentExecutor, Executor, Workflow, WorkflowBuilder, WorkflowContext, executor, handler
from agent_framework_temporal.testing import Prompt, Reply, ToolCall, scripted_agent

from tests.flows import note


class Halt(BaseException):
    """Passes by `except Exception`."""


class Unreadable(Exception):
    """Raises whatever is asked of it."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        raise SystemExit(7)


class ExitsWhenRead(Exception):
    """Ends the program of whoever reads it."""

    def __str__(self) -> str:
        raise SystemExit(9)

    @property
    def response(self) -> Any:
        raise KeyboardInterrupt

    @property
    def headers(self) -> Any:
        raise SystemExit(10)


class ExitsWhenReadTwice(Exception):
    """Says what it is once."""

    times = 0

    def __str__(self) -> str:
        ExitsWhenReadTwice.times += 1
        if ExitsWhenReadTwice.times % 2 == 0:
            raise SystemExit(11)
        return "once"


class Lying(Exception):
    """Has causes without end, and headers that are no headers."""

    @property
    def args(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no arguments")

    @property
    def __cause__(self) -> BaseException:  # type: ignore[override]
        return Lying("of another")

    @property
    def status_code(self) -> Any:
        raise asyncio.CancelledError

    @property
    def response(self) -> Any:
        return self

    @property
    def headers(self) -> Any:
        return Odd()


class Odd(Mapping[str, str]):
    def __getitem__(self, key: str) -> str:
        raise Halt

    def __iter__(self) -> Iterator[str]:
        raise Halt

    def __len__(self) -> int:
        raise Halt


async def _exits() -> None:
    await asyncio.sleep(0)
    sys.exit(3)


async def _child_exits() -> None:
    await asyncio.create_task(_exits())


async def _child_is_cancelled() -> None:
    task = asyncio.create_task(asyncio.sleep(30))
    await asyncio.sleep(0)
    task.cancel()
    await task


async def _cancels_its_own_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel("Cancelled via cancel scope 7f")
    await asyncio.sleep(30)


async def _group_exits() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_exits())


async def _group_halts() -> None:
    async def halt() -> None:
        raise Halt("all of it")

    async with asyncio.TaskGroup() as group:
        group.create_task(halt())


def _parses() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int)
    parser.parse_args(["--n", "many"])


WAYS: dict[str, Any] = {
    "cancelled": asyncio.CancelledError("Cancelled via cancel scope 7f"),
    "child cancelled": _child_is_cancelled,
    "own task cancelled": _cancels_its_own_task,
    "exit": SystemExit(2),
    "exit with text": SystemExit("cannot go on"),
    "argparse": _parses,
    "child exits": _child_exits,
    "group exits": _group_exits,
    "interrupt": KeyboardInterrupt(),
    "generator exit": GeneratorExit(),
    "halt": Halt("stop"),
    "group halts": _group_halts,
    "group": BaseExceptionGroup("both", [ValueError("a"), asyncio.CancelledError()]),
    "unreadable": Unreadable("x"),
    "exits when read": ExitsWhenRead("x"),
    "exits when read twice": ExitsWhenReadTwice("x"),
    "lying": Lying("x"),
    "group of unreadable": ExceptionGroup("hidden", [ExitsWhenRead("x")]),
    "argument exits when read": ValueError(ExitsWhenRead("x")),
}


async def let_out(way: str) -> None:
    """Raise what a way says."""
    found = WAYS[way]
    if isinstance(found, BaseException):
        raise found
    result = found()
    if asyncio.iscoroutine(result):
        await result


class Escaping(Executor):
    """Lets out what the message says."""

    @handler
    async def go(self, way: str, ctx: WorkflowContext[Never, str]) -> None:
        note(f"run {way}")
        if way in WAYS:
            await let_out(way)
        await ctx.yield_output(f"{way} done")


class Saving(Executor):
    """Lets it out when its state is saved."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.way = ""

    @handler
    async def go(self, way: str, ctx: WorkflowContext[Never, str]) -> None:
        note(f"run {way}")
        self.way = way

    async def on_checkpoint_save(self) -> dict[str, Any]:
        if self.way in WAYS:
            await let_out(self.way)
        return {}


class Restoring(Executor):
    """Lets it out when its state is restored, by the superstep after its own."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.way = ""

    @handler
    async def go(self, way: str, ctx: WorkflowContext[str]) -> None:
        self.way = way
        await ctx.send_message(way)

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"way": self.way}

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        note("run restore")
        await let_out(state["way"])


@executor(id="sync")
def exits_in_a_thread(way: str, ctx: WorkflowContext[Never, str]) -> None:
    """Let it out in a thread, as the framework runs synchronous functions."""
    note(f"run {way}")
    found = WAYS[way]
    if isinstance(found, BaseException):
        raise found
    found()


def exits(text: str) -> str:
    """End the program."""
    note("tool exits")
    sys.exit(f"{text} is no number")


async def exits_later(text: str) -> str:
    """End the program from a task of its own."""
    note("tool exits")
    await _child_exits()
    return text


def _answer(prompt: Prompt) -> Reply:
    if prompt.tool_results:
        return Reply("went on")
    return Reply(calls=(ToolCall(prompt.texts[-1], {"text": "many"}),))


def escaping() -> Workflow:
    """Build the workflow of one executor that lets out anything."""
    return WorkflowBuilder(name="escaping", start_executor=Escaping(id="escaping")).build()


def escaping_when_saved() -> Workflow:
    """Build the workflow whose executor lets it out of a hook."""
    return WorkflowBuilder(name="escaping-when-saved", start_executor=Saving(id="saving")).build()


def escaping_when_restored() -> Workflow:
    """Build the workflow whose first executor lets it out of the other hook."""
    start, end = Restoring(id="restoring"), Escaping(id="escaping")
    return WorkflowBuilder(name="escaping-when-restored", start_executor=start).add_edge(start, end).build()


def escaping_in_a_thread() -> Workflow:
    """Build the workflow of a synchronous executor."""
    return WorkflowBuilder(name="escaping-in-a-thread", start_executor=exits_in_a_thread).build()


def escaping_tools() -> Workflow:
    """Build the workflow of an agent whose tools end the program."""
    agent = scripted_agent("agent", _answer, tools=[exits, exits_later])
    return WorkflowBuilder(name="escaping-tools", start_executor=AgentExecutor(agent, id="agent")).build()
