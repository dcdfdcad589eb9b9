"""The workflow that the tests of the console look at: it writes words, asks, and fails where it is told to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

from agent_framework import (
    AgentResponseUpdate,
    Content,
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowExecutor,
    handler,
    response_handler,
)
from pydantic import BaseModel, ConfigDict, Field


class Brief(BaseModel):
    """What is to be written."""

    topic: str = Field(min_length=2, description="In a few words.")
    words: int = Field(default=6, ge=1, le=200)
    gate: str | None = Field(default=None, description="A file that the writer waits for in the middle.")


class Draft(BaseModel):
    """What is to be approved."""

    topic: str
    text: str


class Review(BaseModel):
    """What an editor says."""

    approved: bool
    grade: int = Field(ge=1, le=5, description="From 1 to 5.")
    tone: Literal["warm", "plain"] = "plain"
    remarks: list[str] = []


class Writer(Executor):
    """Writes word by word."""

    @handler
    async def write(self, brief: Brief, ctx: WorkflowContext[Draft, AgentResponseUpdate]) -> None:
        words = [f"{brief.topic}-{number}" for number in range(brief.words)]
        for number, word in enumerate(words):
            if brief.gate is not None and number == len(words) // 2:
                async with asyncio.timeout(60):
                    while not Path(brief.gate).exists():
                        await asyncio.sleep(0.02)
            content = Content.from_text(f"{word} ")
            await ctx.yield_output(AgentResponseUpdate(contents=[content], role="assistant"))
        await ctx.send_message(Draft(topic=brief.topic, text=" ".join(words)))


class Editor(Executor):
    """Asks a person."""

    @handler
    async def ask(self, draft: Draft, ctx: WorkflowContext) -> None:
        ctx.set_state("drafts", [*ctx.get_state("drafts", []), draft.text])
        await ctx.request_info(draft, Review, request_id=f"review-{draft.topic}")

    @response_handler
    async def reviewed(self, draft: Draft, review: Review, ctx: WorkflowContext[str]) -> None:
        ctx.set_state("grade", review.grade)
        await ctx.send_message(f"{draft.topic}: {'approved' if review.approved else 'refused'}, grade {review.grade}")


class Printer(Executor):
    """Yields what was decided; of a topic `jam FILE` only once that file is there."""

    @handler
    async def print(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        topic, _, _ = text.partition(":")
        if topic.startswith("jam ") and not Path(topic.removeprefix("jam ")).exists():
            raise ValueError(f"the paper is jammed: {topic}")
        await ctx.yield_output(text)


class Setter(Executor):
    """Hands on."""

    @handler
    async def set(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        await ctx.yield_output(text)


def press() -> Workflow:
    """Build the workflow: writer, editor, and a sub-workflow that prints."""
    setter, printer = Setter(id="setter"), Printer(id="printer")
    writer, editor = Writer(id="writer"), Editor(id="editor")
    inner = WorkflowBuilder(name="set", start_executor=setter, output_from=[setter]).build()
    setting = WorkflowExecutor(inner, id="setting")
    builder = WorkflowBuilder(name="press", start_executor=writer)
    return builder.add_chain([writer, editor, setting, printer]).build()


HOSTILE = "<img src=x onerror=\"window.ran='img'\"><script>window.ran='script'</script>"


class Strange(BaseModel):
    """What is asked of a person, in strings that would be scripts."""

    model_config = ConfigDict(title=HOSTILE)
    choice: Literal["fine", "<script>window.ran='choice'</script>"] = Field(title=HOSTILE, description=HOSTILE)
    told: dict[str, str] = Field(default={HOSTILE: HOSTILE}, title=f"told {HOSTILE}", description=HOSTILE)


class Clerk(Executor):
    """Asks a person, from within a sub-workflow."""

    @handler
    async def ask(self, text: str, ctx: WorkflowContext) -> None:
        ctx.set_state(f"asked {self.id}", {text: text})
        await ctx.request_info({text: text}, Strange, request_id=f"strange {text}")

    @response_handler
    async def told(self, asked: dict, strange: Strange, ctx: WorkflowContext[str]) -> None:  # type: ignore[type-arg]
        await ctx.send_message(strange.choice)


def _office(name: str, mark: str) -> Workflow:
    clerk, copier = Clerk(id=f"clerk{mark}"), Setter(id=f"copier{mark}")
    builder = WorkflowBuilder(name="inner", start_executor=clerk, output_from=[copier])
    inner = WorkflowExecutor(builder.add_edge(clerk, copier).build(), id=f"office{mark}", propagate_request=True)
    printer = Printer(id=f"printer{mark}")
    return WorkflowBuilder(name=name, start_executor=inner).add_edge(inner, printer).build()


def office() -> Workflow:
    """Build a workflow whose sub-workflow asks."""
    return _office("office", "")


def strange() -> Workflow:
    """Build one whose executors have names that would be scripts."""
    return _office("strange", HOSTILE)
