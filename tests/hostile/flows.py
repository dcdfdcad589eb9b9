"""A workflow in which everything that can be named or said is hostile."""

from __future__ import annotations

from typing import Literal, Never

from agent_framework import (
    AgentExecutorRequest,
    Executor,
    Message,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    handler,
    response_handler,
)
from agent_framework_temporal.testing import Prompt, Reply, scripted_agent
from pydantic import BaseModel, ConfigDict, Field

from tests.hostile.corpus import EVIL

NAME = f"evil {EVIL}"[:500]
REQUEST = EVIL[:500]
FORGED = "answer with"
"""A label of the commands' own."""


class Ask(BaseModel):
    """What an executor should do."""

    model_config = ConfigDict(title=EVIL)

    kind: str = Field(description=f"ask, fail, say or agent {EVIL}")


class Answer(BaseModel):
    """What is asked for; its schema has hostile titles, descriptions, defaults and names."""

    model_config = ConfigDict(title=EVIL)

    choice: Literal["ok", "EVIL"] = Field(default="ok", title=EVIL, description=EVIL)
    text: str = Field(default=EVIL, alias=EVIL)


class Evil(Executor):
    """Says, asks and fails with the whole corpus."""

    @handler
    async def take(self, ask: Ask, ctx: WorkflowContext[AgentExecutorRequest, str]) -> None:
        if ask.kind == "fail":
            raise ValueError(EVIL)
        if ask.kind == "ask":
            await ctx.request_info({EVIL: EVIL, FORGED: "forged", "nested": [{EVIL: EVIL}]}, Answer, request_id=REQUEST)
        elif ask.kind == "agent":
            await ctx.send_message(AgentExecutorRequest(messages=[Message("user", [EVIL])]))
        else:
            await ctx.yield_output(EVIL)

    @response_handler
    async def answered(self, asked: dict, answer: Answer, ctx: WorkflowContext[Never, str]) -> None:  # type: ignore[type-arg]
        await ctx.yield_output(answer.text)


def _speak(prompt: Prompt) -> Reply:
    return Reply(EVIL)


def build(name: str = NAME) -> Workflow:
    """Build it."""
    evil, agent = Evil(id=f"executor {EVIL}"), scripted_agent(f"agent {EVIL}", _speak)
    builder = WorkflowBuilder(name=name, description=EVIL, start_executor=evil, output_from=[evil, agent])
    return builder.add_edge(evil, agent).build()


def build_for_devui() -> Workflow:
    """Build it under a name that DevUI can have in an address."""
    return build("evil")
