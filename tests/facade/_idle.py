"""Executors that show their progress as they go on, each in its own way, and one that falls silent."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Never

from agent_framework import (
    Agent,
    AgentExecutor,
    BaseChatClient,
    ChatMiddlewareLayer,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    Executor,
    FunctionInvocationLayer,
    Message,
    ResponseStream,
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

from tests.flows import LEDGER, note

PIECES, PAUSE = 7, 0.5
"""What goes on takes longer than any limit in these tests, and is silent for a fraction of it."""


class Telling(Executor):
    """Yields something now and then."""

    @handler
    async def tell(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        for piece in range(PIECES):
            await asyncio.sleep(PAUSE)
            await ctx.yield_output(f"{text} {piece}")


class Noting(Executor):
    """Says nothing, and makes calls that are kept."""

    @handler
    async def work(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        for _ in range(PIECES):
            await once(ctx, "piece", asyncio.sleep, PAUSE)
        await ctx.yield_output(text)


class Silent(Executor):
    """Says something, and then nothing more, the first `times` times."""

    def __init__(self, times: int = 100) -> None:
        super().__init__(id="silent")
        self._times = times

    @handler
    async def work(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        note(f"begin {self.id} {text}")
        await ctx.yield_output("going on")
        if _ledger_count(f"begin {self.id} {text}") <= self._times:
            await asyncio.sleep(60)
        await ctx.yield_output(f"{text} {self.id} done")


class Beside(Executor):
    """Ends at once, beside it."""

    @handler
    async def work(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        note(f"begin {self.id} {text}")
        await ctx.yield_output(f"{text} {self.id} done")


class Start(Executor):
    @handler
    async def start(self, text: str, ctx: WorkflowContext[str]) -> None:
        await ctx.send_message(text)


class Slow(BaseChatClient):
    """Streams its answer piece by piece; without streaming it is silent until it has it whole."""

    def _inner_get_response(
        self, *, messages: Sequence[Message], stream: bool, options: Mapping[str, Any], **kwargs: Any
    ) -> Awaitable[ChatResponse] | ResponseStream[ChatResponseUpdate, ChatResponse]:
        async def updates() -> AsyncIterator[ChatResponseUpdate]:
            for piece in range(PIECES):
                await asyncio.sleep(PAUSE)
                yield ChatResponseUpdate(contents=[Content.from_text(f"{piece} ")], role="assistant")

        async def respond() -> ChatResponse:
            await asyncio.sleep(PIECES * PAUSE)
            return ChatResponse(messages=Message("assistant", ["whole"]), response_id="slow")

        return self._build_response_stream(updates()) if stream else respond()


class SlowClient(FunctionInvocationLayer, ChatMiddlewareLayer, Slow):
    """With the layers of a provider's client."""


class Asking(Executor):
    """Reads a model's stream to its end before it says anything."""

    @handler
    async def ask(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        stream = SlowClient().get_response([Message("user", [text])], stream=True)
        await ctx.yield_output((await stream.get_final_response()).text)


def _ledger_count(text: str) -> int:
    return Path(os.environ[LEDGER]).read_text().count(text)


def telling() -> Workflow:
    """Build a workflow whose executor yields pieces."""
    return WorkflowBuilder(name="telling", start_executor=Telling(id="telling")).build()


def noting() -> Workflow:
    """Build a workflow whose executor makes calls of its own."""
    return WorkflowBuilder(name="noting", start_executor=Noting(id="noting")).build()


def asking() -> Workflow:
    """Build a workflow whose executor reads a model's stream."""
    return WorkflowBuilder(name="asking", start_executor=Asking(id="asking")).build()


def calling() -> Workflow:
    """Build a workflow whose agent calls a slow tool again and again, and does not stream."""

    @tool(approval_mode="never_require")
    async def look_up(number: int) -> str:
        """Look something up."""
        await asyncio.sleep(PAUSE)
        return f"found {number}"

    def reply(prompt: Prompt) -> Reply:
        done = len(prompt.tool_results)
        return Reply(calls=(ToolCall("look_up", {"number": done}),)) if done < PIECES else Reply("done")

    agent = scripted_agent("calling", reply, tools=[look_up])
    return WorkflowBuilder(name="calling", start_executor=AgentExecutor(agent, id="calling")).build()


def streaming() -> Workflow:
    """Build a workflow of an agent whose model is slow."""
    agent = Agent(SlowClient(), id="streaming", name="streaming")
    return WorkflowBuilder(name="streaming", start_executor=AgentExecutor(agent, id="streaming")).build()


class Passing(Executor):
    """One of a child's, which says nothing but that it is done."""

    @handler
    async def work(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        await asyncio.sleep(PAUSE)
        if self.id == f"step-{PIECES - 1}":
            await ctx.yield_output(text)
        else:
            await ctx.send_message(text)


def parent() -> Workflow:
    """Build a workflow whose one executor is a workflow of many supersteps."""
    steps = [Passing(id=f"step-{number}") for number in range(PIECES)]
    child = WorkflowBuilder(name="child", start_executor=steps[0]).add_chain(list(steps)).build()
    return WorkflowBuilder(
        name="parent", start_executor=WorkflowExecutor(child, id="child", allow_direct_output=True)
    ).build()


def silent_beside() -> Workflow:
    """Build a workflow in which one executor falls silent in its first attempt, beside one that ends at once."""
    start = Start(id="start")
    builder = WorkflowBuilder(name="silent-beside", start_executor=start)
    return builder.add_fan_out_edges(start, [Silent(times=1), Beside(id="beside")]).build()


def silent() -> Workflow:
    """Build a workflow whose executor falls silent."""
    return WorkflowBuilder(name="silent", start_executor=Silent()).build()


def silent_child() -> Workflow:
    """Build a workflow in whose child an executor falls silent."""
    child = WorkflowBuilder(name="silent-inner", start_executor=Silent()).build()
    return WorkflowBuilder(name="silent-child", start_executor=WorkflowExecutor(child, id="child")).build()


@step
async def silent_step(text: str) -> str:
    """Fall silent."""
    note(f"begin step {text}")
    await asyncio.sleep(60)
    return text


@workflow(name="silent-function")
async def silent_function(text: str) -> str:
    """Run the step."""
    return str(await silent_step(text))


GOING_ON: dict[str, Callable[[], Workflow]] = {
    build.__name__: build for build in (telling, noting, asking, calling, streaming, parent)
}
