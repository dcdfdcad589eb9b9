"""Workflows whose supersteps a test holds, in this process or, by files, in another."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, WorkflowRunResult, handler
from agent_framework_temporal import DurableWorkflow, DurableWorkflowError, SteeringStatus
from pydantic import BaseModel, field_validator

GATES = "TESTS_GATES"
"""Environment variable: a folder. An executor that finds `hold-ID-TEXT` in it waits until that is gone."""


class Work(BaseModel):
    """What is worked on."""

    text: str

    @field_validator("text")
    @classmethod
    def _fits(cls, text: str) -> str:
        """Refuse a text as no schema says it: only the worker can tell."""
        if text == "unfit":
            raise ValueError("unfit")
        return text


class Station(Executor):
    """One of a line: adds itself to the thread's state, and passes the work on."""

    def __init__(self, id: str, *, last: bool = False) -> None:
        super().__init__(id=id)
        self._last = last

    @handler
    async def work(self, work: Work, ctx: WorkflowContext[Work, str]) -> None:
        await held(self.id, work.text)
        if work.text.startswith("fail") and self.id == "middle":
            raise ValueError(f"told to {work.text}")
        done = [*ctx.get_state("done", []), f"{self.id} {work.text}"]
        ctx.set_state("done", done)
        if self._last:
            await ctx.yield_output(f"{work.text}: {', '.join(done)}")
        else:
            await ctx.send_message(work)


async def held(executor_id: str, text: str) -> None:
    """Wait while there is a file that says so."""
    folder = os.environ.get(GATES)
    if not folder:
        return
    Path(folder, f"begun-{executor_id}-{text}").touch()
    while Path(folder, f"hold-{executor_id}-{text}").exists():
        await asyncio.sleep(0.02)


class Folder:
    """The gates of a test.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def hold(self, executor_id: str, text: str) -> None:
        """Let an executor wait."""
        (self._path / f"hold-{executor_id}-{text}").touch()
        (self._path / f"begun-{executor_id}-{text}").unlink(missing_ok=True)

    def let(self, executor_id: str, text: str) -> None:
        """Let it go on."""
        (self._path / f"hold-{executor_id}-{text}").unlink()

    async def begun(self, executor_id: str, text: str) -> None:
        """Wait until it has begun."""
        async with asyncio.timeout(60):
            while not self.has_begun(executor_id, text):
                await asyncio.sleep(0.02)

    def has_begun(self, executor_id: str, text: str) -> bool:
        """Tell whether it has begun."""
        return (self._path / f"begun-{executor_id}-{text}").exists()


def line() -> Workflow:
    """Build the line of three."""
    first, middle, last = Station("first"), Station("middle"), Station("last", last=True)
    return WorkflowBuilder(name="line", start_executor=first).add_chain([first, middle, last]).build()


def status_of(answer: Any) -> dict[str, Any]:
    """Return a query's answer, which is a mapping to any client."""
    assert isinstance(answer, dict)
    return answer


def task_of(awaitable: Awaitable[WorkflowRunResult]) -> asyncio.Task[WorkflowRunResult]:
    """Await a call beside the test."""

    async def run() -> WorkflowRunResult:
        return await awaitable

    return asyncio.create_task(run())


async def steering_once(
    durable: DurableWorkflow, thread_id: str, has_come: Callable[[SteeringStatus], bool]
) -> SteeringStatus:
    """Wait until a thread, which may not have begun yet, stands as it should; returns how it stands then."""
    async with asyncio.timeout(60):
        while True:
            try:
                status = await durable.steering(thread_id)
            except DurableWorkflowError:  # It has not begun yet.
                await asyncio.sleep(0.05)
                continue
            if has_come(status):
                return status
            await asyncio.sleep(0.05)


async def queued(durable: DurableWorkflow, thread_id: str, count: int) -> list[str]:
    """Wait until so many messages wait for their turn; returns their ids."""
    async with asyncio.timeout(60):
        while len(found := await durable.queued_messages(thread_id)) != count:
            await asyncio.sleep(0.05)
    return [message.message_id for message in found]
