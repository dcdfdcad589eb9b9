"""Many runs at once on few workers: how long they take, what fails, and what the workers need for it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from uuid import uuid4

from agent_framework_temporal import DurableWorkflow

from ._bench import Bench, resident
from ._flows import Work, keep
from ._table import Table

_MEGABYTE = 1_000_000
_STATE = 10_000
_SECONDS = 300.0
"""So long one row may take; runs that are not done by then are counted as errors, and cancelled."""


async def measure(bench: Bench) -> list[Table]:
    """Run so many runs at once, on one worker and on several."""
    supersteps = 2 if bench.quick else 4
    table = Table(
        f"(q) runs at once, {supersteps} supersteps each, {_STATE // 1_000} KB of state",
        (
            "workers",
            "runs",
            "errors",
            "seconds",
            "supersteps a second",
            "MB a worker, at most",
            "MB a run, all workers",
        ),
    )
    for workers in (1, 2) if bench.quick else (1, 2, 4):
        await _on(bench, workers, (10,) if bench.quick else (100, 500, 2_000), supersteps, table)
    table.note("The caller, all workers and the server share the machine's processors.")
    return [table]


async def _on(bench: Bench, workers: int, numbers: Sequence[int], supersteps: int, table: Table) -> None:
    queue = f"bench-{uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        for _ in range(workers):
            await stack.enter_async_context(bench.worker(queue=queue))
        processes = bench.started[-workers:]
        await asyncio.gather(*(_run(bench, queue, supersteps) for _ in range(4 * workers)))  # Whoever takes them.
        before = sum(resident(process) for process in processes)
        for runs in sorted(numbers):  # What a worker needs at most is then what it needs for the last.
            begun = time.monotonic()
            ended = await asyncio.gather(*(_run(bench, queue, supersteps) for _ in range(runs)))
            took = time.monotonic() - begun
            peaks = [resident(process, peak=True) for process in processes]
            errors = Counter(error for error in ended if error is not None)
            for name, count in errors.items():
                table.note(f"{workers} workers, {runs:,} runs: {count} of {name}")
            table.add(
                workers,
                runs,
                sum(errors.values()),
                round(took, 1),
                round((runs - sum(errors.values())) * supersteps / took, 1),
                round(max(peaks) / _MEGABYTE, 1),
                round((sum(peaks) - before) / runs / _MEGABYTE, 3),
            )


async def _run(bench: Bench, queue: str, supersteps: int) -> str | None:
    """Run one to its end; returns the name of its error, if it has one."""
    durable = DurableWorkflow(keep, client=bench.client, task_queue=queue)
    try:
        async with asyncio.timeout(_SECONDS):
            (last,) = (await durable.run(Work(supersteps, _STATE))).get_outputs()
        return None if last == supersteps else "a wrong output"
    except Exception as error:  # Each is counted.
        return type(error).__name__
