"""Ways to call the facade: what type checkers say of them, and what they do."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from typing import assert_type

import pytest
from agent_framework import ResponseStream, WorkflowEvent, WorkflowRunResult
from agent_framework_temporal import DurableOptions, DurableWorkflow, ThreadNotFoundError
from temporalio.client import Client

from tests.flows import Order, echo, shop
from tests.support import unique, worker


def _as_type_checkers_see_it(durable: DurableWorkflow, some: bool) -> None:
    """Never called: mypy holds it, over all tests."""
    assert_type(durable.run("a"), Awaitable[WorkflowRunResult])
    assert_type(durable.run("a", stream=False), Awaitable[WorkflowRunResult])
    assert_type(durable.run("a", stream=True), ResponseStream[WorkflowEvent, WorkflowRunResult])
    assert_type(
        durable.run("a", stream=some, include_status_events=True),
        ResponseStream[WorkflowEvent, WorkflowRunResult] | Awaitable[WorkflowRunResult],
    )


@pytest.mark.parametrize("some", [True, False])
async def test_whether_to_stream_can_be_a_variable(client: Client, some: bool) -> None:
    async with worker(client, echo) as queue:
        running = DurableWorkflow(echo, client=client, task_queue=queue).run("a", stream=some)
        assert isinstance(running, ResponseStream) is some
        result = await running.get_final_response() if isinstance(running, ResponseStream) else await running
        assert result.get_outputs() == ["a 1"]


async def test_a_thread_is_named_by_its_handle_or_its_id(client: Client) -> None:
    async with worker(client, shop) as queue:
        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        thread_id = unique("thread")
        handle = durable.checkpoint(thread_id)
        await durable.run(Order(item="pen"), checkpoint=thread_id)
        assert await durable.pending_requests(thread_id) == await durable.pending_requests(handle)
        assert await durable.checkpoints(thread_id) == await durable.checkpoints(handle)
        assert await durable.attempt(thread_id) is None
        waiting = [event async for event in durable.run_stream(checkpoint=thread_id) if event.type == "request_info"]
        assert [event.request_id for event in waiting] == ["approve-pen"]
        await durable.cancel_pending_requests(["approve-pen"], checkpoint=thread_id)
        with pytest.raises(ThreadNotFoundError):
            await durable.cancel(thread_id)
        with pytest.raises(ThreadNotFoundError):
            await durable.retry(thread_id)
    with pytest.raises(ValueError, match="thread_id"):
        durable.run("a", checkpoint="")


async def test_options_can_be_shared_and_changed(client: Client) -> None:
    shared = DurableOptions(max_attempts=1, worker_timeout=timedelta(seconds=30))
    async with worker(client, echo) as queue:
        durable = DurableWorkflow(echo, client=client, task_queue=queue, options=shared, supersteps_per_run=5)
        handle = durable.checkpoint()
        assert (await durable.run("a", checkpoint=handle)).get_outputs() == ["a 1"]
    run = client.get_workflow_handle(handle.thread_id)
    started = (await run.fetch_history()).events[0].workflow_execution_started_event_attributes
    (given,) = await client.data_converter.decode(started.input.payloads)
    assert (given["options"]["max_attempts"], given["options"]["supersteps_per_run"]) == (1, 5)
    with pytest.raises(ValueError, match="max_attempts"):
        DurableWorkflow(echo, client=client, task_queue="q", options=shared, max_attempts=0)
