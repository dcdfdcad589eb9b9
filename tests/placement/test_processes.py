"""Worker processes on several task queues, each killed in turn with SIGKILL, or absent for a while."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow, ExecutorPolicy, LiveEventsDiscarded
from agent_framework_temporal.adapter.client.event_position import without_void
from temporalio.client import Client

from tests.placement._flows import fan, research, speech
from tests.placement._ledger import Ledger
from tests.support import unique, worker, worker_process

_SECOND = timedelta(seconds=1)
_ABSENT = 60.0 if os.environ.get("PLACEMENT") == "all" else 2.0
"""Seconds for which nobody polls a queue; `make placement` takes the minute."""
_FAN, _RESEARCH, _SPEECH = (f"tests.placement._flows:{name}" for name in ("fan", "research", "speech"))
_OUTPUTS = [
    "cpu-1(x) gpu-1(x) gpu-2(x) x#1 x#1 x#1",
    "cpu-1:1:model of cpu-1",
    "gpu-1:1:model of gpu-1",
    "gpu-2:1:model of gpu-2",
]


def _durable(source: Any, client: Client, task_queue: str, **policies: str) -> DurableWorkflow:
    return DurableWorkflow(
        source,
        client=client,
        task_queue=task_queue,
        heartbeat_timeout=_SECOND,
        retry_initial_interval=timedelta(milliseconds=20),
        executors={name.replace("_", "-"): ExecutorPolicy(task_queue=queue) for name, queue in policies.items()},
    )


@asynccontextmanager
async def _processes(client: Client, *queues: str, workflow: str = _FAN) -> AsyncIterator[list[Process]]:
    """Run a worker process on each task queue; they start together, as that takes most of the time."""
    async with AsyncExitStack() as stack:
        yield await asyncio.gather(
            *(
                stack.enter_async_context(
                    worker_process(client, queue, workflows=[workflow], flags=[f"--executors={_taken(queue)}"])
                )
                for queue in queues
            )
        )


def _taken(task_queue: str) -> str:
    """Return the executors that a worker takes, by the name of its queue: the main one all that have none."""
    name = task_queue.rpartition("-")[0]
    return "*" if name == "all" else "!gpu-*" if name == "main" else name


async def _kill(process: Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.wait()


def _of(ledger: Ledger, processes: list[Process], text: str) -> Process:
    """Return the process that has noted something."""
    pid = int(ledger.lines(text)[0][0])
    return next(process for process in processes if process.pid == pid)


async def test_two_processes_each_killed(client: Client, ledger: Ledger) -> None:
    """What the other process has in hand is not begun again: the next attempt of the superstep takes it up."""
    main, gpu = unique("main"), unique("gpu-*")
    durable = _durable(fan, client, main, gpu_1=gpu, gpu_2=gpu)
    ledger.close("gpu-1")
    async with _processes(client, main, gpu) as (first, lost):
        running = asyncio.create_task(durable.run("x"))
        await ledger.until("begin gpu-1")
        await ledger.until("end cpu-1")
        await ledger.until("end gpu-2")
        await _kill(first)
        async with _processes(client, main, gpu):
            await asyncio.sleep(1.5)  # The second attempt of the superstep, which takes up what runs.
            assert ledger.count("begin gpu-1") == 1
            await _kill(lost)
            await ledger.until("begin gpu-1", 2)
            ledger.open("gpu-1")
            assert sorted((await running).get_outputs()) == _OUTPUTS
    assert [ledger.count(f"begin {name}") for name in ("gpu-1", "gpu-2")] == [2, 1]
    assert [ledger.count(f"end {name}") for name in ("gpu-1", "gpu-2")] == [1, 1]


async def test_three_queues_at_once_each_killed(client: Client, ledger: Ledger) -> None:
    """A fan-out over three queues takes as long as the longest: each begins before any has ended."""
    names = ("cpu-1", "gpu-1", "gpu-2")
    queues = {name: unique(name) for name in names}
    ledger.close(*names)
    async with worker(client, fan, executors=["start", "join"]) as main:
        durable = _durable(fan, client, main, **{name.replace("-", "_"): queue for name, queue in queues.items()})
        async with _processes(client, *queues.values()) as lost:
            running = asyncio.create_task(durable.run("x"))
            for name, process in zip(names, lost, strict=True):
                await ledger.until(f"begin {name}")
                await _kill(process)
        async with _processes(client, *queues.values()):
            for name in names:
                await ledger.until(f"begin {name}", 2)
            ledger.open(*names)
            assert sorted((await running).get_outputs()) == _OUTPUTS
    ended = [(float(begun), float(end)) for *_, begun, end in ledger.lines("end")]
    assert len(ended) == len({words[0] for words in ledger.lines("end")}) == 3
    assert max(begun for begun, _ in ended) < min(end for _, end in ended)


@pytest.mark.timeout(_ABSENT + 120)
async def test_worker_that_is_absent(client: Client, ledger: Ledger) -> None:
    gpu = unique("gpu-*")
    async with worker(client, fan) as main:
        durable = _durable(fan, client, main, gpu_1=gpu)
        handle = durable.checkpoint()
        running = asyncio.create_task(durable.run("x", checkpoint=handle))
        await ledger.until("end gpu-2")
        await asyncio.sleep(_ABSENT)
        assert not running.done()
        assert ledger.count("begin gpu-1") == 0
        if _ABSENT > 30:
            attempt = await durable.attempt(handle)
            assert attempt is not None
            assert (attempt.attempt, attempt.waits_for) == (1, {"gpu-1": gpu})
        async with _processes(client, gpu):
            outputs = [output for output in (await running).get_outputs() if not output.startswith("Executor")]
    assert sorted(outputs) == _OUTPUTS
    assert [ledger.count(f"begin {name}") for name in ("cpu-1", "gpu-1", "gpu-2")] == [1, 1, 1]


async def test_calls_of_a_killed_worker_are_not_made_again(client: Client, ledger: Ledger) -> None:
    gpu = unique("gpu-agent")
    ledger.close("topic-2")
    async with worker(client, research) as main, _processes(client, gpu, gpu, workflow=_RESEARCH) as processes:
        durable = _durable(research, client, main, gpu_agent=gpu)
        handle = durable.checkpoint()
        running = asyncio.create_task(durable.run("x", checkpoint=handle))
        await ledger.until("model 2")
        await asyncio.sleep(0.3)
        await _kill(_of(ledger, processes, "model"))
        ledger.open("topic-2")
        (output,) = (await running).get_outputs()
        usage = await durable.usage(handle)
    assert output.text.startswith("found word0")
    assert [ledger.count(f"model {number}") for number in range(4)] == [1, 1, 1, 1]
    assert [ledger.count(f"look up {topic}") for topic in range(3)] == [1, 1, 1]
    assert usage.calls_taken["chat"] == 3


async def test_words_of_a_killed_worker_are_taken_back(client: Client, ledger: Ledger) -> None:
    """A reader is told that what the lost attempt had said is void; in the end each word is there once."""
    gpu, words = unique("speaker"), "one two three four"
    ledger.close("speaker-2")
    seen: list[Any] = []

    async def read() -> None:
        async for event in durable.run_stream(words):
            seen.append(event)

    async with worker(client, speech) as main, _processes(client, gpu, gpu, workflow=_SPEECH) as processes:
        durable = _durable(speech, client, main, speaker=gpu)
        reading = asyncio.create_task(read())
        while [event.data for event in seen if event.type == "output"] != ["one", "two"]:
            await asyncio.sleep(0.02)
        await _kill(_of(ledger, processes, "begin speaker"))
        ledger.open("speaker-2")
        await reading
    assert any(isinstance(event, LiveEventsDiscarded) for event in seen)
    assert [event.data for event in without_void(seen) if event.type == "output"] == words.split()
    assert ledger.count("begin speaker") == 2
