"""How long a checkpoint takes to load from history, by how many patches lie between it and its keyframe."""

from __future__ import annotations

import time
from statistics import median

from agent_framework_temporal.adapter.checkpoints.history import load_checkpoint
from agent_framework_temporal.workflows.messages import CheckpointRef

from ._bench import Bench, Run
from ._flows import Work
from ._table import Table


async def measure(bench: Bench) -> list[Table]:
    """Load the last checkpoint of runs of several lengths, with one keyframe and with as many as by default."""
    depths = (1, 10) if bench.quick else (1, 100, 1_000)
    sizes = {"10 KB": 10_000} if bench.quick else {"10 B": 10, "100 KB": 100_000}
    table = Table(
        "(d) load of a checkpoint from history, ms (median)",
        ("state", "checkpoint", *(f"after {depth:,}" for depth in depths)),
    )
    async with bench.workers(["--no-keyframes"], []) as (chained, by_default):
        for name, size in sizes.items():
            chains = [await bench.durable(chained, "keep", Work(depth + 1, size)) for depth in depths]
            runs = [await bench.durable(by_default, "keep", Work(depth + 1, size)) for depth in depths]
            table.add(name, "the last, all patches", *[await _load(bench, run, -1) for run in chains])
            table.add(name, "the last, keyframes as by default", *[await _load(bench, run, -1) for run in runs])
            table.add(name, "the first", *[await _load(bench, run, 0) for run in runs])
    table.note(
        "After so many supersteps since the run's first; all patches: there is no keyframe in between. The first "
        "checkpoint lies behind all events that followed."
    )
    return [table]


async def _load(bench: Bench, run: Run, index: int) -> float:
    facts = run.results[index].checkpoint
    assert facts is not None
    ref = CheckpointRef(thread_id=run.thread_id, run_id=run.run_ids[index], checkpoint_id=facts.checkpoint_id)
    times: list[float] = []
    for _ in range(3 if bench.quick else 7):
        started = time.perf_counter()
        await load_checkpoint(bench.client, ref)
        times.append(time.perf_counter() - started)
    return round(median(times) * 1_000, 1)
