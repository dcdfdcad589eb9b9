"""Workflows that ask, in every way the tests need."""

from __future__ import annotations

import asyncio
import os
from typing import Never

from agent_framework import (
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowExecutor,
    handler,
    response_handler,
)
from pydantic import BaseModel, Field, field_validator


class Question(BaseModel):
    """What is asked, and of how many."""

    text: str
    count: int = 1


class Reply(BaseModel):
    """An answer with a rule that no JSON Schema says."""

    amount: int = Field(ge=0, le=100)
    note: str = Field(default="", max_length=50)

    @field_validator("amount")
    @classmethod
    def _even(cls, amount: int) -> int:
        if amount % 2:
            raise ValueError("must be even")
        return amount


class Asker(Executor):
    """Asks `count` questions, `q0`, `q1`, ..., and says what it is told; asks again for a note of `again`."""

    @handler
    async def ask(self, question: Question, ctx: WorkflowContext) -> None:
        for number in range(question.count):
            await ctx.request_info(question, Reply, request_id=f"q{number}")

    @response_handler
    async def told(self, question: Question, reply: Reply, ctx: WorkflowContext[Never, str]) -> None:
        await asyncio.sleep(float(os.environ.get("TESTS_DELAY", "0")))
        await ctx.yield_output(f"{question.text}: {reply.amount}")
        if reply.note == "again":
            await ctx.request_info(Question(text="again"), Reply, request_id="q-again")


class Free(Executor):
    """Asks for anything: a type without a schema."""

    @handler
    async def ask(self, text: str, ctx: WorkflowContext) -> None:
        await ctx.request_info(text, dict, request_id="free")

    @response_handler
    async def told(self, text: str, reply: dict, ctx: WorkflowContext[Never, str]) -> None:  # type: ignore[type-arg]
        await ctx.yield_output(f"{text}: {sorted(reply)}")


def asker() -> Workflow:
    """Build the workflow that asks."""
    return WorkflowBuilder(name="asker", start_executor=Asker(id="asker")).build()


def free() -> Workflow:
    """Build the one that takes anything."""
    return WorkflowBuilder(name="free", start_executor=Free(id="free")).build()


def nested() -> Workflow:
    """Build one whose sub-workflow asks."""
    inner = WorkflowExecutor(asker(), id="inner", propagate_request=True)
    return WorkflowBuilder(name="nested", start_executor=inner).build()
