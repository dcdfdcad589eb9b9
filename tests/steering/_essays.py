"""Workflows whose checkpoints hold what can be edited, of every kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Never, TypedDict

from agent_framework import (
    AgentExecutor,
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowExecutor,
    handler,
    response_handler,
    tool,
)
from agent_framework_temporal.testing import Prompt, Reply, ToolCall, scripted_agent
from pydantic import BaseModel, Field


class Style(BaseModel):
    """How to write."""

    name: str
    words: int = Field(default=10, ge=1)


@dataclass
class Tally:
    """What JSON cannot say: a field that its constructor does not take."""

    name: str
    count: int = field(init=False, default=0)


class Kept(TypedDict):
    """What the writer keeps."""

    drafts: list[str]
    tally: Tally


class Planner(Executor):
    """Chooses a style, and passes the topic on."""

    @handler
    async def plan(self, topic: str, ctx: WorkflowContext[str]) -> None:
        ctx.set_state("style", Style(name="dull"))
        ctx.set_state("pair", (1, "one"))
        ctx.set_state("ratio", 0.5)
        ctx.set_state("numbers", {1: "a"})
        await ctx.send_message(topic)


class Writer(Executor):
    """Writes in the style, and counts."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.drafts: list[str] = []
        self.tally = Tally("drafts")

    @handler
    async def write(self, topic: str, ctx: WorkflowContext[str, str]) -> None:
        style = ctx.get_state("style")
        pair = "-".join(map(str, ctx.get_state("pair")))
        self.drafts.append(f"{topic} in {style.name} style, {style.words} words, {pair}")
        self.tally.count += 1
        await ctx.request_info(Style(name=self.drafts[-1]), bool, request_id="publish")

    @response_handler
    async def decided(self, draft: Style, publish: bool, ctx: WorkflowContext[Never, str]) -> None:
        verdict = "published" if publish else "dropped"
        await ctx.yield_output(f"{verdict}: {draft.name}; {' | '.join(self.drafts)}; {self.tally.count}")

    async def on_checkpoint_save(self) -> Kept:  # type: ignore[override]
        tally = Tally(self.tally.name)
        tally.count = self.tally.count
        return {"drafts": list(self.drafts), "tally": tally}

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        self.drafts, self.tally = list(state.get("drafts", [])), state.get("tally", Tally("drafts"))


def essay() -> Workflow:
    """Build the workflow that plans, writes and asks."""
    planner, writer = Planner(id="planner"), Writer(id="writer")
    return WorkflowBuilder(name="essay-edited", start_executor=planner).add_edge(planner, writer).build()


def nested() -> Workflow:
    """Build it as a sub-workflow."""
    child = WorkflowExecutor(essay(), id="child", allow_direct_output=True, propagate_request=True)
    return WorkflowBuilder(name="nested-edited", start_executor=child).build()


class Split(Executor):
    """Sends a text to two executors, one of which is a superstep slower."""

    @handler
    async def split(self, text: str, ctx: WorkflowContext[str]) -> None:
        await ctx.send_message(text)


class Pass(Executor):
    """Passes a text on with its name."""

    @handler
    async def hand_on(self, text: str, ctx: WorkflowContext[str]) -> None:
        await ctx.send_message(f"{text}>{self.id}")


class Join(Executor):
    """Yields what has come together."""

    @handler
    async def join(self, texts: list[str], ctx: WorkflowContext[Never, str]) -> None:
        await ctx.yield_output(" + ".join(sorted(texts)))


def joined() -> Workflow:
    """Build a fan-in that has to wait for one of its sources."""
    split, quick, slow, slower, join = (
        Split(id="split"),
        *(Pass(id=name) for name in ("quick", "slow", "slower")),
        Join(id="join"),
    )
    builder = WorkflowBuilder(name="joined-edited", start_executor=split).add_fan_out_edges(split, [quick, slow])
    return builder.add_edge(slow, slower).add_fan_in_edges([quick, slower], join).build()


def _script(prompt: Prompt) -> Reply:
    return Reply(text=f"said after {prompt.texts}")


def talk() -> Workflow:
    """Build two agents that talk one after the other."""
    first, second = (AgentExecutor(scripted_agent(name, _script), id=name) for name in ("ada", "bob"))
    return (
        WorkflowBuilder(name="talk-edited", start_executor=first, output_from=[second]).add_edge(first, second).build()
    )


@tool(approval_mode="always_require")
def book(train: str) -> str:
    """Book a train, if a person agrees."""
    return f"booked {train}"


def _booking(prompt: Prompt) -> Reply:
    if prompt.tool_results:
        return Reply(text=f"done: {sorted(prompt.tool_results)}")
    return Reply(calls=tuple(ToolCall("book", {"train": name}) for name in ("night", "day")))


def booking() -> Workflow:
    """Build an agent that asks for two approvals at once."""
    agent = AgentExecutor(scripted_agent("agent", _booking, tools=[book]), id="agent")
    return WorkflowBuilder(name="booking-edited", start_executor=agent, output_from=[agent]).build()
