"""A worker process of its own, whose memory is that of nothing else: `python -m tests.soak._worker ADDRESS QUEUE`."""

from __future__ import annotations

import asyncio
import sys

from agent_framework_temporal import AgentFrameworkPlugin
from temporalio.client import Client
from temporalio.worker import Worker

from tests.soak._flow import relay


async def main(address: str, task_queue: str) -> None:
    """Work until killed."""
    client = await Client.connect(address)
    # A small cache is full early on, so that what grows then is a leak.
    plugin = AgentFrameworkPlugin([relay], cache_bytes=4_000_000)
    async with Worker(client, task_queue=task_queue, plugins=[plugin]):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
