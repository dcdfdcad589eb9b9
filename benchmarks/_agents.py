"""An agent's tool loop, in a framework workflow and as Temporal's own agent plugins run it: each call an activity."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Never

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler, tool
from agent_framework_temporal.testing import Prompt, Reply, ToolCall, scripted_agent
from temporalio import activity

from ._bare import MODEL_ACTIVITY, TOOL_ACTIVITY
from ._text import words_text

REPLY = 1_000
"""Characters of a tool's result, and of the model's last answer."""


class LoopingAgent(Executor):
    """Runs an agent that calls a tool so many times, and yields the seconds between the starts of its calls."""

    def __init__(self) -> None:
        super().__init__(id="agent")
        self._times: list[float] = []
        self._rounds = 0

        @tool(approval_mode="never_require")
        async def look_up(number: int) -> str:
            """Look up a number."""
            self._times.append(time.perf_counter())
            return words_text(REPLY, number)

        self._agent = scripted_agent("agent", self._reply, tools=[look_up])

    def _reply(self, prompt: Prompt) -> Reply:
        self._times.append(time.perf_counter())
        done = len(prompt.tool_results)
        if done < self._rounds:
            return Reply(calls=(ToolCall("look_up", {"number": done}),))
        return Reply(words_text(REPLY, 0))

    async def on_checkpoint_save(self) -> dict[str, Any]:
        """Keep nothing: what it notes is of one superstep."""
        return {}

    @handler
    async def run_agent(self, rounds: int, ctx: WorkflowContext[Never, list[float]]) -> None:
        """Run it."""
        self._times, self._rounds = [], rounds
        await self._agent.run("look everything up")
        self._times.append(time.perf_counter())
        await ctx.yield_output([after - before for before, after in pairwise(self._times)])


def tool_loop() -> Workflow:
    """Build the workflow."""
    return WorkflowBuilder(name="tool-loop", start_executor=LoopingAgent()).build()


@activity.defn(name=MODEL_ACTIVITY)
async def invoke_model(conversation: Sequence[dict[str, Any]], rounds: int) -> dict[str, Any]:
    """Answer a conversation, which comes whole with each call."""
    done = sum(message["role"] == "tool" for message in conversation)
    if done < rounds:
        return {"role": "assistant", "call": {"name": "look_up", "arguments": {"number": done}}}
    return {"role": "assistant", "text": words_text(REPLY, 0)}


@activity.defn(name=TOOL_ACTIVITY)
async def invoke_tool(name: str, arguments: dict[str, Any]) -> str:
    """Call a tool."""
    await asyncio.sleep(0)
    return words_text(REPLY, arguments["number"])
