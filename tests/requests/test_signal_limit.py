"""A server that takes few signals for one run: what that does to a flood, and to those who answer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow, DurableWorkflowError
from agent_framework_temporal.adapter.client.queries import ThreadQueries
from agent_framework_temporal.workflows.messages import RunStatus
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from tests.conftest import local_server
from tests.requests import _hostile
from tests.requests._flows import Question, Reply, asker
from tests.requests.test_always_cancelled import Held, held
from tests.support import unique, worker

_LIMIT = 600


@pytest.fixture(scope="module")
async def strict() -> AsyncIterator[Client]:
    """A client of a server that takes 600 signals for a run."""
    async with await local_server(f"history.maximumSignalsPerExecution={_LIMIT}") as environment:
        yield environment.client


async def test_a_run_lives_and_continues_as_new_under_a_flood(strict: Client, tmp_path: Path) -> None:
    """What the server refuses makes room for what it takes only where no signal comes in: a continue-as-new."""
    async with worker(strict, asker) as task_queue:
        durable = DurableWorkflow(asker, client=strict, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many"), checkpoint=checkpoint)
        handle = strict.get_workflow_handle(checkpoint.thread_id)
        flood = itertools.islice(_hostile.signals(3, tmp_path / "executed"), 4_000)
        refused = 0

        async def send() -> None:
            nonlocal refused
            for name, arguments in flood:
                try:
                    await handle.signal(name, args=arguments)
                except RPCError as error:
                    assert "limit for signal events" in error.message
                    refused += 1
                    await asyncio.sleep(0.01)

        await asyncio.gather(*(send() for _ in range(16)))
        assert refused
        description = await handle.describe()
        assert description.status == WorkflowExecutionStatus.RUNNING
        result = await durable.run(responses={"q0": Reply(amount=2)}, checkpoint=checkpoint)
        assert result.get_outputs() == ["how many: 2"]
        first = strict.get_workflow_handle(checkpoint.thread_id, run_id=checkpoint.run_id)
        assert (await first.describe()).status in (
            WorkflowExecutionStatus.CONTINUED_AS_NEW,
            WorkflowExecutionStatus.COMPLETED,
        )


async def test_a_caller_waits_for_a_run_that_continues_as_new(strict: Client) -> None:
    task_queue = unique("queue")
    async with worker(strict, asker, task_queue=task_queue):
        durable = DurableWorkflow(asker, client=strict, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many"), checkpoint=checkpoint)
    handle = strict.get_workflow_handle(checkpoint.thread_id)
    with pytest.raises(RPCError, match="limit for signal events"):
        while True:
            await asyncio.gather(*(handle.signal("flood") for _ in range(50)))
    async with worker(strict, asker, task_queue=task_queue):
        result = await durable.run(responses={"q0": Reply(amount=2)}, checkpoint=checkpoint)
        assert result.get_outputs() == ["how many: 2"]


async def test_a_caller_is_told_of_a_run_that_cannot_yet(strict: Client) -> None:
    Held.begun, Held.go, Held.runs = asyncio.Event(), asyncio.Event(), []
    async with worker(strict, held) as task_queue:
        durable = DurableWorkflow(held, client=strict, task_queue=task_queue, worker_timeout=timedelta(seconds=2))
        checkpoint = durable.checkpoint()

        async def run() -> list[str]:
            return list((await durable.run("a", checkpoint=checkpoint)).get_outputs())

        running = asyncio.create_task(run())
        await asyncio.wait_for(Held.begun.wait(), 50)
        handle = strict.get_workflow_handle(checkpoint.thread_id)
        with pytest.raises(RPCError, match="limit for signal events"):
            while True:
                await asyncio.gather(*(handle.signal("flood") for _ in range(50)))
        other = DurableWorkflow(held, client=strict, task_queue=task_queue, worker_timeout=timedelta(seconds=2))
        with pytest.raises(DurableWorkflowError, match="continues as new when it next waits or its superstep ends"):
            await other.run(responses={"q": 1}, checkpoint=other.checkpoint(checkpoint.thread_id))
        Held.go.set()
        assert await running == ["a"]


async def test_a_run_that_continues_as_new_while_it_is_answered(
    strict: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller has asked the run where it stands, and it is over when the answer is sent."""
    async with worker(strict, asker) as task_queue:
        durable = DurableWorkflow(asker, client=strict, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many"), checkpoint=checkpoint)
        handle = strict.get_workflow_handle(checkpoint.thread_id)
        asked = ThreadQueries.status

        async def then_continued(self: ThreadQueries, thread_id: str, run_id: str | None) -> RunStatus:
            status = await asked(self, thread_id, run_id)
            monkeypatch.setattr(ThreadQueries, "status", asked)
            await handle.signal("other", "x" * 300_000)  # So much that it continues as new.
            while (await handle.describe()).run_id == status.run_id:
                await asyncio.sleep(0.05)
            return status

        monkeypatch.setattr(ThreadQueries, "status", then_continued)
        result = await durable.run(responses={"q0": Reply(amount=2)}, checkpoint=checkpoint)
        assert result.get_outputs() == ["how many: 2"]
