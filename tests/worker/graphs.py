"""What the worker command is given in these tests: workflows that can be hosted, and some that cannot."""

from __future__ import annotations

from typing import Never

from agent_framework import Workflow, WorkflowBuilder, WorkflowContext, executor

NOT_A_WORKFLOW = "a string"


@executor(id="echo")
async def echo(text: str, ctx: WorkflowContext[Never, str]) -> None:
    await ctx.yield_output(text)


def _build(name: str | None) -> Workflow:
    return WorkflowBuilder(start_executor=echo, name=name, output_from=[echo]).build()


def build_echo() -> Workflow:
    return _build("echo")


def build_echo_again() -> Workflow:
    return _build("echo")


async def build_shout() -> Workflow:
    return _build("shout")


def build_unnamed() -> Workflow:
    return _build(None)


def build_nothing() -> str:
    return "nothing"


class Namespaced:
    workflow = _build("namespaced")
