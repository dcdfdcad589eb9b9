"""`python -m tests.agents._process ADDRESS QUEUE`: the desk over AG-UI, MCP and HTTP, in one application.

It writes the port that it listens on.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from agent_framework_ag_ui import add_agent_framework_fastapi_endpoint
from agent_framework_temporal import ag_ui_workflow, http_app, mcp_server
from agent_framework_temporal.adapter.cli.console import listening
from fastapi import FastAPI
from temporalio.client import Client

from tests.agents._flows import desk
from tests.flows import shop


async def main() -> None:
    """Serve until it is killed."""
    address, queue = sys.argv[1:]
    client = await Client.connect(address)
    tools = mcp_server(client, [shop], task_queue=queue).streamable_http_app()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with tools.router.lifespan_context(app):  # A server starts no part of what is mounted in it.
            yield

    app = FastAPI(lifespan=lifespan)
    add_agent_framework_fastapi_endpoint(app, ag_ui_workflow(client, desk, task_queue=queue), "/desk", single_user=True)
    app.mount("/tools", tools)
    app.mount("/agents", http_app(client, [shop], task_queue=queue))
    with listening("127.0.0.1", 0) as listener:
        print(listener.getsockname()[1], flush=True)
        await uvicorn.Server(uvicorn.Config(app, log_level="error")).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(main())
