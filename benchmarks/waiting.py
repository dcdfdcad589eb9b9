"""Runs that wait for people, on one worker: its memory, and the time from an answer to the superstep that takes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from statistics import median
from typing import Any

from agent_framework_temporal import DurableWorkflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from ._bench import Bench, milliseconds, resident
from ._flows import ask
from ._table import Table

_AT_ONCE = 20
_MEGABYTE = 1_000_000


async def measure(bench: Bench) -> list[Table]:
    """Let runs wait, answer some one by one and in turns with bare activities, then all others at once."""
    runs, timed = (12, 4) if bench.quick else (1_000, 100)
    table = Table(f"(g) {runs:,} runs that wait for an answer, one worker", ("", "measured"))
    async with bench.worker() as queue:
        await _ask(bench, queue, "warm-up")
        await bench.bare(queue, 30)
        before = resident(bench.processes[queue])
        handles = [handle for handle in await _all(_ask(bench, queue, str(number)) for number in range(runs))]
        waiting = resident(bench.processes[queue])
        bare: list[float] = []
        answered: list[float] = []
        ratios: list[float] = []
        # The oldest: what the worker has kept of them is what it kept longest.
        for number in range(timed):
            steps = (await bench.bare(queue, 8)).seconds_per_step()
            took = await _answer(handles[number], str(number))
            bare += steps
            answered.append(took)
            ratios.append(took / median(steps))
        await _all(_answer(handle, str(number)) for number, handle in list(enumerate(handles))[timed:])
        table.add("worker's memory before, MB", round(before / _MEGABYTE, 1))
        table.add("with all of them waiting, MB", round(waiting / _MEGABYTE, 1))
        table.add("for each run, KB", round((waiting - before) / runs / 1_000, 1))
        table.add("after all answers, MB", round(resident(bench.processes[queue]) / _MEGABYTE, 1))
        table.add("a bare activity step, ms (median)", milliseconds(bare))
        table.add("answer to the end of the superstep that takes it, ms (median)", milliseconds(answered))
        ratio = round(median(ratios), 2)
        table.add("their ratio (median)", ratio)
        table.goal("ratio", ratio, 2.0)
        table.note(f"Each of {runs:,} answers reached its run. {timed} were timed, each after 8 bare steps.")
    return [table]


async def _ask(bench: Bench, queue: str, text: str) -> WorkflowHandle[Any, Any]:
    durable = DurableWorkflow(ask, client=bench.client, task_queue=queue)
    checkpoint = durable.checkpoint()
    await durable.run(text, checkpoint=checkpoint)
    return bench.client.get_workflow_handle(checkpoint.thread_id)


async def _answer(handle: WorkflowHandle[Any, Any], text: str) -> float:
    """Answer a run; returns the seconds from the answer in its history to the end of the superstep that took it."""
    await handle.signal("respond", {"request_id": "answer", "response": f"answer {text}"})
    outputs = (await handle.result())["outputs"]
    assert outputs == [f"{text}: answer {text}"], outputs
    came = taken = 0.0
    async for event in handle.fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            came = event.event_time.ToNanoseconds() / 1e9
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            taken = event.event_time.ToNanoseconds() / 1e9
    return taken - came


async def _all(calls: Iterable[Awaitable[Any]]) -> list[Any]:
    """Await all calls, so many at once."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def limited(call: Awaitable[Any]) -> Any:
        async with free:
            return await call

    return await asyncio.gather(*(limited(call) for call in calls))
