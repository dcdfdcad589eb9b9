"""An executor that blocks the event loop is no lost worker; a worker that is lost or never comes back still is."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow, ExecutorPolicy, WorkerLostError
from temporalio.client import Client

from tests.facade._blocking import blocking, exiting, slow_to_save
from tests.flows import LEDGER, chain
from tests.support import unique, worker, worker_process

_FAST = timedelta(milliseconds=20)
_SECOND = timedelta(seconds=1)
_BLOCKING = ["tests.facade._blocking:blocking"]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger"
    monkeypatch.setenv(LEDGER, str(path))
    return path


def _count(ledger: Path, text: str) -> int:
    return sum(text in line for line in ledger.read_text().splitlines()) if ledger.exists() else 0


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "has blocked the event loop" in record.getMessage()]


async def test_a_blocked_superstep_runs_once_and_is_told_of_by_name(
    client: Client, ledger: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """For longer than the timeout and than the five seconds that the SDK's core adds to it."""
    caplog.set_level(logging.WARNING, "agent_framework_temporal")
    async with worker(client, blocking) as task_queue:
        durable = DurableWorkflow(blocking, client=client, task_queue=task_queue, heartbeat_timeout=_SECOND)
        for streamed in (False, True):
            checkpoint = durable.checkpoint()
            if streamed:
                outputs = [
                    event.data
                    async for event in durable.run_stream(8.0, checkpoint=checkpoint)
                    if event.type == "output"
                ]
            else:
                outputs = (await durable.run(8.0, checkpoint=checkpoint)).get_outputs()
            assert outputs == ["blocked for 8"]
            assert _count(ledger, "begin blocker") == 1 + streamed
    (warning,) = _warnings(caplog)
    assert warning.startswith("Executor 'blocker' of workflow 'blocking' has blocked the event loop for ")
    assert " s: use `asyncio.to_thread`. Other runs of this worker are stuck meanwhile." in warning
    assert "_blocking.py:" in warning


async def test_a_hook_that_blocks_is_told_of_as_its_superstep(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "agent_framework_temporal")
    async with worker(client, slow_to_save) as task_queue:
        durable = DurableWorkflow(slow_to_save, client=client, task_queue=task_queue, heartbeat_timeout=_SECOND)
        await durable.run(3.0)
    (warning,) = _warnings(caplog)
    assert warning.startswith("A superstep of workflow 'slow-to-save' has blocked the event loop for ")


async def test_a_worker_that_is_killed_while_it_blocks_is_lost(client: Client, ledger: Path) -> None:
    task_queue = unique("queue")
    async with worker_process(client, task_queue, ledger, workflows=_BLOCKING) as first:
        durable = DurableWorkflow(blocking, client=client, task_queue=task_queue, heartbeat_timeout=_SECOND)
        running = asyncio.ensure_future(durable.run(5.0))
        while not _count(ledger, "begin"):
            await asyncio.sleep(0.05)
        await asyncio.sleep(2)
        first.send_signal(signal.SIGKILL)
        await first.wait()
        async with worker_process(client, task_queue, ledger, workflows=_BLOCKING):
            assert (await running).get_outputs() == ["blocked for 5"]
    assert (_count(ledger, "begin"), _count(ledger, "end")) == (2, 1)


@pytest.mark.parametrize(
    ("attempts", "options", "text"),
    [
        (
            2,
            {"superstep_timeout": timedelta(seconds=2)},
            "The superstep took longer than 2 seconds.*by executor 'blocker'",
        ),
        (
            1,
            {"executors": {"blocker": ExecutorPolicy(timeout=_SECOND)}},
            "Executor 'blocker' took longer than 1 seconds.*`asyncio.to_thread`",
        ),
    ],
)
async def test_one_that_blocks_for_ever_ends_by_its_timeout(
    attempts: int, options: Mapping[str, object], text: str, client: Client, ledger: Path
) -> None:
    """As many attempts as for any other failure of an executor, each of which takes a worker with it."""
    task_queue = unique("queue")
    durable = DurableWorkflow(
        blocking,
        client=client,
        task_queue=task_queue,
        heartbeat_timeout=_SECOND,
        retry_initial_interval=_FAST,
        max_attempts=attempts,
        **options,  # type: ignore[arg-type]
    )
    running = asyncio.ensure_future(durable.run(600.0))
    async with AsyncExitStack() as stack:
        for _ in range(attempts + 1):
            # With room for more, a worker that stands still would go on taking supersteps, and lose them.
            process = worker_process(client, task_queue, ledger, workflows=_BLOCKING, flags=["--max-supersteps", "1"])
            await stack.enter_async_context(process)
        with pytest.raises(TimeoutError, match=text):
            await running
    assert _count(ledger, "begin") == attempts


async def test_workers_that_are_lost_are_counted(
    client: Client, ledger: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An executor that ends each process that runs it: a supervisor starts the next, so many times and no more."""
    task_queue, ended = unique("queue"), False

    async def supervise() -> None:
        while not ended:
            async with worker_process(
                client, task_queue, ledger, workflows=["tests.facade._blocking:exiting", "tests.flows:chain"]
            ) as process:
                while process.returncode is None and not ended:
                    await asyncio.sleep(0.05)

    supervisor = asyncio.create_task(supervise())
    durable = DurableWorkflow(
        exiting,
        client=client,
        task_queue=task_queue,
        heartbeat_timeout=_SECOND,
        max_worker_losses=3,
        retry_initial_interval=_FAST,
    )
    with pytest.raises(WorkerLostError, match="was lost 3 times"):
        await durable.run("a")
    assert _count(ledger, "begin exiter") == 3
    # The thread is none the worse, nor are the others.
    beside = DurableWorkflow(chain, client=client, task_queue=task_queue)
    assert (await beside.run("a")).get_outputs() == ["a>first>second>third done"]
    ended = True
    await supervisor


async def test_workers_that_stop_in_order_are_not(client: Client, ledger: Path) -> None:
    """Their grace is too short for the superstep, so that it is handed on, more often than workers may be lost."""
    task_queue = unique("queue")
    durable = DurableWorkflow(
        chain, client=client, task_queue=task_queue, max_worker_losses=1, retry_initial_interval=_FAST
    )
    running = asyncio.ensure_future(durable.run("a"))
    for number in range(1, 4):
        flags = ["--shutdown-timeout", "0.2"]
        async with worker_process(client, task_queue, ledger, delay=60, flags=flags) as process:
            while _count(ledger, "begin first") < number:
                await asyncio.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    async with worker_process(client, task_queue, ledger):
        assert (await running).get_outputs() == ["a>first>second>third done"]
    assert (_count(ledger, "begin first"), _count(ledger, "cancelled first")) == (4, 3)
