"""Workers in processes of their own, to be killed."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def worker_process(client: Client, task_queue: str, workflow: str) -> AsyncIterator[Process]:
    """Run `worker.py`; it is killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "worker.py", "--workflow", workflow, "--task-queue", task_queue),
        *("--address", client.service_client.config.target_host),
        cwd=ROOT,
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
