"""What fails: executors, workers, servers, answers; each its own error, and the thread stays usable."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import WorkflowEvent, WorkflowRunState
from agent_framework_temporal import (
    DurableWorkflow,
    NoWorkerError,
    PayloadError,
    RunCancelledError,
    RunTerminatedError,
    ServerUnreachableError,
    ThreadNotFoundError,
    WorkflowNotHostedError,
)
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

from tests.flows import LEDGER, Decision, Order, chain, echo, shop, sync
from tests.support import unique, worker


@workflow.defn(name="Other", sandboxed=False)
class Other:
    """A workflow that is not ours."""

    @workflow.run
    async def run(self) -> None:
        """Do nothing."""


_FAST = timedelta(milliseconds=50)


async def test_executor_is_retried_then_fails_as_in_process(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger"
    monkeypatch.setenv(LEDGER, str(ledger))
    async with worker(client, echo) as task_queue:
        durable = DurableWorkflow(
            echo, client=client, task_queue=task_queue, max_attempts=3, retry_initial_interval=_FAST
        )
        checkpoint = durable.checkpoint()
        await durable.run("one", checkpoint=checkpoint)
        events: list[WorkflowEvent[Any]] = []
        with pytest.raises(ValueError, match=r"^told to fail$"):
            async for event in durable.run_stream("fail", checkpoint=checkpoint):
                events.append(event)
        assert [event.type for event in events][-3:] == ["executor_failed", "failed", "status"]
        assert durable.status is WorkflowRunState.FAILED
        assert len(ledger.read_text().splitlines()) == 3
        # It is the same failure once more: the message in flight is part of the checkpoint that is resumed.
        with pytest.raises(ValueError, match="told to fail"):
            await durable.run(checkpoint=checkpoint)
        assert len(ledger.read_text().splitlines()) == 6
        assert (await durable.run("two", checkpoint=checkpoint)).get_outputs() == ["two 2"]


async def test_cancellation_reaches_the_executor(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger"
    monkeypatch.setenv(LEDGER, str(ledger))
    monkeypatch.setenv("TESTS_DELAY", "60")
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue, heartbeat_timeout=timedelta(seconds=2))
        checkpoint = durable.checkpoint()
        running = asyncio.ensure_future(durable.run("a", checkpoint=checkpoint))
        while not ledger.exists():
            await asyncio.sleep(0.05)
        await durable.cancel(checkpoint)
        with pytest.raises(RunCancelledError, match="was cancelled"):
            await running
        assert ledger.read_text().splitlines()[-1].endswith("cancelled first a")
        with pytest.raises(ThreadNotFoundError, match="no open run to cancel"):
            await durable.cancel(checkpoint)
        monkeypatch.setenv("TESTS_DELAY", "0")
        result = await durable.run("b", checkpoint=checkpoint)
        assert result.get_outputs() == ["b>first>second>third done"]


async def test_cancellation_that_a_superstep_outruns(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its activity ends before it hears of it: the run is cancelled all the same, and keeps what it committed."""
    monkeypatch.setenv("TESTS_DELAY", "1.5")
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue, heartbeat_timeout=timedelta(seconds=60))
        checkpoint = durable.checkpoint()
        running = asyncio.ensure_future(durable.run("a", checkpoint=checkpoint))
        while checkpoint.run_id is None:
            await asyncio.sleep(0.05)
        await durable.cancel(checkpoint)
        with pytest.raises(RunCancelledError, match="was cancelled"):
            await running
        monkeypatch.setenv("TESTS_DELAY", "0")
        result = await durable.run(checkpoint=checkpoint)
        assert result.get_outputs() == ["a>first>second>third done"]


