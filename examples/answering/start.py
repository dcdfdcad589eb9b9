"""Starts an order: `python -m examples.answering.start order-1 pen`."""

from __future__ import annotations

import asyncio
import os
import sys

from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client

from examples.answering.order import Order, build


async def main(thread_id: str, item: str) -> None:
    """Start it and leave: it waits in the server."""
    client = await Client.connect(os.environ.get("TEMPORAL_ADDRESS", "localhost:7233"))
    durable = DurableWorkflow(build, client=client, task_queue=os.environ.get("TASK_QUEUE", "orders"))
    result = await durable.run(Order(item=item, price=3), checkpoint=durable.checkpoint(thread_id))
    print([event.request_id for event in result.get_request_info_events()])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
