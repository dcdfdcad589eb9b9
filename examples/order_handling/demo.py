"""Handles four orders at once; one waits for a person who never answers."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from agent_framework_temporal import DurableWorkflow, RequestPolicy, terminal_text

from examples._local import hosted

from .workflow import Approval, Order, Shipment, build

ORDERS = (
    Order(number="1", item="kettle", price=40),
    Order(number="2", item="unicorn", price=40),
    Order(number="3", item="piano", price=5_000),
    Order(number="4", item="organ", price=90_000),
)
PATIENCE = timedelta(seconds=5)
"""Days in production: a deadline is a durable timer and costs nothing while it runs."""
DEADLINES = RequestPolicy(deadline=PATIENCE, on_deadline="default", default=Approval(approved=False, by="the deadline"))


async def handle(durable: DurableWorkflow, order: Order) -> Shipment:
    """Handle one order, on a thread of its own."""
    checkpoint = durable.checkpoint()
    result = await durable.run(order, checkpoint=checkpoint)
    for event in result.get_request_info_events():
        print(terminal_text(f"order {order.number}: waits for approval, request {event.request_id}"))
        if order.item == "piano":
            answer = {event.request_id: Approval(approved=True, by="Ann")}
            result = await durable.run(responses=answer, checkpoint=checkpoint)
        else:
            result = await durable.run(checkpoint=checkpoint)  # The requests again: nobody has answered yet.
            while result.get_request_info_events():
                await asyncio.sleep(1)
                result = await durable.run(checkpoint=checkpoint)
    (shipment,) = result.get_outputs()
    assert isinstance(shipment, Shipment)  # noqa: S101 - for the type checker
    verdict = "shipped" if shipment.shipped else "not shipped"
    print(terminal_text(f"order {order.number}: {verdict}, {shipment.reason}", margin="  "))
    return shipment


async def main() -> None:
    """Run the example."""
    async with hosted(build, requests=DEADLINES) as durable:
        await asyncio.gather(*(handle(durable, order) for order in ORDERS))


if __name__ == "__main__":
    asyncio.run(main())
