"""Workflows whose agents and executors hold something open; worker processes import them too."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Never, Self

import anyio
from agent_framework import (
    AgentExecutor,
    AgentExecutorResponse,
    ContextProvider,
    Executor,
    MCPStdioTool,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    handler,
)
from agent_framework_temporal.testing import Prompt, Reply, ToolCall, scripted_agent

from tests.flows import note

MARK = "TESTS_MCP_MARK"
"""Environment variable: an argument of the servers' processes, by which they are counted."""
_SERVER = str(Path(__file__).with_name("_mcp_server.py"))


def tool() -> MCPStdioTool:
    """Make the tool of a server."""
    arguments = [_SERVER, os.environ.get(MARK, "unmarked")]
    return MCPStdioTool(name="doubling", command=sys.executable, args=arguments, load_prompts=False)


def servers(mark: str) -> set[int]:
    """Return the processes of servers that run."""
    found: set[int] = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                command = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:  # It has ended.
                continue
            if mark.encode() in command and _SERVER.encode() in command:
                found.add(int(process.name))
    return found


async def none_left(mark: str) -> None:
    """Wait until no server runs."""
    async with asyncio.timeout(50):
        while servers(mark):
            await asyncio.sleep(0.05)


def _doubles(prompt: Prompt) -> Reply:
    if prompt.tool_results:
        return Reply(f"doubled {prompt.tool_results[-1]}")
    return Reply(calls=(ToolCall("double", {"n": 21}),))


def doubling() -> Workflow:
    """Build the workflow of an agent with a server."""
    agent = AgentExecutor(scripted_agent("agent", _doubles, tools=[tool()]), id="agent")
    return WorkflowBuilder(name="doubling", start_executor=agent, output_from=[agent]).build()


def doubling_twice() -> Workflow:
    """Build the workflow of two agents with a server each."""
    first = AgentExecutor(scripted_agent("first", _doubles, tools=[tool()]), id="first")
    second = AgentExecutor(scripted_agent("second", _doubles, tools=[tool()]), id="second")
    builder = WorkflowBuilder(name="doubling-twice", start_executor=first, output_from=[first, second])
    return builder.add_edge(first, second).build()


SHARED = tool()
"""Hosted once: a module's own, in every instance the same."""


def doubling_shared() -> Workflow:
    """Build the workflow of two agents that share the server of their module."""
    first = AgentExecutor(scripted_agent("first", _doubles, tools=[SHARED]), id="first")
    second = AgentExecutor(scripted_agent("second", _doubles, tools=[SHARED]), id="second")
    builder = WorkflowBuilder(name="doubling-shared", start_executor=first, output_from=[first, second])
    return builder.add_edge(first, second).build()


async def doubling_connected() -> Workflow:
    """Build a workflow whose factory connects to the server itself."""
    connected = tool()
    await connected.connect()
    first = AgentExecutor(scripted_agent("first", _doubles, tools=[connected]), id="first")
    return WorkflowBuilder(name="doubling-connected", start_executor=first, output_from=[first]).build()


class Failing(Executor):
    """Fails, or waits for a long time, after the agent before it."""

    @handler
    async def end(self, said: AgentExecutorResponse, ctx: WorkflowContext[Never, str]) -> None:
        note("end")
        if "wait" in said.full_conversation[0].text:
            await asyncio.sleep(60)
        raise OSError("at the end")


def doubling_then_failing() -> Workflow:
    """Build the workflow that fails, or hangs, once a server runs."""
    first, last = AgentExecutor(scripted_agent("first", _doubles, tools=[tool()]), id="first"), Failing(id="last")
    return WorkflowBuilder(name="doubling-then-failing", start_executor=first).add_edge(first, last).build()


def _task() -> str:
    task = asyncio.current_task()
    assert task is not None
    return str(id(task))


class Provider(ContextProvider):
    """Holds a task group of anyio open, which only the task that has entered it may leave."""

    def __init__(self, name: str) -> None:
        super().__init__(source_id=name)
        self._group = anyio.create_task_group()
        self._entered = ""

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._entered = _task()
        note(f"enter {self.source_id}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._group.__aexit__(kind, error, trace)
        note(f"leave {self.source_id} {'in the same task' if self._entered == _task() else 'in another task'}")


class Holding(Executor):
    """An executor that holds something open itself, as long as its instance lives."""

    def __init__(self, id: str, leave: Callable[[], None] | None = None) -> None:
        super().__init__(id=id)
        self._context: AbstractAsyncContextManager[None] = self._held(leave)

    @asynccontextmanager
    async def _held(self, leave: Callable[[], None] | None) -> AsyncIterator[None]:
        note(f"enter {self.id}")
        yield
        note(f"leave {self.id}")
        if leave is not None:
            leave()

    async def __aenter__(self) -> Self:
        await self._context.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._context.__aexit__(None, None, None)

    @handler
    async def hold(self, said: AgentExecutorResponse, ctx: WorkflowContext[Never, str]) -> None:
        note(f"run {self.id}")
        await ctx.yield_output(said.agent_response.text)


def holding(leave: Callable[[], None] | None = None) -> Workflow:
    """Build the workflow of an agent with a context provider, and an executor that holds something open."""
    agent = scripted_agent("agent", lambda prompt: Reply("held"), context_providers=[Provider("provider")])
    first, last = AgentExecutor(agent, id="agent"), Holding("holder", leave)
    return WorkflowBuilder(name="holding", start_executor=first, output_from=[last]).add_edge(first, last).build()


def holding_and_exiting() -> Workflow:
    """Build the same, but for an executor that ends the program when it is left."""
    return holding(sys.exit)
