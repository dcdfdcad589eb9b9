"""How often a superstep is tried is shown: by the facade, the command line, the query and the Web UI's details."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow, RunCancelledError, SuperstepAttempt
from temporalio.client import Client

from tests.cli._commands import Commands
from tests.facade._failing import MENDED, failing
from tests.flows import LEDGER, chain
from tests.support import unique, worker, worker_process


async def _attempt(durable: DurableWorkflow, thread_id: str, number: int) -> SuperstepAttempt:
    while True:
        found = await durable.attempt(durable.checkpoint(thread_id))
        if found is not None and found.attempt == number:
            return found
        await asyncio.sleep(0.1)


async def test_an_attempt_that_waits_for_its_time(client: Client) -> None:
    cli = Commands(client.service_client.config.target_host)
    async with worker(client, failing) as task_queue:
        durable = DurableWorkflow(
            failing, client=client, task_queue=task_queue, retry_initial_interval=timedelta(seconds=50)
        )
        checkpoint = durable.checkpoint(unique("thread"))
        running = asyncio.ensure_future(durable.run("x", checkpoint=checkpoint))
        found = await _attempt(durable, checkpoint.thread_id, 2)
        assert (found.state, found.failures, found.worker_losses) == ("waiting", 1, 0)
        assert found.last_failure == "failing is down"
        assert found.worker == f"{os.getpid()}@{os.uname().nodename}"
        assert found.next_at is not None
        assert found.started_at is None
        told = (await cli("status", checkpoint.thread_id, "--json")).json["attempt"]
        assert (told["attempt"], told["failures"], told["last_failure"]) == (2, 1, "failing is down")
        text = (await cli("status", checkpoint.thread_id)).out
        assert "attempt        2 waiting, due in " in text
        assert "; before it 1 failed, 0 lost their worker" in " ".join(text.split())
        assert "last failure   failing is down\n" in text
        await durable.cancel(checkpoint)
        with pytest.raises(RunCancelledError):
            await running
        assert await durable.attempt(checkpoint) is None
        assert (await cli("status", checkpoint.thread_id, "--json")).json["attempt"] is None


async def test_an_attempt_after_a_lost_worker(client: Client, tmp_path: Path) -> None:
    ledger, task_queue = tmp_path / "ledger", unique("queue")
    durable = DurableWorkflow(chain, client=client, task_queue=task_queue, heartbeat_timeout=timedelta(seconds=1))
    checkpoint = durable.checkpoint(unique("thread"))
    assert await durable.attempt(checkpoint) is None
    running = asyncio.ensure_future(durable.run("a", checkpoint=checkpoint))
    async with worker_process(client, task_queue, ledger, delay=60) as first:
        while not ledger.exists():
            await asyncio.sleep(0.05)
        found = await _attempt(durable, checkpoint.thread_id, 1)
        assert (found.state, found.failures, found.worker_losses, found.last_failure) == ("running", 0, 0, None)
        assert found.worker is not None
        assert found.worker.startswith(f"{first.pid}@")
        first.send_signal(signal.SIGKILL)
        await first.wait()
    found = await _attempt(durable, checkpoint.thread_id, 2)
    assert (found.failures, found.worker_losses, found.last_failure) == (0, 1, "activity Heartbeat timeout")
    async with worker_process(client, task_queue, ledger):
        await running


async def test_what_a_superstep_has_taken(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LEDGER, str(tmp_path / "ledger"))
    async with worker(client, failing) as task_queue:
        durable = DurableWorkflow(
            failing, client=client, task_queue=task_queue, retry_initial_interval=timedelta(seconds=2)
        )
        checkpoint = durable.checkpoint(unique("thread"))
        running = asyncio.ensure_future(durable.run("x", checkpoint=checkpoint))
        await _attempt(durable, checkpoint.thread_id, 2)
        monkeypatch.setenv(MENDED, "1")
        assert (await running).get_outputs() == ["failing done"]
        handle = client.get_workflow_handle(checkpoint.thread_id)
        assert (await handle.query("status"))["attempts"] == 2
        details = (await handle.query("__temporal_workflow_metadata")).current_details
        assert "supersteps committed, the last one in attempt 2" in details
