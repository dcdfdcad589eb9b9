"""A superstep on a worker that has its checkpoint in memory, and on one that reads it from history."""

from __future__ import annotations

from collections import defaultdict

from ._bench import SIZES, Bench, milliseconds
from ._flows import Work
from ._table import Table


async def measure(bench: Bench) -> list[Table]:
    """Run on two workers in turns, one with the cache off."""
    rounds, steps = (1, 4) if bench.quick else (5, 40)
    table = Table(
        "(e) one strict superstep with and without the worker's cache, ms (median)",
        ("state", "with cache", "without", "difference", "ratio"),
    )
    times: dict[tuple[str, int], list[float]] = defaultdict(list)
    async with bench.workers([], ["--cache-bytes", "0"]) as queues:
        for _ in range(rounds):
            for name, size in SIZES.items():
                for number, queue in enumerate(queues):
                    run = await bench.durable(queue, "keep", Work(steps, size))
                    times[name, number] += run.seconds_per_step()
    for name in SIZES:
        cached, read = (milliseconds(times[name, number]) for number in (0, 1))
        table.add(name, cached, read, round(read - cached, 2), round(read / cached, 2))
    table.note(
        f"{rounds} rounds of {steps} supersteps, in turns; without the cache each reads history back to its keyframe."
    )
    return [table]
