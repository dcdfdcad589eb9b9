"""The application on a real socket, in this process, and a reader of its event streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from agent_framework_temporal import http_app
from temporalio.client import Client

API = "/api/v1"


@asynccontextmanager
async def serving(app: Any, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an application on a free port; yields a client of it."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
    running = asyncio.ensure_future(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def api(client: Client, *workflows: Any, task_queue: str, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the API of some workflows."""
    async with serving(http_app(client, workflows, task_queue=task_queue, **options)) as http:
        yield http


@dataclass(frozen=True)
class Sent:
    """A server-sent event."""

    name: str
    id: str | None
    data: dict[str, Any]


async def read_stream(
    http: httpx.AsyncClient, thread_id: str, *, last: str | None = None, **query: Any
) -> AsyncGenerator[Sent]:
    """Yield what a thread's stream sends."""
    headers = {} if last is None else {"Last-Event-ID": last}
    async with http.stream(
        "GET", f"{API}/threads/{thread_id}/events", params=query, headers=headers, timeout=60
    ) as response:
        assert response.status_code == 200, await response.aread()
        fields: dict[str, str] = {}
        async for line in response.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
                continue
            if "data" in fields:
                yield Sent(fields.get("event", "message"), fields.get("id"), json.loads(fields["data"]))
            fields = {}


async def whole_stream(http: httpx.AsyncClient, thread_id: str, **options: Any) -> list[Sent]:
    """Return all that a thread's stream sends until it ends."""
    return [sent async for sent in read_stream(http, thread_id, **options)]


def outputs(sent: list[Sent]) -> list[Any]:
    """Return what a stream has told of outputs."""
    return [found.data.get("data") for found in sent if found.data.get("type") == "output"]


async def begun(http: httpx.AsyncClient, workflow: str, message: Any, **more: Any) -> str:
    """Begin a thread; returns its id."""
    response = await http.post(f"{API}/workflows/{workflow}/threads", json={"message": message, **more})
    assert response.status_code == 201, response.text
    thread_id: str = response.json()["thread_id"]
    return thread_id
