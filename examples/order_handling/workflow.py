"""An order is checked by a sub-workflow, approved by a person if it is dear, and shipped."""

from __future__ import annotations

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
from pydantic import BaseModel, Field

APPROVAL_FROM = 500


class Order(BaseModel):
    """What a customer orders."""

    number: str
    item: str
    price: int = Field(gt=0)


class Checked(BaseModel):
    """An order with what the stock says of it."""

    order: Order
    in_stock: bool


class Approval(BaseModel):
    """A person's decision about a dear order."""

    approved: bool
    by: str = "nobody"


class Shipment(BaseModel):
    """The workflow's output."""

    number: str
    shipped: bool
    reason: str


class Stock(Executor):
    """Says whether an item is there."""

    @handler
    async def look(self, order: Order, ctx: WorkflowContext[Never, Checked]) -> None:
        """Look it up; here everything but unicorns is in stock."""
        await ctx.yield_output(Checked(order=order, in_stock=order.item != "unicorn"))


class Desk(Executor):
    """Decides, or asks a person to."""

    @handler
    async def take(self, checked: Checked, ctx: WorkflowContext[Shipment]) -> None:
        """Refuse what is not in stock, ask about what is dear, and ship the rest."""
        order = checked.order
        if not checked.in_stock:
            await ctx.send_message(Shipment(number=order.number, shipped=False, reason="not in stock"))
        elif order.price < APPROVAL_FROM:
            await ctx.send_message(Shipment(number=order.number, shipped=True, reason="no approval needed"))
        else:
            await ctx.request_info(order, Approval, request_id=f"approve-{order.number}")

    @response_handler
    async def decided(self, order: Order, approval: Approval, ctx: WorkflowContext[Shipment]) -> None:
        """Do as the person says."""
        verb = "approved" if approval.approved else "refused"
        shipment = Shipment(number=order.number, shipped=approval.approved, reason=f"{verb} by {approval.by}")
        await ctx.send_message(shipment)


class Warehouse(Executor):
    """Ships."""

    @handler
    async def ship(self, shipment: Shipment, ctx: WorkflowContext[Never, Shipment]) -> None:
        """Yield what became of the order."""
        await ctx.yield_output(shipment)


def check() -> Workflow:
    """Build the sub-workflow."""
    return WorkflowBuilder(name="order-check", start_executor=Stock(id="stock")).build()


def build() -> Workflow:
    """Build the workflow."""
    checks = WorkflowExecutor(check(), id="check")
    desk, warehouse = Desk(id="desk"), Warehouse(id="warehouse")
    builder = WorkflowBuilder(name="order-handling", start_executor=checks, output_from=[warehouse])
    return builder.add_edge(checks, desk).add_edge(desk, warehouse).build()
