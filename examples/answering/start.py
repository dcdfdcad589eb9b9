"""Starts an order: `python -m examples.answering.start order-1 pen`."""

from __future__ import annotations

import asyncio
import os
import sys

from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client
from temporalio.envconfig import ClientConfig

from examples.answering.order import Order, build


async def main(thread_id: str, item: str) -> None:
    """Start it and leave: it waits in the server."""
    config = ClientConfig.load_client_connect_config()  # TEMPORAL_ADDRESS and its like.
    config.setdefault("target_host", "localhost:7233")
    client = await Client.connect(**config)
    durable = DurableWorkflow(build, client=client, task_queue=os.environ.get("TASK_QUEUE", "orders"))
    result = await durable.run(Order(item=item, price=3), checkpoint=durable.checkpoint(thread_id))
    print([event.request_id for event in result.get_request_info_events()])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
