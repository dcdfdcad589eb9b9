"""What an executor on a task queue of its own costs: time, history, requests of the server; live tokens from there."""

from __future__ import annotations

import time
from collections import Counter
from statistics import median

from agent_framework_temporal import DurableWorkflow, ExecutorPolicy

from ._bench import SIZES, Bench, Run, milliseconds
from ._flows import Spread, Telling, Work, keep, spread, tell
from ._requests import ServedRequests
from ._table import Table

_TOKENS_A_SECOND = 25
_HERE = "in the superstep"
_OTHER = "on a queue of its own"
_PLACES = {_HERE: None, _OTHER: 1}
"""Where the executors run, and the number of that worker."""


async def measure(bench: Bench) -> list[Table]:
    """Run all on a server of its own, whose requests are counted."""
    served, arguments = ServedRequests.with_arguments()
    async with Bench.start(quick=bench.quick, arguments=arguments) as own, own.workers((), (), (), ()) as queues:
        return [await _supersteps(own, queues, served), await _fan_out(own, queues), await _tokens(own, queues, served)]


def _policies(queues: list[str], place: int | None) -> dict[str, ExecutorPolicy] | None:
    return None if place is None else {"*": ExecutorPolicy(task_queue=queues[place])}


async def _supersteps(bench: Bench, queues: list[str], served: ServedRequests) -> Table:
    supersteps, rounds = (8, 1) if bench.quick else (20, 8)
    table = Table(
        f"(p) a superstep of one executor, {rounds} runs of {supersteps} each, in turns",
        ("state", "the executor runs", "ms (median)", "history events", "history bytes", "requests"),
    )
    for state, size in [*SIZES.items()][1 if bench.quick else 0 : 2]:
        seconds: dict[str, list[float]] = {where: [] for where in _PLACES}
        for _ in range(rounds):
            for where in _PLACES:
                run = await _keep(bench, queues, _PLACES[where], supersteps, size)
                seconds[where] += run.seconds_per_step()
        for where in _PLACES:
            await served.since()
            run = await _keep(bench, queues, _PLACES[where], supersteps, size)
            asked = sum((await served.since()).values())
            events, history = len(run.events) / supersteps, run.history_bytes / supersteps
            table.add(
                *(state, where, milliseconds(seconds[where])),
                *(round(events, 1), round(history), round(asked / supersteps, 1)),
            )
    table.note("Requests: of the facade, and of the superstep for its invocation; not what workers poll and report.")
    return table


async def _keep(bench: Bench, queues: list[str], place: int | None, supersteps: int, size: int) -> Run:
    durable = DurableWorkflow(keep, client=bench.client, task_queue=queues[0], executors=_policies(queues, place))
    handle = durable.checkpoint()
    await durable.run(Work(supersteps, size), checkpoint=handle)
    return await bench.finished(handle.thread_id)


async def _fan_out(bench: Bench, queues: list[str]) -> Table:
    seconds = 0.3 if bench.quick else 2.0
    table = Table(
        "(p) a fan-out over three task queues, of executors that take their time",
        ("queues", "the longest, s", "all three, s", "at once"),
    )
    names = ("one", "two", "three")
    policies = {name: ExecutorPolicy(task_queue=queue) for name, queue in zip(names, queues[1:], strict=True)}
    durable = DurableWorkflow(spread, client=bench.client, task_queue=queues[0], executors=policies)
    await durable.run(Spread(0.0))
    found = [tuple(output) for output in (await durable.run(Spread(seconds))).get_outputs()]
    longest = max(end - begun for begun, end in found)
    whole = max(end for _, end in found) - min(begun for begun, _ in found)
    at_once = max(begun for begun, _ in found) < min(end for _, end in found)
    table.add(len(found), longest, whole, "yes" if at_once else "no")
    table.goal("all three against the longest", whole / longest, 1.5)
    return table


async def _tokens(bench: Bench, queues: list[str], served: ServedRequests) -> Table:
    tokens = 40 if bench.quick else 300
    table = Table(
        f"(p) live tokens, {_TOKENS_A_SECOND} a second, from the executor to the reader, ms",
        ("the executor runs", "p50", "p95", "requests of its superstep a second"),
    )
    for where in (_HERE, _OTHER):
        durable = DurableWorkflow(
            tell, client=bench.client, task_queue=queues[0], executors=_policies(queues, _PLACES[where])
        )
        await served.since()
        begun, lags = time.monotonic(), []
        async for event in durable.run_stream(Telling(1, tokens, 1 / _TOKENS_A_SECOND)):
            if event.type == "output":
                lags.append(time.time() - event.data)
        took = time.monotonic() - begun
        asked: Counter[str] = await served.since()
        lags.sort()
        p50, p95 = (round(1_000 * lag, 1) for lag in (median(lags), lags[len(lags) * 95 // 100]))
        of_superstep = sum(count for name, count in asked.items() if name.endswith("ActivityExecution"))
        table.add(where, p50, p95, round(of_superstep / took, 1))
    return table
