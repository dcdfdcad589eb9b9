"""State that no checkpoint holds, on a worker: what a handler sets first, and what the class itself holds."""

from __future__ import annotations

import logging
from typing import ClassVar, Never

import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client

from tests.support import worker


class Tally(Executor):
    """Keeps what it should not: there is no `__init__` that says so."""

    count = 0
    seen: ClassVar[list[str]] = []

    @handler
    async def take(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        self.count += 1
        self.seen.append(text)
        self.last = text
        await ctx.yield_output(f"{text} {self.count}")


def tally() -> Workflow:
    """Build it."""
    return WorkflowBuilder(name="tally", start_executor=Tally(id="tally")).build()


@pytest.mark.parametrize("cache_bytes", [0, 10_000_000])
async def test_it_is_warned_of_by_name(client: Client, caplog: pytest.LogCaptureFixture, cache_bytes: int) -> None:
    Tally.seen.clear()
    with caplog.at_level(logging.WARNING):
        async with worker(client, tally, cache_bytes=cache_bytes) as task_queue:
            durable = DurableWorkflow(tally, client=client, task_queue=task_queue)
            for text in ("a", "b"):
                await durable.run(text)
    told = [record.getMessage() for record in caplog.records if "of workflow 'tally'" in record.getMessage()]
    assert sorted(text.partition("attribute ")[2].split()[0] for text in told) == ["'count'", "'last'", "'seen'"]
