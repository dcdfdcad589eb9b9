"""What a caller asks of the server for a superstep, by API: counted by the server."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterable, Awaitable, Callable

from agent_framework_temporal import DurableWorkflow

from ._bare import BareWorkflow
from ._bench import Bench
from ._flows import Telling, Work, keep, tell
from ._requests import ServedRequests
from ._table import Table

_SIZE = 10_000
_SUPERSTEPS = 40
_TOKENS = 25
_READERS = 100


async def measure(bench: Bench) -> list[Table]:
    """Count on a server of its own, which shows its metrics."""
    counter, arguments = ServedRequests.with_arguments()
    async with Bench.start(quick=bench.quick, arguments=arguments) as own, own.worker() as queue:
        await _run(own, queue)  # Asks once for the search attributes that there are.
        return [await _by_api(own, queue, counter), await _idle(own, queue, counter)]


async def _by_api(bench: Bench, queue: str, counter: ServedRequests) -> Table:
    table = Table(
        f"(i) requests to the server per superstep, runs of {_SUPERSTEPS} supersteps with {_SIZE:,} B of state",
        ("caller", "runs at once", "requests", "waits for history", "looks", "other"),
    )
    callers: dict[str, Callable[[Bench, str], Awaitable[None]]] = {
        "a plain Temporal workflow, `execute_workflow`": _bare,
        "`run()`": _run,
        "`run_stream()`": _stream,
    }
    for runs in (1,) if bench.quick else (1, 10):
        for name, call in callers.items():
            requests = await _count(table, name, runs, _SUPERSTEPS, counter, call, bench, queue)
            if runs == 1 and call is not _bare:
                table.goal(name, requests, 0.2 if call is _run else 1.1)
    supersteps = 2 if bench.quick else 5
    name = f"`run_stream()`, supersteps of {_TOKENS} tokens in a second"
    await _count(table, name, 1, supersteps, counter, _tokens(supersteps), bench, queue)
    return table


async def _count(
    table: Table,
    name: str,
    runs: int,
    supersteps: int,
    counter: ServedRequests,
    call: Callable[[Bench, str], Awaitable[None]],
    bench: Bench,
    queue: str,
) -> float:
    rounds: list[dict[str, int]] = []
    for _ in range(2):  # What else runs on the machine makes a superstep longer, and a caller looks more often then.
        await counter.since()
        await asyncio.gather(*(call(bench, queue) for _ in range(runs)))
        rounds.append(dict(await counter.since()))
    found = min(rounds, key=lambda counted: sum(counted.values()))
    per = {request: count / runs / supersteps for request, count in found.items()}
    waits, looks = per.get("PollWorkflowExecutionHistory", 0.0), per.get("DescribeWorkflowExecution", 0.0)
    requests = sum(per.values())
    table.add(name, runs, round(requests, 2), round(waits, 2), round(looks, 2), round(requests - waits - looks, 2))
    return round(requests, 2)


async def _bare(bench: Bench, queue: str) -> None:
    thread_id = f"bare-{uuid.uuid4().hex}"
    await bench.client.execute_workflow(BareWorkflow.run, _SUPERSTEPS, id=thread_id, task_queue=queue)


async def _run(bench: Bench, queue: str) -> None:
    durable = DurableWorkflow(keep, client=bench.client, task_queue=queue)
    await durable.run(Work(_SUPERSTEPS, _SIZE), checkpoint=durable.checkpoint())


async def _stream(bench: Bench, queue: str) -> None:
    durable = DurableWorkflow(keep, client=bench.client, task_queue=queue)
    async for _ in durable.run_stream(Work(_SUPERSTEPS, _SIZE), checkpoint=durable.checkpoint()):
        pass


def _tokens(supersteps: int) -> Callable[[Bench, str], Awaitable[None]]:
    async def stream(bench: Bench, queue: str) -> None:
        durable = DurableWorkflow(tell, client=bench.client, task_queue=queue)
        async for _ in durable.run_stream(Telling(supersteps, _TOKENS, 1 / _TOKENS), checkpoint=durable.checkpoint()):
            pass

    return stream


async def _idle(bench: Bench, queue: str, counter: ServedRequests) -> Table:
    readers, seconds = (10, 3.0) if bench.quick else (_READERS, 30.0)
    table = Table(
        f"(k) {readers} readers of one thread whose executor says nothing for {seconds:.0f} s, all in one process",
        ("readers", "requests a second, together", "history", "looks"),
    )
    first = DurableWorkflow(tell, client=bench.client, task_queue=queue)
    handle = first.checkpoint()
    begun = aiter(first.run_stream(Telling(1, 1, seconds + 8), checkpoint=handle))
    while (await anext(begun)).type != "output":
        pass
    reading = [asyncio.ensure_future(_follow(bench, queue, handle.thread_id)) for _ in range(readers - 1)]
    reading.append(asyncio.ensure_future(_rest(begun)))
    await asyncio.sleep(4.0)
    await counter.since()
    await asyncio.sleep(seconds)
    found = await counter.since()
    await asyncio.gather(*reading)
    table.add(
        readers,
        round(sum(found.values()) / seconds, 2),
        round(found["PollWorkflowExecutionHistory"] / seconds, 2),
        round(found["DescribeWorkflowExecution"] / seconds, 2),
    )
    table.goal("requests a second", round(sum(found.values()) / seconds, 2), 10)
    return table


async def _follow(bench: Bench, queue: str, thread_id: str) -> None:
    durable = DurableWorkflow(tell, client=bench.client, task_queue=queue)
    await _rest(durable.run_stream(checkpoint=durable.checkpoint(thread_id)))


async def _rest(events: AsyncIterable[object]) -> None:
    async for _ in events:
        pass
