"""What a run has called and what that cost: what was spent is spent, and nothing counts twice."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from agent_framework import AgentResponse, add_usage_details
from agent_framework_temporal import DurableWorkflow, RunCancelledError, RunUsage, ThreadNotFoundError
from agent_framework_temporal.workflows.messages import RunFailure, RunResult, RunStatus
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from tests.journal._agents import FAIL, FAILED, research
from tests.journal._spending import EACH, STOPPED, Spending, silent, spending
from tests.support import unique, worker, worker_process

_FAST = timedelta(milliseconds=20)


@pytest.fixture(scope="session")
async def queue(client: Client) -> AsyncIterator[str]:
    async with worker(client, spending, silent, research) as task_queue:
        yield task_queue


def _costs(usage: RunUsage, calls: int, *, made: int, taken: int = 0, executors: int = 1) -> None:
    """Check what so many calls have cost."""
    assert usage.calls_made == ({"chat": made} if made else {})
    assert usage.calls_taken == ({"chat": taken} if taken else {})
    assert usage.usage == {
        "input_token_count": calls * EACH.input,
        "output_token_count": calls * EACH.output,
        "total_token_count": calls * EACH.total,
    }
    assert len(usage.executors) == executors


async def test_supersteps_are_summed_by_executor(client: Client, queue: str) -> None:
    durable = DurableWorkflow(spending, client=client, task_queue=queue)
    await durable.run(Spending(name=unique("spending"), rounds=2))
    usage = await durable.usage()
    _costs(usage, 12, made=12, executors=2)
    assert (usage.executors["first"]["total_token_count"], usage.executors["second"]["total_token_count"]) == (88, 44)
    # A message to an idle thread begins a run, which has a cost of its own.
    await durable.run(Spending(name=unique("spending"), calls=1))
    again = await durable.usage()
    assert again.run_id != usage.run_id
    _costs(again, 1, made=1)


async def test_the_result_says_it_to_any_client_of_temporal(client: Client, queue: str) -> None:
    durable = DurableWorkflow(spending, client=client, task_queue=queue)
    checkpoint = durable.checkpoint()
    await durable.run(Spending(name=unique("spending")), checkpoint=checkpoint)
    result = await client.get_workflow_handle(checkpoint.thread_id).result()
    assert result["calls"] == {
        "made": {"chat": 4},
        "tokens": {"first": {"input": 40, "output": 4, "total": 44}},
    }
    assert RunResult.model_validate(result).calls is not None


async def test_where_nothing_is_called_nothing_is_said(client: Client, queue: str) -> None:
    durable = DurableWorkflow(silent, client=client, task_queue=queue)
    checkpoint = durable.checkpoint()
    await durable.run("a", checkpoint=checkpoint)
    result = await client.get_workflow_handle(checkpoint.thread_id).result()
    assert "calls" not in result
    usage = await durable.usage(checkpoint)
    assert (usage.usage, usage.executors, usage.calls_made, usage.calls_taken) == ({}, {}, {}, {})
    with pytest.raises(ThreadNotFoundError, match="no usage to report"):
        await durable.usage(durable.checkpoint())


async def test_an_attempt_that_failed_counts_once(client: Client, queue: str) -> None:
    durable = DurableWorkflow(spending, client=client, task_queue=queue, retry_initial_interval=_FAST)
    await durable.run(Spending(name=unique("spending"), stops=((0, 3),)))
    _costs(await durable.usage(), 4, made=1, taken=3)


async def test_a_lost_worker_s_calls_count(client: Client, tmp_path: Path) -> None:
    task_queue, ledger = unique("queue"), tmp_path / "ledger"
    durable = DurableWorkflow(
        spending,
        client=client,
        task_queue=task_queue,
        heartbeat_timeout=timedelta(seconds=1),
        retry_initial_interval=_FAST,
    )
    given = Spending(name=unique("spending"), stops=((0, 3),), ending="kill")
    STOPPED[given.name] = 1  # In this process; the other one gets killed.
    async with worker_process(client, task_queue, ledger, workflows=["tests.journal._spending:spending"]) as killed:
        running = asyncio.ensure_future(durable.run(given))
        await killed.wait()
        async with worker(client, spending, task_queue=task_queue):
            await running
    _costs(await durable.usage(), 4, made=1, taken=3)
    assert [line.split(" ", 1)[1] for line in ledger.read_text().splitlines()] == ["call 0", "call 1", "call 2"]


async def test_a_run_that_failed_for_good_has_its_cost_and_the_next_one_its_own(client: Client, queue: str) -> None:
    durable = DurableWorkflow(spending, client=client, task_queue=queue, max_attempts=1)
    checkpoint = durable.checkpoint()
    given = Spending(name=unique("spending"), rounds=1, stops=((1, 3), (0, 2)))
    with pytest.raises(OSError, match="told to fail"):
        await durable.run(given, checkpoint=checkpoint)
    failed = await durable.usage(checkpoint)
    _costs(failed, 3, made=3)
    with pytest.raises(WorkflowFailureError) as raised:
        await client.get_workflow_handle(checkpoint.thread_id).result()
    assert isinstance(raised.value.cause, ApplicationError)
    failure = RunFailure.model_validate(raised.value.cause.details[0])
    assert failure.calls is not None
    assert failure.calls.tokens["first"].total == 33

    with pytest.raises(OSError, match="told to fail"):  # In the second executor's superstep, after 2 calls.
        await durable.run(checkpoint=checkpoint)
    resumed = await durable.usage(checkpoint)
    assert resumed.run_id != failed.run_id
    _costs(resumed, 1 + 2, made=1 + 2, taken=3, executors=2)
    await durable.run(checkpoint=checkpoint)
    _costs(await durable.usage(checkpoint), 2, made=2, taken=2)


async def test_a_retried_superstep_counts_what_it_takes_over_once(client: Client, queue: str) -> None:
    durable = DurableWorkflow(
        spending,
        client=client,
        task_queue=queue,
        pause_on_failure=True,
        max_attempts=2,
        retry_initial_interval=_FAST,
    )
    checkpoint = durable.checkpoint()
    # Two attempts, a pause, an attempt that fails once more, and one that does not.
    given = Spending(name=unique("spending"), calls=5, stops=((0, 2), (0, 3), (0, 4)))
    with pytest.raises(OSError, match="told to fail"):
        await durable.run(given, checkpoint=checkpoint)
    _costs(await durable.usage(checkpoint), 3, made=1, taken=2)
    status: RunStatus = await client.get_workflow_handle(checkpoint.thread_id).query("status", result_type=RunStatus)
    assert status.calls is not None
    assert (status.state, status.calls.made, status.calls.taken) == ("paused", {"chat": 1}, {"chat": 2})
    await durable.retry(checkpoint)
    await durable.run(checkpoint=checkpoint)
    _costs(await durable.usage(checkpoint), 5, made=1 + 1, taken=2 + 4)


async def test_a_run_that_goes_on_as_another_hands_it_on(client: Client, queue: str) -> None:
    durable = DurableWorkflow(spending, client=client, task_queue=queue, supersteps_per_run=1)
    checkpoint = durable.checkpoint()
    await durable.run(Spending(name=unique("spending"), calls=2, rounds=3), checkpoint=checkpoint)
    usage = await durable.usage(checkpoint)
    _costs(usage, 8, made=8, executors=2)
    first = (await client.get_workflow_handle(checkpoint.thread_id).describe()).raw_info.first_run_id
    assert usage.run_id != first


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
async def test_agents_cost_what_their_clients_report(client: Client, queue: str, stream: bool) -> None:
    """As much with an attempt that is lost as without, and as much as the framework adds up itself."""
    durable = DurableWorkflow(research, client=client, task_queue=queue, retry_initial_interval=_FAST)
    asked = unique(FAIL)
    FAILED[asked] = 1
    undisturbed = await _usage_of(durable, asked, stream=stream)
    assert (undisturbed.calls_made, undisturbed.calls_taken) == ({"chat": 4, "tool": 2}, {})
    del FAILED[asked]
    disturbed = await _usage_of(durable, asked, stream=stream)
    assert FAILED[asked] == 1
    assert (disturbed.calls_made, disturbed.calls_taken) == ({"chat": 2}, {"chat": 2, "tool": 2})
    assert (disturbed.usage, disturbed.executors) == (undisturbed.usage, undisturbed.executors)

    result = await research().run(asked)
    reported = [output.usage_details for output in result.get_outputs() if isinstance(output, AgentResponse)]
    assert reported
    assert undisturbed.usage == functools.reduce(add_usage_details, reported)


async def _usage_of(durable: DurableWorkflow, message: str, *, stream: bool) -> RunUsage:
    checkpoint = durable.checkpoint()
    if stream:
        await durable.run_stream(message, checkpoint=checkpoint).get_final_response()
    else:
        await durable.run(message, checkpoint=checkpoint)
    return await durable.usage(checkpoint)


async def test_it_is_seen_while_the_superstep_runs_and_after_the_run_was_ended(client: Client) -> None:
    task_queue = unique("queue")
    durable = DurableWorkflow(spending, client=client, task_queue=task_queue)
    checkpoint = durable.checkpoint()
    given = Spending(name=unique("spending"), rounds=1, stops=((0, 3),), ending="wait")
    async with worker(client, spending, task_queue=task_queue):
        running = asyncio.ensure_future(durable.run(given, checkpoint=checkpoint))
        async with asyncio.timeout(60):
            while not STOPPED[given.name]:
                await asyncio.sleep(0.05)
            while (attempt := await durable.attempt(checkpoint)) is None or attempt.calls_made != {"chat": 3}:
                await asyncio.sleep(0.05)
        assert attempt.usage == {"input_token_count": 30, "output_token_count": 3, "total_token_count": 33}
        _costs(await durable.usage(checkpoint), 7, made=7, executors=2)
        await durable.cancel(checkpoint)
        with pytest.raises(RunCancelledError):
            await running
    # By its history, which does not tell what a superstep had spent that was cancelled.
    _costs(await durable.usage(checkpoint), 4, made=4)


async def test_it_is_seen_without_a_worker(client: Client) -> None:
    task_queue = unique("queue")
    durable = DurableWorkflow(
        spending, client=client, task_queue=task_queue, pause_on_failure=True, max_attempts=1, supersteps_per_run=1
    )
    checkpoint = durable.checkpoint()
    given = Spending(name=unique("spending"), rounds=2, stops=((0, 3),))
    async with worker(client, spending, task_queue=task_queue):
        with pytest.raises(OSError, match="told to fail"):
            await durable.run(given, checkpoint=checkpoint)
        by_query = await durable.usage(checkpoint)
    _costs(by_query, 11, made=11, executors=2)
    name_only = DurableWorkflow("spending", client=client, task_queue=task_queue, worker_timeout=timedelta(seconds=1))
    assert await name_only.usage(checkpoint) == by_query
    await client.get_workflow_handle(checkpoint.thread_id).terminate()
    assert await durable.usage(checkpoint) == by_query
