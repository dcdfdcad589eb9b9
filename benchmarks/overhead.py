"""A strict superstep against an activity that does nothing, at several sizes of state."""

from __future__ import annotations

import time
from collections import defaultdict
from statistics import median

from agent_framework import InMemoryCheckpointStorage

from ._bench import SIZES, Bench, milliseconds
from ._flows import Work, keep
from ._table import Table


async def measure(bench: Bench) -> list[Table]:
    """Run both in turns on one worker, on our dev server and on one with Temporal's own limit of 20 polls a second."""
    times = 1 if bench.quick else 5
    local = {name: [await _in_process(10, size) for _ in range(times)] for name, size in SIZES.items()}
    table = await _compare(bench, "the dev server")
    table.note(
        "In process, with the framework's InMemoryCheckpointStorage: "
        + ", ".join(f"{name} {milliseconds(times)} ms" for name, times in local.items())
    )
    if bench.quick:
        return [table]
    async with Bench.start(quick=False, limited=True) as limited_bench:
        limited = await _compare(limited_bench, "a server with Temporal's own poll limit")
    return [table, limited]


async def _compare(bench: Bench, server: str) -> Table:
    rounds, steps = (1, 5) if bench.quick else (9, 30)
    table = Table(
        f"(a) a strict superstep and an activity that does nothing, on {server}, ms (median)",
        ("state", "bare activity", "superstep", "difference", "ratio"),
    )
    times: dict[str, list[float]] = defaultdict(list)
    ratios: dict[str, list[float]] = defaultdict(list)
    async with bench.worker() as queue:
        await bench.bare(queue, 5 if bench.quick else 100)  # A server with a limit has some polls in reserve.
        for _ in range(rounds):
            for name, size in SIZES.items():
                bare = (await bench.bare(queue, steps)).seconds_per_step()
                strict = (await bench.durable(queue, "keep", Work(steps, size))).seconds_per_step()
                times[f"bare {name}"] += bare
                times[name] += strict
                ratios[name].append(median(strict) / median(bare))
    for name in SIZES:
        bare_ms, strict_ms = milliseconds(times[f"bare {name}"]), milliseconds(times[name])
        ratio = round(median(ratios[name]), 3)
        table.add(name, bare_ms, strict_ms, round(strict_ms - bare_ms, 2), ratio)
        table.goal(f"ratio at {name}", ratio, 1.15)
    table.note(f"{rounds} rounds of {steps} steps each, in turns; the ratio is the median of the rounds' ratios.")
    return table


async def _in_process(steps: int, size: int) -> float:
    workflow = keep()
    started = time.perf_counter()
    await workflow.run(Work(steps, size), checkpoint_storage=InMemoryCheckpointStorage())
    return (time.perf_counter() - started) / steps
