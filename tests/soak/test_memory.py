"""A run of very many supersteps: it ends as it should, and the worker's memory stays flat."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client

from tests.soak._flow import Baton, relay
from tests.support import unique

_ROOT = Path(__file__).parents[2]
_SUPERSTEPS = int(os.environ.get("SOAK_SUPERSTEPS", "400"))
_LONG = _SUPERSTEPS >= 1_000
_MESSAGE_BYTES = 1_000 if _LONG else 100_000
"""Large messages show in few supersteps what is kept of them; of many the server would have to keep too much."""
_GROWTH_BYTES = 12 * 1024 * 1024
"""What the median of the last third may lie over that of the first: allocators are not exact."""


@asynccontextmanager
async def worker_process(client: Client, task_queue: str) -> AsyncIterator[Process]:
    """Run a worker in a process of its own."""
    address = client.service_client.config.target_host
    command = (sys.executable, "-m", "tests.soak._worker", address, task_queue)
    process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT, stdout=PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        await process.wait()


def resident(pid: int) -> int:
    """Return a process's resident memory in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.timeout(60 + _SUPERSTEPS // 4)
async def test_memory_stays_flat(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    task_queue = unique("queue")
    samples: list[int] = []
    async with worker_process(client, task_queue) as process:
        # The long form leaves it to the server when a run continues as new. The short one has to do it, and yet be one
        # run for long enough to show what a run keeps.
        limits: dict[str, Any] = {} if _LONG else {"supersteps_per_run": 350, "history_bytes_per_run": 100_000_000}
        durable = DurableWorkflow(relay, client=client, task_queue=task_queue, **limits)
        checkpoint = durable.checkpoint()
        outputs = last = 0
        async for event in durable.run_stream(Baton(_SUPERSTEPS - 1, _MESSAGE_BYTES), checkpoint=checkpoint):
            if event.type == "superstep_completed":
                samples.append(resident(process.pid))
                last = event.iteration or 0
            outputs += event.type == "output"
    assert last == _SUPERSTEPS
    assert outputs == _SUPERSTEPS
    warm = samples[len(samples) // 4 :]  # Imports, caches, the first continue-as-new.
    third = len(warm) // 3
    first, final = statistics.median(warm[:third]), statistics.median(warm[-third:])
    with capsys.disabled():
        if _LONG:
            print(f"\n{_SUPERSTEPS:,} supersteps: {first / 1e6:.1f} MB, then {final / 1e6:.1f} MB resident")
            every = max(1, len(samples) // 20)
            print("MB:", " ".join(f"{sample / 1e6:.0f}" for sample in samples[::every]))
    assert final - first < _GROWTH_BYTES
