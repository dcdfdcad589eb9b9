"""How many steps one worker does in a second, what each costs in CPU, and a strict superstep beside a bare activity."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from agent_framework_temporal import DurableWorkflow

from ._bare import BareWorkflow
from ._bench import SIZES, Bench, milliseconds
from ._flows import Carried, Work, carried, keep
from ._table import Table

_SIZE = 10_000
_SUPERSTEPS = 40


async def measure(bench: Bench) -> list[Table]:
    """Run many runs at once on one worker, then one superstep after another; each in turns with bare activities."""
    async with bench.worker() as queue:
        return [await _at_once(bench, queue), await _strict(bench, queue)]


@dataclass
class _Spent:
    """What one round took: seconds by the clock, and CPU of worker and client, and of the server."""

    seconds: float
    client_and_worker: float
    server: float


async def _at_once(bench: Bench, queue: str) -> Table:
    runs, rounds = (6, 1) if bench.quick else (60, 3)
    table = Table(
        f"(l) {runs} runs at once of {_SUPERSTEPS} supersteps with {_SIZE:,} B of state, one worker",
        ("", "steps a second", "CPU of worker and client, ms a step", "CPU of the server, ms a step"),
    )
    callers: dict[str, Callable[[Bench, str], Awaitable[None]]] = {"bare activities": _bare, "supersteps": _run}
    spent: dict[str, list[_Spent]] = defaultdict(list)
    for call in callers.values():  # What comes once, and the CPU that an idle server takes for new namespaces.
        await _round(bench, queue, call, 4)
    for _ in range(rounds):
        for name, call in callers.items():
            spent[name].append(await _round(bench, queue, call, runs))
    steps = runs * _SUPERSTEPS
    for name, found in spent.items():
        table.add(
            name,
            round(median(steps / one.seconds for one in found), 1),
            round(median(one.client_and_worker / steps for one in found) * 1_000, 2),
            round(median(one.server / steps for one in found) * 1_000, 2),
        )
    ratios = [
        bare.seconds / own.seconds for bare, own in zip(spent["bare activities"], spent["supersteps"], strict=True)
    ]
    ratio = round(median(ratios), 2)
    table.note(f"{rounds} rounds, in turns. Supersteps a second of bare steps a second, median of the rounds: {ratio}")
    table.note(f"goal: at least 0.80: {'met' if ratio >= 0.8 else 'MISSED'}")
    table.goal("CPU of worker and client, ms a superstep", table.rows[1][2], 5.0)
    return table


async def _round(bench: Bench, queue: str, call: Callable[[Bench, str], Awaitable[None]], runs: int) -> _Spent:
    worker, server = bench.processes[queue], _servers()
    before = (time.monotonic(), time.process_time() + _cpu(worker), sum(map(_cpu, server)))
    await asyncio.gather(*(call(bench, queue) for _ in range(runs)))
    after = (time.monotonic(), time.process_time() + _cpu(worker), sum(map(_cpu, server)))
    return _Spent(*(now - then for now, then in zip(after, before, strict=True)))


async def _bare(bench: Bench, queue: str) -> None:
    thread_id = f"bare-{uuid.uuid4().hex}"
    await bench.client.execute_workflow(BareWorkflow.run, _SUPERSTEPS, id=thread_id, task_queue=queue)


async def _run(bench: Bench, queue: str) -> None:
    durable = DurableWorkflow(keep, client=bench.client, task_queue=queue)
    await durable.run(Work(_SUPERSTEPS, _SIZE), checkpoint=durable.checkpoint())


def _servers() -> list[int]:
    """Return the process ids of the servers that this process has started, and of what they have."""
    children: dict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if b"start-dev" in _command(stat.parent):
            children[int(fields[1])].append(int(stat.parent.name))
    found, new = [], [os.getpid()]
    while new:
        new = [child for parent in new for child in children[parent]]
        found += new
    return found


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def _cpu(pid: int) -> float:
    """Return the seconds of CPU that a process has taken; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


_GOALS = {"10 B": 1.15, "100 KB": 1.3, "1 MB": 1.8}


async def _strict(bench: Bench, queue: str) -> Table:
    rounds, steps = (1, 6) if bench.quick else (9, 30)
    table = Table(
        "(m) a strict superstep and an activity that does nothing, ms (median)",
        ("state", "where", "bare activity", "superstep", "ratio"),
    )
    messages: dict[str, Callable[[int], tuple[str, Work | Carried]]] = {
        "shared state": lambda size: ("keep", Work(steps, size)),
        "the message": lambda size: ("carry", carried(steps, size)),
    }
    await bench.bare(queue, 5 if bench.quick else 100)
    bare: dict[tuple[str, str], list[float]] = defaultdict(list)
    own: dict[tuple[str, str], list[float]] = defaultdict(list)
    ratios: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(rounds):
        for size_name, size in SIZES.items():
            for where, message in messages.items():
                key = (size_name, where)
                plain = (await bench.bare(queue, steps)).seconds_per_step()
                strict = (await bench.durable(queue, *message(size))).seconds_per_step()
                bare[key] += plain
                own[key] += strict
                ratios[key].append(median(strict) / median(plain))
    for (size_name, where), found in ratios.items():
        key = (size_name, where)
        ratio = round(median(found), 2)
        table.add(size_name, where, milliseconds(bare[key]), milliseconds(own[key]), ratio)
        table.goal(f"ratio at {size_name} in {where}", ratio, _GOALS[size_name])
    table.note(f"{rounds} rounds of {steps} steps each, in turns; the ratio is the median of the rounds' ratios.")
    return table
