"""The workflow that asks: somebody has to approve the order."""

from __future__ import annotations

from typing import Never

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler, response_handler
from pydantic import BaseModel, Field


class Order(BaseModel):
    """What is ordered."""

    item: str
    price: int


class Approval(BaseModel):
    """Whether the order may be placed."""

    approved: bool
    limit: int = Field(default=0, ge=0)


class Clerk(Executor):
    """Asks for an approval under an id that others can know beforehand."""

    @handler
    async def take(self, order: Order, ctx: WorkflowContext) -> None:
        """Ask."""
        await ctx.request_info(order, Approval, request_id=f"approve-{order.item}")

    @response_handler
    async def decide(self, order: Order, approval: Approval, ctx: WorkflowContext[Never, str]) -> None:
        """Say what was decided."""
        verdict = "ordered" if approval.approved else "not ordered"
        await ctx.yield_output(f"{order.item}: {verdict}")


def build() -> Workflow:
    """Build the workflow: `agent-framework-temporal-worker --workflow examples.answering.order:build`."""
    return WorkflowBuilder(name="order", start_executor=Clerk(id="clerk")).build()
