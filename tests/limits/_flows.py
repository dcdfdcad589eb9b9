"""A workflow that makes something large, in the place it is told."""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass
from typing import Any

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler, response_handler
from agent_framework_temporal import Checkpoint, DurableWorkflow
from temporalio.client import Client, WorkflowExecutionStatus


@dataclass
class Order:
    """How many bytes of each, none of which can be compressed."""

    state: int = 0
    shared: int = 0
    output: int = 0
    message: int = 0
    request: int = 0
    error: int = 0
    outputs: int = 1
    requests: int = 1
    fail: bool = False


def noise(size: int, seed: int = 0) -> str:
    """Return text that compression does not make much shorter."""
    return base64.b64encode(random.Random(seed).randbytes(size * 3 // 4 + 3)).decode()[:size]


class Hoard(Executor):
    """Counts what it was told, and makes what it is told."""

    def __init__(self) -> None:
        super().__init__(id="hoard")
        self._kept: dict[str, Any] = {"count": 0, "blob": ""}

    @handler
    async def take(self, order: Order, ctx: WorkflowContext[str, str]) -> None:
        self._kept["count"] += 1
        self._kept["blob"] = noise(order.state)
        ctx.set_state("shared-blob", noise(order.shared, 1))
        for number in range(order.outputs):
            await ctx.yield_output(noise(order.output, number) if order.output else f"order {self._kept['count']}")
        if order.request:
            for number in range(order.requests):
                name = "large" if order.requests == 1 else f"large {number}"
                await ctx.request_info(noise(order.request, 2), str, request_id=name)
        if order.fail:
            raise ValueError(f"told to fail {noise(order.error, 3)}")
        await ctx.send_message(noise(order.message, 4))

    @response_handler
    async def answered(self, request: str, response: str, ctx: WorkflowContext[str, str]) -> None:
        await ctx.yield_output(f"{len(request)} {len(response)}")

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return dict(self._kept)

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        self._kept = dict(state)


class Sink(Executor):
    """Tells how much came."""

    @handler
    async def take(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        await ctx.yield_output(f"sink {len(text)}")


class Churn(Executor):
    """Replaces its state by something else as large, again and again."""

    @handler
    async def churn(self, left: int, ctx: WorkflowContext[int, str]) -> None:
        ctx.set_state("churned", noise(1_700_000, left))
        if left:
            await ctx.send_message(left - 1)
        else:
            await ctx.yield_output("done")


def churn() -> Workflow:
    """Build the workflow whose patches are as large as keyframes."""
    tick, tock = Churn(id="tick"), Churn(id="tock")
    return WorkflowBuilder(name="churn", start_executor=tick).add_edge(tick, tock).add_edge(tock, tick).build()


def hoard() -> Workflow:
    """Build the workflow that makes what it is told."""
    first, last = Hoard(), Sink(id="sink")
    return WorkflowBuilder(name="hoard", start_executor=first).add_edge(first, last).build()


async def still_usable(client: Client, durable: DurableWorkflow, checkpoint: Checkpoint, orders: int) -> None:
    """Check that a thread is neither stuck nor terminated, and goes on from its last good checkpoint."""
    description = await client.get_workflow_handle(checkpoint.thread_id).describe()
    assert description.status in (WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.COMPLETED)
    result = await durable.run(Order(), checkpoint=checkpoint)
    assert result.get_outputs() == [f"order {orders}", "sink 0"]
