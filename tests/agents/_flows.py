"""A desk that AG-UI and MCP are shown with; worker processes import it too."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Never

from agent_framework import (
    AgentExecutorRequest,
    Executor,
    Message,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    handler,
    response_handler,
    tool,
)
from agent_framework_temporal.testing import Prompt, Reply, ToolCall, scripted_agent
from pydantic import BaseModel

HOLD = "TESTS_HOLD"
"""Environment variable: a file that the desk waits for when it is told to wait."""


class Refund(BaseModel):
    """What is to be paid back."""

    reason: str


class Approval(BaseModel):
    """Whether it may be."""

    approved: bool
    by: str = "nobody"


class Desk(Executor):
    """Asks before it pays back, fails when it is told to, and leaves all else to the clerk."""

    @handler
    async def take(self, messages: list[Message], ctx: WorkflowContext[AgentExecutorRequest, str]) -> None:
        text = messages[-1].text
        while text.startswith("wait") and not Path(os.environ[HOLD]).exists():
            await asyncio.sleep(0.05)
        if text.startswith("fail"):
            raise ValueError(f"internal: {text}")
        if text.startswith("refund"):
            await ctx.request_info(Refund(reason=text), Approval)
        else:
            await ctx.send_message(AgentExecutorRequest(messages=messages, should_respond=True))

    @response_handler
    async def decided(self, refund: Refund, approval: Approval, ctx: WorkflowContext[Never, str]) -> None:
        verdict = "paid" if approval.approved else "kept"
        await ctx.yield_output(f"{refund.reason}: {verdict}, says {approval.by}")


def _answer(prompt: Prompt) -> Reply:
    return Reply(f"The clerk has read {len(prompt.texts)} and says yes to {prompt.texts[-1]}")


def desk() -> Workflow:
    """Build it."""
    start, clerk = Desk(id="desk"), scripted_agent("clerk", _answer)
    return WorkflowBuilder(name="desk", start_executor=start).add_edge(start, clerk).build()


@tool(approval_mode="always_require")
def pay(amount: int) -> str:
    """Pay an amount."""
    return f"{amount} paid"


def _tell(prompt: Prompt) -> Reply:
    return Reply(prompt.tool_results[-1]) if prompt.tool_results else Reply(calls=(ToolCall("pay", {"amount": 5}),))


def teller() -> Workflow:
    """Build the workflow of an agent whose tool needs a person's approval."""
    return WorkflowBuilder(name="teller", start_executor=scripted_agent("teller", _tell, tools=[pay])).build()
