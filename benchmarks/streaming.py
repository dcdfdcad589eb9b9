"""Live tokens against the SDK's workflow_streams, committed events to many readers, what an idle reader asks for."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from statistics import median, quantiles
from typing import Any

from agent_framework_temporal import Checkpoint, DurableWorkflow, position_of
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.contrib.workflow_streams import WorkflowStreamClient

from ._bare import TOPIC, PublishedWorkflow
from ._bench import Bench
from ._flows import Telling, tell
from ._table import Table

_TOKENS_A_SECOND = 25
_READERS = 50


async def measure(bench: Bench) -> list[Table]:
    """Run all on one worker process."""
    async with bench.worker() as queue:
        return [await _tokens(bench, queue), await _commits(bench, queue), await _idle(bench, queue)]


async def _tokens(bench: Bench, queue: str) -> Table:
    rounds, tokens = (1, 40) if bench.quick else (3, 300)
    table = Table(
        f"(f) live tokens, {_TOKENS_A_SECOND} a second, from the executor to the reader, ms",
        ("stream", "p50", "p95", "tokens", "history events per 1,000 tokens"),
    )
    ours: list[float] = []
    theirs: list[float] = []
    events = {"ours": 0, "theirs": 0}
    without = await _history_events(bench, await _follow(bench, queue, Telling(1, 1, 0), []))
    for _ in range(rounds):
        handle = await _follow(bench, queue, Telling(1, tokens, 1 / _TOKENS_A_SECOND), ours)
        events["ours"] += await _history_events(bench, handle) - without
        events["theirs"] += await _published(bench, queue, tokens, theirs)
    for name, times in (("live events", ours), ("workflow_streams, batches of 100 ms", theirs)):
        count = events["ours" if times is ours else "theirs"]
        table.add(name, *_spread(times), len(times), round(1_000 * count / (rounds * tokens)))
    table.goal("p50", _spread(ours)[0], 120)
    table.goal("p50 against theirs", _spread(ours)[0], _spread(theirs)[0])
    table.goal("history events per 1,000 tokens", round(1_000 * events["ours"] / (rounds * tokens)), 0)
    return table


async def _follow(bench: Bench, queue: str, telling: Telling, times: list[float]) -> Checkpoint:
    durable = DurableWorkflow(tell, client=bench.client, task_queue=queue)
    handle = durable.checkpoint()
    async for event in durable.run_stream(telling, checkpoint=handle):
        if event.type == "output":
            times.append(time.time() - event.data)
    return handle


async def _published(bench: Bench, queue: str, tokens: int, times: list[float]) -> int:
    """Read one published stream; returns the history events it took beyond a run of an activity."""
    name = f"published-{uuid.uuid4().hex}"
    run = await bench.client.start_workflow(
        PublishedWorkflow.run, args=[tokens, 1 / _TOKENS_A_SECOND], id=name, task_queue=queue
    )
    read = 0
    stream = WorkflowStreamClient.create(bench.client, name)
    async for item in stream.topic(TOPIC, type=float).subscribe():
        times.append(time.time() - item.data)
        read += 1
        if read == tokens:
            break
    await run.result()
    return (await run.describe()).history_length - 11


async def _history_events(bench: Bench, handle: Checkpoint) -> int:
    return (await bench.client.get_workflow_handle(handle.thread_id).describe()).history_length


async def _commits(bench: Bench, queue: str) -> Table:
    supersteps = 5 if bench.quick else 20
    table = Table(
        "(g) committed events, from the server's ActivityTaskCompleted to the reader, ms",
        ("readers, one run each", "p50", "p95", "supersteps read"),
    )
    for readers in (1, 5 if bench.quick else _READERS):
        # Slow enough that one worker keeps up with all of them, and too fast for live events.
        telling = Telling(supersteps, 1, 0.02 if readers == 1 else 1.0)
        found = await asyncio.gather(*(_committed(bench, queue, telling) for _ in range(readers)))
        times = [lag for each in found for lag in each]
        table.add(readers, *_spread(times), len(times))
        if readers == 1:
            table.goal("p50 of one reader", _spread(times)[0], 50)
    return table


async def _committed(bench: Bench, queue: str, telling: Telling) -> list[float]:
    durable = DurableWorkflow(tell, client=bench.client, task_queue=queue)
    handle = durable.checkpoint()
    seen: dict[int, float] = {}
    async for event in durable.run_stream(telling, checkpoint=handle):
        position = position_of(event)
        if event.type == "superstep_completed" and position is not None and position.superstep:
            seen[position.superstep] = time.time()
    committed = [
        event.event_time.ToNanoseconds() / 1e9
        async for event in bench.client.get_workflow_handle(handle.thread_id).fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
    ]
    return [seen[number] - at for number, at in enumerate(committed, start=1)]


async def _idle(bench: Bench, queue: str) -> Table:
    seconds = 4.0 if bench.quick else 30.0
    table = Table(
        f"(h) a reader of a run whose executor says nothing for {seconds:.0f} s, calls a minute",
        ("queries, which a worker answers", "long polls of history", "looks at the heartbeat", "history events"),
    )
    counted = _Counted(bench.client)
    durable = DurableWorkflow(tell, client=counted.client, task_queue=queue)
    handle = durable.checkpoint()
    stream = aiter(durable.run_stream(Telling(1, 1, seconds + 2), checkpoint=handle))
    while (await anext(stream)).type != "output":
        pass
    length = await _history_events(bench, handle)
    counted.reset()
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.wait([reading], timeout=seconds)
    calls = {name: round(count * 60 / seconds) for name, count in counted.calls.items()}
    events = await _history_events(bench, handle) - length
    table.add(
        calls.get("query_workflow", 0),
        calls.get("get_workflow_execution_history", 0),
        calls.get("describe_workflow_execution", 0),
        events,
    )
    table.goal("queries a minute", calls.get("query_workflow", 0), 0)
    await reading
    async for _ in stream:
        pass
    return table


class _Counted:
    """A client that counts its calls of the server, by name."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.calls: dict[str, int] = {}
        for name in ("query_workflow", "get_workflow_execution_history", "describe_workflow_execution"):
            self._count(name)

    def _count(self, name: str) -> None:
        service = self.client.workflow_service
        original: Any = getattr(service, name)

        async def counting(*arguments: Any, **options: Any) -> Any:
            self.calls[name] = self.calls.get(name, 0) + 1
            return await original(*arguments, **options)

        setattr(service, name, counting)

    def reset(self) -> None:
        self.calls.clear()


def _spread(seconds: Sequence[float]) -> tuple[float, float]:
    """Return p50 and p95 in milliseconds."""
    return round(1_000 * median(seconds), 1), round(1_000 * quantiles(seconds, n=20)[18], 1)
