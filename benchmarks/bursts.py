"""Quick supersteps in a burst, beside as many activities that do nothing, and as many supersteps of one each."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from statistics import median

from ._bench import SIZES, Bench, Run
from ._flows import Work
from ._table import Table

_STEPS = 40
_BURST = timedelta(minutes=1)


async def measure(bench: Bench) -> list[Table]:
    """Run all three in turns on one worker, on a server with Temporal's own limit of 20 polls a second and on ours."""
    tables = [await _compare(bench, "the dev server")]
    if not bench.quick:
        async with Bench.start(quick=False, limited=True) as limited:
            tables.insert(0, await _compare(limited, "a server with Temporal's own poll limit"))
    return tables


async def _compare(bench: Bench, server: str) -> Table:
    rounds, sizes = (1, {"10 B": 10}) if bench.quick else (7, SIZES)
    table = Table(
        f"(n) {_STEPS} supersteps in a burst, and as many bare activities, on {server}: from start to end, ms (median)",
        (
            "state",
            "bare activities",
            "supersteps",
            "burst",
            "bare / burst",
            "events: bare",
            "events: supersteps",
            "events: burst",
        ),
    )
    times: dict[str, list[float]] = defaultdict(list)
    ratios: dict[str, list[float]] = defaultdict(list)
    events: dict[str, int] = {}
    async with bench.worker() as queue:
        await bench.bare(queue, 5 if bench.quick else 100)  # A server with a limit has some polls in reserve.
        await bench.durable(queue, "keep", Work(5, 10), burst=_BURST)
        for _ in range(rounds):
            for name, size in sizes.items():
                runs = {
                    f"bare {name}": await bench.bare(queue, _STEPS),
                    f"strict {name}": await bench.durable(queue, "keep", Work(_STEPS, size)),
                    f"burst {name}": await bench.durable(queue, "keep", Work(_STEPS, size), burst=_BURST),
                }
                took = {kind: _seconds(run) for kind, run in runs.items()}
                for kind, run in runs.items():
                    times[kind].append(took[kind])
                    events[kind] = len(run.events)
                ratios[name].append(took[f"bare {name}"] / took[f"burst {name}"])
    for name in sizes:
        kinds = [f"{kind} {name}" for kind in ("bare", "strict", "burst")]
        bare, strict, burst = (round(median(times[kind]) * 1_000, 1) for kind in kinds)
        table.add(name, bare, strict, burst, round(median(ratios[name]), 2), *(events[kind] for kind in kinds))
    table.note(f"{rounds} rounds, in turns; the ratio is the median of the rounds' ratios.")
    table.goal_at_least("bare activities / burst at 10 B", median(ratios["10 B"]), 10)
    table.goal("events of a burst", events["burst 10 B"], 11)
    return table


def _seconds(run: Run) -> float:
    first, last = (run.events[index].event_time.ToNanoseconds() for index in (0, -1))
    return (last - first) / 1e9
