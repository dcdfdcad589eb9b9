"""Quick supersteps in a burst, beside as many activities that do nothing, and as many supersteps of one each."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from statistics import mean, median

from ._bench import SIZES, Bench, Run, milliseconds
from ._flows import Work
from ._table import Table

_STEPS = 40
_BURST = timedelta(minutes=1)
_KINDS = ("bare", "strict", "burst")


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
        f"(n) {_STEPS} supersteps in a burst, as many of an activity each, and as many bare activities, on {server}: "
        "ms a step (median)",
        (
            *("state", "bare activity", "superstep", "in a burst", "bare / burst"),
            *("whole run: bare", "burst", "events: bare", "events: superstep", "events: burst"),
        ),
    )
    steps: dict[str, list[float]] = defaultdict(list)
    whole: dict[str, list[float]] = defaultdict(list)
    ratios: dict[str, list[float]] = defaultdict(list)
    events: dict[str, int] = {}
    async with bench.worker() as queue:
        await bench.bare(queue, 5 if bench.quick else 100)  # A server with a limit has some polls in reserve.
        await bench.durable(queue, "keep", Work(5, 10), burst=_BURST)
        for _ in range(rounds):
            for name, size in sizes.items():
                bare = await bench.bare(queue, _STEPS)
                strict = await bench.durable(queue, "keep", Work(_STEPS, size))
                burst = await bench.durable(queue, "keep", Work(_STEPS, size), burst=_BURST)
                for kind, run in zip(_KINDS, (bare, strict, burst), strict=True):
                    steps[f"{kind} {name}"].append(_step(run, in_burst=kind == "burst"))
                    whole[f"{kind} {name}"].append(_whole(run))
                    events[f"{kind} {name}"] = len(run.events)
                ratios[name].append(steps[f"bare {name}"][-1] / steps[f"burst {name}"][-1])
    for name in sizes:
        table.add(
            name,
            *(milliseconds(steps[f"{kind} {name}"]) for kind in _KINDS),
            round(median(ratios[name]), 2),
            *(milliseconds(whole[f"{kind} {name}"]) for kind in ("bare", "burst")),
            *(events[f"{kind} {name}"] for kind in _KINDS),
        )
    table.note(f"{rounds} rounds, in turns; the ratio is the median of the rounds' ratios.")
    table.goal_at_least("bare activity / superstep of a burst at 10 B", median(ratios["10 B"]), 10)
    table.goal("events of a run of one burst", events["burst 10 B"], 11)
    return table


def _step(run: Run, *, in_burst: bool) -> float:
    """Return the seconds that a step takes, without the first ones, which set up what later ones find."""
    if not in_burst:
        return mean(run.seconds_per_step())
    ended = [
        datetime.fromisoformat(record.at)
        for result in run.results
        for record in result.events
        if record.type == "superstep_completed" and record.at is not None
    ]
    return (ended[-1] - ended[1]).total_seconds() / (len(ended) - 2)


def _whole(run: Run) -> float:
    first, last = (run.events[index].event_time.ToNanoseconds() for index in (0, -1))
    return (last - first) / 1e9
