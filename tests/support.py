"""What many tests need: a worker on a task queue of its own, in this process or in one to be killed."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent_framework_temporal import AgentFrameworkPlugin
from agent_framework_temporal.adapter.framework.definition import WorkflowEntry
from temporalio.client import Client
from temporalio.worker import Worker

from tests.flows import LEDGER

_ROOT = Path(__file__).parents[1]
_WORKFLOWS = ("tests.flows:chain", "tests.flows:shop", "tests.flows:talk")


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


@asynccontextmanager
async def worker_process(
    client: Client,
    task_queue: str,
    ledger: Path | None = None,
    delay: float = 0.0,
    workflows: Sequence[str] = _WORKFLOWS,
    flags: Sequence[str] = (),
) -> AsyncIterator[Process]:
    """Run `worker.py` as a process of its own; it is killed at the end if it still runs."""
    noted = {} if ledger is None else {LEDGER: str(ledger), "TESTS_DELAY": str(delay)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "worker.py", *(f"--workflow={workflow}" for workflow in workflows)),
        *("--task-queue", task_queue, "--address", client.service_client.config.target_host, *flags),
        cwd=_ROOT,
        env={**os.environ, **noted},
        stdout=PIPE,
    )
    assert process.stdout is not None
    try:
        assert task_queue in (await process.stdout.readline()).decode()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
