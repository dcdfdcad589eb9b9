"""History bytes and events of a superstep, against a workflow that passes its whole state."""

from __future__ import annotations

from ._bench import SIZES, Bench, Run
from ._flows import Work
from ._table import Table


async def measure(bench: Bench) -> list[Table]:
    """Run both once at each size; sizes do not vary."""
    short = 4
    long = 6 if bench.quick else 14
    table = Table(
        "(b) history of one more superstep",
        ("state", "events", "bytes", "naive events", "naive bytes", "naive / ours", "first superstep bytes"),
    )
    async with bench.worker() as queue:
        for name, size in SIZES.items():
            ours = [await bench.durable(queue, "keep", Work(steps, size)) for steps in (short, long)]
            naive = [await bench.naive(queue, steps, size) for steps in (short, long)]
            events, own_bytes = _one_more(ours, long - short)
            naive_events, naive_bytes = _one_more(naive, long - short)
            first = ours[0].history_bytes - short * own_bytes
            table.add(name, events, own_bytes, naive_events, naive_bytes, round(naive_bytes / own_bytes, 1), first)
    table.note(f"The difference between a run of {long} and one of {short} supersteps, divided by {long - short}.")
    return [table]


def _one_more(runs: list[Run], steps: int) -> tuple[int, int]:
    shorter, longer = runs
    events = len(longer.events) - len(shorter.events)
    return round(events / steps), round((longer.history_bytes - shorter.history_bytes) / steps)
