"""What readers cost the server, counted by its own metrics: no noise of the machine touches that."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Never

import pytest
from agent_framework import (
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowEvent,
    WorkflowRunState,
    handler,
    response_handler,
)
from agent_framework_temporal import DurableWorkflow, position_of
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from benchmarks._requests import ServedRequests
from tests.conftest import temporal_binary
from tests.flows import countdown
from tests.support import unique, worker

_SUPERSTEPS = 40


class _Asker(Executor):
    """Counts down, and asks at the end."""

    @handler
    async def count(self, number: int, ctx: WorkflowContext[int]) -> None:
        if number:
            await ctx.send_message(number - 1)
        else:
            await ctx.request_info("more?", str, request_id="more")

    @response_handler
    async def told(self, question: str, answer: str, ctx: WorkflowContext[Never, str]) -> None:
        await ctx.yield_output(answer)


def asking() -> Workflow:
    """Build a loop that could ask at any time, and does at its end."""
    tick, tock = _Asker(id="tick"), _Asker(id="tock")
    builder = WorkflowBuilder(name="asking", start_executor=tick, max_iterations=1_000)
    return builder.add_edge(tick, tock).add_edge(tock, tick).build()


class _Sleeper(Executor):
    """Says something, and then nothing for a while, so many times."""

    @handler
    async def sleep(self, times: int, ctx: WorkflowContext[int, int]) -> None:
        await ctx.yield_output(times)
        await asyncio.sleep(1.0 if times > 1 else 8.0)
        if times > 1:
            await ctx.send_message(times - 1)


def sleeping() -> Workflow:
    """Build the workflow of few supersteps that last."""
    one, two = _Sleeper(id="one"), _Sleeper(id="two")
    return WorkflowBuilder(name="sleeping", start_executor=one).add_edge(one, two).add_edge(two, one).build()


@pytest.fixture(scope="module")
async def counted() -> AsyncIterator[tuple[Client, ServedRequests]]:
    """Start a server that shows its metrics; one call has been made, which asks for what a facade asks once."""
    counter, arguments = ServedRequests.with_arguments()
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(),
        dev_server_log_level="error",
        dev_server_extra_args=["--dynamic-config-value", "history.transferProcessorMaxPollRPS=2000", *arguments],
    )
    async with environment:
        async with worker(environment.client, countdown) as task_queue:
            await DurableWorkflow(countdown, client=environment.client, task_queue=task_queue).run(1)
        yield environment.client, counter


async def _per_superstep(counter: ServedRequests, supersteps: int = _SUPERSTEPS) -> float:
    found = await counter.since()
    print(found)
    return sum(found.values()) / supersteps


async def test_a_run_costs_what_a_bare_caller_costs(counted: tuple[Client, ServedRequests]) -> None:
    client, counter = counted
    async with worker(client, countdown) as task_queue:
        durable = DurableWorkflow(countdown, client=client, task_queue=task_queue)
        await counter.since()
        result = await durable.run(_SUPERSTEPS - 1)
        assert await _per_superstep(counter) <= 0.2
        assert len(result.get_outputs()) == _SUPERSTEPS


async def test_a_run_that_may_ask_looks_a_few_times_a_second(counted: tuple[Client, ServedRequests]) -> None:
    """It returns when it waits, and what is then pending can be answered."""
    client, counter = counted
    async with worker(client, asking) as task_queue:
        durable = DurableWorkflow(asking, client=client, task_queue=task_queue)
        await counter.since()
        begun = asyncio.get_running_loop().time()
        result = await durable.run(_SUPERSTEPS - 1)
        seconds = asyncio.get_running_loop().time() - begun
        assert sum((await counter.since()).values()) <= 12 + 5 * seconds
        assert result.get_final_state() == WorkflowRunState.IDLE_WITH_PENDING_REQUESTS
        assert (await durable.run(responses={"more": "no"})).get_outputs() == ["no"]


async def test_a_stream_costs_a_request_a_superstep(counted: tuple[Client, ServedRequests]) -> None:
    client, counter = counted
    async with worker(client, countdown) as task_queue:
        durable = DurableWorkflow(countdown, client=client, task_queue=task_queue)
        await counter.since()
        events = [event async for event in durable.run_stream(_SUPERSTEPS - 1)]
        assert await _per_superstep(counter) <= 1.1
        offsets = [position.offset for event in events if (position := position_of(event)) is not None]
        assert offsets == list(range(len(offsets)))
        assert len([event for event in events if event.type == "superstep_completed"]) == _SUPERSTEPS


async def test_many_readers_of_a_thread_cost_what_one_costs(counted: tuple[Client, ServedRequests]) -> None:
    """Those that come later, too; and each is given everything, in its order, whenever it came."""
    client, counter = counted
    async with worker(client, sleeping) as task_queue:
        thread_id = unique("many")
        first = DurableWorkflow(sleeping, client=client, task_queue=task_queue)
        reading = [asyncio.ensure_future(_read(first.run_stream(3, checkpoint=first.checkpoint(thread_id))))]
        await asyncio.sleep(1.2)
        for _ in range(99):
            durable = DurableWorkflow(sleeping, client=client, task_queue=task_queue)
            stream = durable.run_stream(checkpoint=durable.checkpoint(thread_id), after=-1)
            reading.append(asyncio.ensure_future(_read(stream)))
        await asyncio.sleep(2.5)
        begun = asyncio.get_running_loop().time()
        await counter.since()
        await asyncio.sleep(2.0)
        found: Counter[str] = await counter.since()
        assert sum(found.values()) <= 10 * (asyncio.get_running_loop().time() - begun)
        assert found["DescribeWorkflowExecution"], "the live events are looked at"
        every = await asyncio.gather(*reading)
        assert all(events == every[0] for events in every)
        assert every[0].count("superstep_completed") == 3


async def _read(stream: Any) -> list[str]:
    events: list[WorkflowEvent[Any]] = [event async for event in stream]
    return [event.type for event in events]
