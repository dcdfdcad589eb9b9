"""A workflow that begins with a model, under the name by which a command finds it."""

from __future__ import annotations

from typing import Any

from agent_framework import WorkflowBuilder, WorkflowContext, executor
from pydantic import BaseModel, Field


class Brief(BaseModel):
    topic: str
    words: int = Field(ge=50)
    tone: str = "plain"
    sources: list[str]


@executor(id="start")
async def _start(_brief: Brief, ctx: WorkflowContext[Any, Any]) -> None:
    await ctx.yield_output("done")


def build_brief() -> Any:
    return WorkflowBuilder(name="brief", start_executor=_start).build()
