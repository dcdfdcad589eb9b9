"""An order's goods are reserved, its card is charged, and the receipt is sent."""

from __future__ import annotations

from typing import Never

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler
from agent_framework_temporal import InDoubtError, once
from pydantic import BaseModel, Field

from . import bank


class Order(BaseModel):
    """What a customer has bought."""

    number: str
    amount: int = Field(gt=0)


class Paid(BaseModel):
    """An order with what the bank and the shelf have given for it."""

    number: str
    parcel: str
    receipt: str


class Cashier(Executor):
    """Reserves and charges: each once, however many workers die."""

    @handler
    async def pay(self, order: Order, ctx: WorkflowContext[Paid]) -> None:
        """Take the goods, then the money."""
        parcel = await once(ctx, "reserve", bank.reserve, order.number)
        try:
            receipt = await once(ctx, "charge-card", bank.charge, order.number, order.amount, in_doubt="ask")
        except InDoubtError:  # A person has looked, and the bank has it.
            receipt = await once(ctx, "find-charge", bank.find, order.number)
        await ctx.send_message(Paid(number=order.number, parcel=parcel, receipt=receipt))


class Post(Executor):
    """Sends the parcel."""

    @handler
    async def send(self, paid: Paid, ctx: WorkflowContext[Never, Paid]) -> None:
        """Yield what was sent."""
        await ctx.yield_output(paid)


def build() -> Workflow:
    """Build the workflow."""
    cashier, post = Cashier(id="cashier"), Post(id="post")
    return WorkflowBuilder(name="payments", start_executor=cashier, output_from=[post]).add_edge(cashier, post).build()
