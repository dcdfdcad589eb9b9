"""Worker processes on several task queues, each killed in turn with SIGKILL, or absent for a while."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow, ExecutorPolicy, InDoubtError, LiveEventsDiscarded
from agent_framework_temporal.adapter.client.event_position import without_void
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.placement._flows import fan, research, speech
from tests.placement._ledger import Ledger
from tests.placement._workers import Workers, worker_processes
from tests.support import unique, worker

_SECOND = timedelta(seconds=1)
_ABSENT = 60.0 if os.environ.get("PLACEMENT") == "all" else 2.0
"""Seconds for which nobody polls a queue; `make placement` takes the minute."""
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


@pytest.fixture(scope="module")
async def workers(server: WorkflowEnvironment) -> AsyncIterator[Workers]:
    async with worker_processes(server.client) as found:
        yield found


async def test_two_processes_each_killed(client: Client, ledger: Ledger, workers: Workers) -> None:
    """What the other process has in hand is not begun again: the next attempt of the superstep takes it up."""
    main, gpu = unique("main"), unique("gpu")
    durable = _durable(fan, client, main, gpu_1=gpu, gpu_2=gpu)
    handle = durable.checkpoint()
    ledger.close("gpu-1")
    first = await workers.start(main, "fan", "!gpu-*")
    lost = await workers.start(gpu, "fan", "gpu-*")
    running = asyncio.ensure_future(durable.run("x", checkpoint=handle))
    for line in ("begin gpu-1", "end cpu-1", "end gpu-2"):
        await ledger.until(line)
    workers.kill(first)
    await workers.start(main, "fan", "!gpu-*")
    while (attempt := await durable.attempt(handle)) is None or (attempt.attempt, attempt.state) != (2, "running"):
        await asyncio.sleep(0.05)
    assert ledger.count("begin gpu-1") == 1
    workers.kill(lost)
    await workers.start(gpu, "fan", "gpu-*")
    await ledger.until("begin gpu-1", 2)
    ledger.open("gpu-1")
    assert sorted((await running).get_outputs()) == _OUTPUTS
    assert [ledger.count(f"begin {name}") for name in ("gpu-1", "gpu-2")] == [2, 1]
    assert [ledger.count(f"end {name}") for name in ("gpu-1", "gpu-2")] == [1, 1]


async def test_three_queues_at_once_each_killed(client: Client, ledger: Ledger, workers: Workers) -> None:
    """A fan-out over three queues takes as long as the longest: each begins before any has ended."""
    names = ("cpu-1", "gpu-1", "gpu-2")
    queues = {name: unique(name) for name in names}
    ledger.close(*names)
    async with worker(client, fan, executors=["start", "join"]) as main:
        durable = _durable(fan, client, main, **{name.replace("-", "_"): queue for name, queue in queues.items()})
        running = asyncio.ensure_future(durable.run("x"))
        for name, queue in queues.items():
            process = await workers.start(queue, "fan", name)
            await ledger.until(f"begin {name}")
            workers.kill(process)
            await workers.start(queue, "fan", name)
        for name in names:
            await ledger.until(f"begin {name}", 2)
        ledger.open(*names)
        assert sorted((await running).get_outputs()) == _OUTPUTS
    ended = [(float(begun), float(end)) for *_, begun, end in ledger.lines("end")]
    assert len(ended) == len({words[0] for words in ledger.lines("end")}) == 3
    assert max(begun for begun, _ in ended) < min(end for _, end in ended)


@pytest.mark.timeout(_ABSENT + 120)
async def test_worker_that_is_absent(client: Client, ledger: Ledger, workers: Workers) -> None:
    gpu = unique("gpu")
    async with worker(client, fan) as main:
        durable = _durable(fan, client, main, gpu_1=gpu)
        handle = durable.checkpoint()
        running = asyncio.ensure_future(durable.run("x", checkpoint=handle))
        await ledger.until("end gpu-2")
        await asyncio.sleep(_ABSENT)
        assert not running.done()
        assert ledger.count("begin gpu-1") == 0
        if _ABSENT > 30:
            attempt = await durable.attempt(handle)
            assert attempt is not None
            assert (attempt.attempt, attempt.waits_for) == (1, {"gpu-1": gpu})
        await workers.start(gpu, "fan", "gpu-*")
        assert sorted((await running).get_outputs()) == _OUTPUTS
    assert [ledger.count(f"begin {name}") for name in ("cpu-1", "gpu-1", "gpu-2")] == [1, 1, 1]


async def test_calls_of_a_killed_worker_are_not_made_again(client: Client, ledger: Ledger, workers: Workers) -> None:
    gpu = unique("gpu")
    ledger.close("topic-2")
    process = await workers.start(gpu, "research", "gpu-agent")
    async with worker(client, research) as main:
        durable = _durable(research, client, main, gpu_agent=gpu)
        handle = durable.checkpoint()
        running = asyncio.ensure_future(durable.run("x", checkpoint=handle))
        await ledger.until("model 2")
        await asyncio.sleep(0.3)
        workers.kill(process)
        ledger.open("topic-2")
        await workers.start(gpu, "research", "gpu-agent")
        (output,) = (await running).get_outputs()
        usage = await durable.usage(handle)
    assert output.text.startswith("found word0")
    assert [ledger.count(f"model {number}") for number in range(4)] == [1, 1, 1, 1]
    assert [ledger.count(f"look up {topic}") for topic in range(3)] == [1, 1, 1]
    assert usage.calls_taken["chat"] == 3


async def test_an_invocation_in_doubt(client: Client, ledger: Ledger, workers: Workers) -> None:
    """The rule for what is in doubt holds there: who has begun and was lost is not run again."""
    gpu = unique("gpu")
    ledger.close("gpu-1")
    process = await workers.start(gpu, "fan", "gpu-*")
    async with worker(client, fan) as main:
        policy = ExecutorPolicy(task_queue=gpu, in_doubt="error", heartbeat_timeout=_SECOND)
        durable = DurableWorkflow(fan, client=client, task_queue=main, executors={"gpu-1": policy})
        running = asyncio.ensure_future(durable.run("x"))
        await ledger.until("begin gpu-1")
        workers.kill(process)
        await workers.start(gpu, "fan", "gpu-*")
        with pytest.raises(InDoubtError, match="Executor 'gpu-1' had started in attempt 1"):
            await running
    assert ledger.count("begin gpu-1") == 1


async def test_words_of_a_killed_worker_are_taken_back(client: Client, ledger: Ledger, workers: Workers) -> None:
    """A reader is told that what the lost attempt had said is void; in the end each word is there once."""
    gpu, words = unique("gpu"), "one two three four"
    ledger.close("speaker-2")
    seen: list[Any] = []

    async def read() -> None:
        async for event in durable.run_stream(words):
            seen.append(event)

    process = await workers.start(gpu, "speech")
    async with worker(client, speech) as main:
        durable = _durable(speech, client, main, speaker=gpu)
        reading = asyncio.create_task(read())
        while [event.data for event in seen if event.type == "output"] != ["one", "two"]:
            await asyncio.sleep(0.02)
        workers.kill(process)
        ledger.open("speaker-2")
        await workers.start(gpu, "speech")
        await reading
    assert any(isinstance(event, LiveEventsDiscarded) for event in seen)
    assert [event.data for event in without_void(seen) if event.type == "output"] == words.split()
    assert ledger.count("begin speaker") == 2
