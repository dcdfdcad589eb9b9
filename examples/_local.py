"""Where the small examples run: TEMPORAL_ADDRESS or a server of their own, and a worker in this process."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Unpack

from agent_framework_temporal import (
    AgentFrameworkPlugin,
    DurableWorkflow,
    OptionArguments,
    WorkflowSource,
    start_dev_server,
)
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker


@asynccontextmanager
async def hosted(build: WorkflowSource, **options: Unpack[OptionArguments]) -> AsyncIterator[DurableWorkflow]:
    """Host a workflow and return its facade.

    Args:
        build: The workflow's factory, or the definition of a functional one.
        **options: Options of its runs.
    """
    async with AsyncExitStack() as stack:
        config = ClientConfig.load_client_connect_config()
        if "target_host" not in config:
            server = await stack.enter_async_context(await start_dev_server())
            client = await server.connect()
            print(f"Web UI: {server.ui_url}")
        else:
            client = await Client.connect(**config)
        queue = f"example-{uuid.uuid4().hex[:8]}"
        await stack.enter_async_context(Worker(client, task_queue=queue, plugins=[AgentFrameworkPlugin([build])]))
        yield DurableWorkflow(build, client=client, task_queue=queue, **options)
