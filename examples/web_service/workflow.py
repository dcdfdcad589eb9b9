"""An agent drafts a reply to a customer; a person approves it or asks for another."""

from __future__ import annotations

from agent_framework import (
    AgentExecutorRequest,
    AgentExecutorResponse,
    Executor,
    Message,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    handler,
    response_handler,
)
from agent_framework_temporal.testing import Prompt, Reply, scripted_agent
from pydantic import BaseModel, Field


class Draft(BaseModel):
    """What is put before a person."""

    text: str


class Verdict(BaseModel):
    """The person's answer; the form is made from it."""

    approved: bool = Field(title="Send it?")
    wish: str = Field(default="", title="What should change", max_length=200)


class Desk(Executor):
    """Hands messages to the agent and its drafts to a person."""

    @handler
    async def take(self, text: str, ctx: WorkflowContext[AgentExecutorRequest]) -> None:
        """Ask for a draft."""
        await ctx.send_message(AgentExecutorRequest(messages=[Message("user", [text])]))

    @handler
    async def show(self, drafted: AgentExecutorResponse, ctx: WorkflowContext) -> None:
        """Ask a person."""
        await ctx.request_info(Draft(text=drafted.agent_response.text), Verdict)

    @response_handler
    async def decided(self, draft: Draft, verdict: Verdict, ctx: WorkflowContext[AgentExecutorRequest, str]) -> None:
        """Send the reply, or have another drafted."""
        if verdict.approved:
            await ctx.yield_output(draft.text)
        else:
            await ctx.send_message(AgentExecutorRequest(messages=[Message("user", [f"Wish: {verdict.wish}"])]))


def _write(prompt: Prompt) -> Reply:
    wishes = [text.removeprefix("Wish: ") for text in prompt.user_texts if text.startswith("Wish: ")]
    ending = f" You asked for: {wishes[-1]}." if wishes else ""
    return Reply(f"Dear customer, thank you for writing about '{prompt.user_texts[0]}'. We are on it.{ending}")


def build() -> Workflow:
    """Build the workflow; the agent is scripted, so that it runs without a model."""
    desk = Desk(id="desk")
    writer = scripted_agent("writer", _write)
    builder = WorkflowBuilder(
        name="customer-replies", start_executor=desk, output_from=[desk], intermediate_output_from="all_other"
    )
    return builder.add_edge(desk, writer).add_edge(writer, desk).build()
