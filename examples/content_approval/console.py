"""The console, served beside the demo: the page that shows the thread, and takes the decision as well."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import uvicorn
from agent_framework_temporal import http_app
from temporalio.client import Client

from .workflow import content_approval


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the demo."""
        yield


@contextlib.asynccontextmanager
async def console(client: Client, task_queue: str, *, temporal_ui: str) -> AsyncIterator[str]:
    """Serve it on a free port, for this machine only; yields its address.

    Args:
        client: What it reads by.
        task_queue: Where threads go that are begun in it.
        temporal_ui: Temporal's Web UI, which it links to.
    """
    app = http_app(client, [content_approval], task_queue=task_queue, temporal_ui=temporal_ui)
    server = _Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
            if serving.done():
                serving.result()
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
