"""`python -m tests.agents._stdio ADDRESS QUEUE`: the shop as an MCP server over stdio, as desktop programs start it."""

from __future__ import annotations

import asyncio
import sys

from agent_framework_temporal import mcp_server
from mcp.server.stdio import stdio_server
from temporalio.client import Client

from tests.flows import shop


async def main() -> None:
    """Serve until standard input ends."""
    address, queue = sys.argv[1:]
    server = mcp_server(await Client.connect(address), [shop], task_queue=queue)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main())
