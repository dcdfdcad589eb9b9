"""Where the small examples run: TEMPORAL_ADDRESS or a server of their own, and a worker in this process."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Unpack

from agent_framework_temporal import AgentFrameworkPlugin, DurableWorkflow, start_dev_server
from agent_framework_temporal.adapter.client.options import OptionArguments
from agent_framework_temporal.adapter.framework.definition import WorkflowFactory
from temporalio.client import Client
from temporalio.worker import Worker


@asynccontextmanager
async def hosted(build: WorkflowFactory, **options: Unpack[OptionArguments]) -> AsyncIterator[DurableWorkflow]:
    """Host a workflow and return its facade.

    Args:
        build: The workflow's factory.
        **options: Options of its runs.
    """
    async with AsyncExitStack() as stack:
        address = os.environ.get("TEMPORAL_ADDRESS")
        if address is None:
            server = await stack.enter_async_context(await start_dev_server())
            client = await server.connect()
            print(f"Web UI: {server.ui_url}")
        else:
            client = await Client.connect(address)
        queue = f"example-{uuid.uuid4().hex[:8]}"
        await stack.enter_async_context(Worker(client, task_queue=queue, plugins=[AgentFrameworkPlugin([build])]))
        yield DurableWorkflow(build, client=client, task_queue=queue, **options)
