"""Policies of single executors, and what counts as an attempt of theirs."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow, ExecutorPolicy
from temporalio.client import Client

from tests.facade._failing import doomed, failing
from tests.flows import LEDGER
from tests.support import unique, worker, worker_process

_FAST = timedelta(milliseconds=20)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(LEDGER, str(tmp_path / "ledger"))
    return tmp_path / "ledger"


def _begun(ledger: Path, executor_id: str) -> int:
    return ledger.read_text().count(f"begin {executor_id}")


async def test_attempts_of_one_executor(client: Client, ledger: Path) -> None:
    policies = {
        "failing": ExecutorPolicy(max_attempts=4, retry_initial_interval=_FAST),
        "start": ExecutorPolicy(max_attempts=1),
    }
    async with worker(client, failing) as task_queue:
        durable = DurableWorkflow(failing, client=client, task_queue=task_queue, executors=policies)
        with pytest.raises(OSError, match="failing is down"):
            await durable.run("a")
    assert (_begun(ledger, "start"), _begun(ledger, "failing")) == (1, 4)


async def test_timeout_of_one_executor(client: Client, ledger: Path) -> None:
    policy = ExecutorPolicy(timeout=timedelta(seconds=0.3), max_attempts=2, retry_initial_interval=_FAST)
    async with worker(client, failing) as task_queue:
        durable = DurableWorkflow(failing, client=client, task_queue=task_queue, executors={"failing": policy})
        begun = time.monotonic()
        with pytest.raises(TimeoutError, match=r"^Executor 'failing' took longer than 0\.3 seconds\.$"):
            await durable.run("30")
        assert 0.6 < time.monotonic() - begun < 10
    assert _begun(ledger, "failing") == 2


async def test_lost_workers_are_no_attempts(client: Client, ledger: Path) -> None:
    task_queue = unique("queue")
    durable = DurableWorkflow(
        doomed,
        client=client,
        task_queue=task_queue,
        max_attempts=2,
        heartbeat_timeout=timedelta(seconds=1),
        retry_initial_interval=_FAST,
    )
    async with worker_process(client, task_queue, ledger, workflows=["tests.facade._failing:doomed"]) as first:
        running = asyncio.ensure_future(durable.run("a"))
        while not ledger.exists() or not _begun(ledger, "doomed"):
            await asyncio.sleep(0.02)
        first.kill()
        await first.wait()
        async with worker(client, doomed, task_queue=task_queue):
            with pytest.raises(OSError, match="doomed"):
                await running
    # One that was killed, and two that failed.
    assert _begun(ledger, "doomed") == 3


async def test_policy_for_an_executor_that_there_is_not(client: Client) -> None:
    durable = DurableWorkflow(failing, client=client, task_queue="none", executors={"faling": ExecutorPolicy()})
    with pytest.raises(ValueError, match=r"no executor 'faling'.*'failing', 'start'"):
        await durable.run("a")
