"""The example's web service, on a port of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from agent_framework import Workflow
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client

from examples.web_service.app import create_app
from tests.http._serving import serving
from tests.support import worker


@asynccontextmanager
async def web_service(client: Client, build: Callable[[], Workflow]) -> AsyncIterator[str]:
    """Serve it, with a worker for its workflow; yields its address."""

    @asynccontextmanager
    async def facade() -> AsyncIterator[DurableWorkflow]:
        async with worker(client, build) as queue:
            yield DurableWorkflow(build, client=client, task_queue=queue)

    async with serving(create_app(facade())) as http:
        yield str(http.base_url)