async def test_terminated_run_resumes_from_its_last_checkpoint(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger"
    monkeypatch.setenv(LEDGER, str(ledger))
    monkeypatch.setenv("TESTS_DELAY", "0.5")
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        running = asyncio.ensure_future(durable.run("a", checkpoint=checkpoint))
        while not ledger.exists() or "begin third" not in ledger.read_text():
            await asyncio.sleep(0.05)
        await client.get_workflow_handle(checkpoint.thread_id).terminate(reason="by the test")
        with pytest.raises(RunTerminatedError, match="was terminated: by the test"):
            await running
        monkeypatch.setenv("TESTS_DELAY", "0")
        result = await durable.run(checkpoint=checkpoint)
        assert result.get_outputs() == ["a>first>second>third done"]
        ends = [line.split()[2] for line in ledger.read_text().splitlines() if " end " in line]
        assert sorted(set(ends)) == ["first", "fourth", "second", "third"]
        assert ends.count("first") == ends.count("second") == 1


async def test_superstep_timeout(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_DELAY", "30")
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(
            chain,
            client=client,
            task_queue=task_queue,
            superstep_timeout=timedelta(seconds=1),
            heartbeat_timeout=timedelta(seconds=1),
            max_attempts=1,
        )
        events: list[WorkflowEvent[Any]] = []
        with pytest.raises(TimeoutError, match="took longer than 1 seconds"):
            async for event in durable.run_stream("a"):
                events.append(event)
        assert [event.type for event in events][-3:] == ["executor_invoked", "failed", "status"]


async def test_synchronous_executor(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = tmp_path / "ledger"
    monkeypatch.setenv(LEDGER, str(ledger))
    async with worker(client, sync) as task_queue:
        durable = DurableWorkflow(sync, client=client, task_queue=task_queue)
        assert (await durable.run("a")).get_final_state() is WorkflowRunState.IDLE
        assert ledger.read_text().endswith("sync a\n")


async def test_wrong_answers_leave_the_request_pending(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        with pytest.raises(RuntimeError, match="No pending requests found"):
            await durable.run(responses={"approve-pen": True}, checkpoint=checkpoint)
        await durable.run([Order(item="pen"), Order(item="ink")], checkpoint=checkpoint)
        good = Decision(approved=True)
        with pytest.raises(ValueError, match="Response type mismatch for request ID approve-ink"):
            await durable.run(responses={"approve-pen": good, "approve-ink": "yes"}, checkpoint=checkpoint)
        with pytest.raises(ValueError, match="unknown request ID: approve-car"):
            await durable.run(responses={"approve-pen": good, "approve-car": good}, checkpoint=checkpoint)
        with pytest.raises(ValueError, match="'responses' is empty"):
            await durable.run(responses={}, checkpoint=checkpoint)
        with pytest.raises(PayloadError, match="response to request 'approve-pen'"):
            await durable.run(responses={"approve-pen": object()}, checkpoint=checkpoint)
        assert len(await durable.pending_requests(checkpoint)) == 2
        result = await durable.run(responses={"approve-pen": good, "approve-ink": good}, checkpoint=checkpoint)
        assert len(result.get_outputs()) == 2
        with pytest.raises(RuntimeError, match="No pending requests found"):
            await durable.run(responses={"approve-pen": good}, checkpoint=checkpoint)


async def test_answered_by_another(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run([Order(item="pen"), Order(item="ink")], checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        await handle.signal("respond", {"request_id": "approve-pen", "response": {"approved": True, "by": "ada"}})
        with pytest.raises(ValueError, match="approve-pen"):
            await durable.run(responses={"approve-pen": Decision(approved=False)}, checkpoint=checkpoint)
        result = await durable.run(responses={"approve-ink": Decision(approved=False)}, checkpoint=checkpoint)
        assert result.get_outputs() == ["ink refused by nobody, order 2"]


async def test_no_worker(client: Client) -> None:
    task_queue = unique("queue")
    durable = DurableWorkflow(echo, client=client, task_queue=task_queue, worker_timeout=timedelta(seconds=1))
    checkpoint = durable.checkpoint()
    with pytest.raises(NoWorkerError, match="No worker polls task queue"):
        await durable.run("one", checkpoint=checkpoint)
    with pytest.raises(NoWorkerError, match="No worker answers"):
        await durable.pending_requests(checkpoint)
    async with worker(client, echo, task_queue=task_queue):
        assert (await durable.run(checkpoint=checkpoint)).get_outputs() == ["one 1"]


async def test_worker_without_the_workflow(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        with pytest.raises(WorkflowNotHostedError, match=r"does not host workflow 'echo'; it hosts \['shop'\]"):
            await durable.run("one")
        named = DurableWorkflow("no-such-workflow", client=client, task_queue=task_queue)
        with pytest.raises(WorkflowNotHostedError, match="no-such-workflow"):
            await named.run("one")


async def test_worker_without_the_plugin(client: Client) -> None:
    task_queue = unique("queue")
    async with Worker(client, task_queue=task_queue, workflows=[Other]):
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        with pytest.raises(WorkflowNotHostedError, match="hosts no framework workflows"):
            await durable.run("one")


async def test_no_server() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    client = await Client.connect(address, lazy=True)
    durable = DurableWorkflow(echo, client=client, task_queue="none")
    with pytest.raises(ServerUnreachableError, match=f"no Temporal server answers at '{address}'"):
        await durable.run("one")


async def test_message_too_large(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        with pytest.raises(PayloadError, match="too large"):
            await durable.run("x" * 3_000_000)
