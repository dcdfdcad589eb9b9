"""`temporal workflow describe`: the failure of an attempt is shown first, however large it is."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client

from tests.operators.conftest import Temporal
from tests.support import worker


class Failing(Executor):
    """Fails with a text and a cause of some size, after an event of that size."""

    @handler
    async def fail(self, size: int, ctx: WorkflowContext[str, str]) -> None:
        await ctx.yield_output("x" * size)
        try:
            raise KeyError("inner" * size)
        except KeyError as error:
            raise ValueError("the model says no: " + "ü" * size) from error


def failing() -> Workflow:
    """Build it."""
    return WorkflowBuilder(name="failing", start_executor=Failing(id="failing")).build()


@pytest.mark.parametrize("size", [1, 1_000, 100_000])
async def test_attempt_that_is_repeated(client: Client, temporal: Temporal, size: int) -> None:
    async with worker(client, failing) as task_queue:
        durable = DurableWorkflow(
            failing, client=client, task_queue=task_queue, max_attempts=2, retry_initial_interval=timedelta(seconds=5)
        )
        checkpoint = durable.checkpoint()
        running = asyncio.ensure_future(durable.run(size, checkpoint=checkpoint))
        failure: dict[str, Any] = {}
        while not failure:
            await asyncio.sleep(0.1)
            if checkpoint.run_id is not None:
                said = json.loads(await temporal("workflow", "describe", "-w", checkpoint.thread_id, "-o", "json"))
                failure = next((found.get("lastFailure", {}) for found in said.get("pendingActivities", ())), {})
        assert failure["message"].startswith("the model says no: ü")
        assert failure["applicationFailureInfo"]["type"] == "ValueError"
        assert "in fail" in failure["stackTrace"]
        with pytest.raises(ValueError, match=f"the model says no: ü{{{min(size, 1_000)}}}"):
            await running
        said = await temporal("workflow", "describe", "-w", checkpoint.thread_id)
        assert "exceeds size limit" not in said
        assert "the model says no" in said
