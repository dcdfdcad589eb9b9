"""What many tests need: a worker on a task queue of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agent_framework_temporal import AgentFrameworkPlugin
from agent_framework_temporal.adapter._hosting import WorkflowEntry
from temporalio.client import Client
from temporalio.worker import Worker


def unique(prefix: str) -> str:
    """Return a name no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


@asynccontextmanager
async def worker(
    client: Client, *workflows: WorkflowEntry, task_queue: str | None = None, **options: Any
) -> AsyncIterator[str]:
    """Run a worker that hosts `workflows`; yields its task queue."""
    queue = task_queue or unique("queue")
    chosen = {name: options.pop(name) for name in ("cache_bytes", "mirrors") if name in options}
    plugin = AgentFrameworkPlugin(workflows, **chosen)
    async with Worker(client, task_queue=queue, plugins=[plugin], **options):
        yield queue
