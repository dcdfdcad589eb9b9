"""What the worker command is given in these tests: workflows that can be hosted, and some that cannot."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
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


@executor(id="slow")
async def slow(folder: str, ctx: WorkflowContext[Never, str]) -> None:
    """Say in the folder that an attempt has begun; take as long as the folder says the first time."""
    begun = Path(folder) / f"begun-{time.time_ns()}"
    begun.touch()
    first = len(list(Path(folder).glob("begun-*"))) == 1
    await asyncio.sleep(float((Path(folder) / "seconds").read_text()) if first else 0)
    await ctx.yield_output("done" if first else "done again")


def build_slow() -> Workflow:
    return WorkflowBuilder(start_executor=slow, name="slow", output_from=[slow]).build()


class Namespaced:
    workflow = _build("namespaced")
