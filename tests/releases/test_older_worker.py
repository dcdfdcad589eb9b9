"""A worker of this release meets what it cannot act on: it refuses it in words, and does not guess."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from agent_framework_temporal import AgentFrameworkPlugin, Checkpoint, DurableWorkflow
from agent_framework_temporal.adapter.temporal.server import MEMO_WORKFLOW_NAME
from agent_framework_temporal.workflows.messages import SUPERSTEP_ACTIVITY, WORKFLOW_TYPE
from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.flows import shop
from tests.releases._newer import facts
from tests.support import unique, worker

_PENDING: dict[str, Any] = {
    "request_id": "approve-pen",
    "thread_id": "any",
    "executor_id": "shop",
    "asked_at": "2030-01-01T00:00:00+00:00",
    "request_type": "any",
    "response_type": "any",
}


async def _started(client: Client, queue: str, **fields: Any) -> tuple[DurableWorkflow, Checkpoint]:
    """Start a run as any client in any language may."""
    durable = DurableWorkflow(shop, client=client, task_queue=queue, search_attributes=False)
    thread = durable.checkpoint()
    message = {"value": {"item": "pen"}, "type": "tests.flows:Order"}
    await client.start_workflow(
        WORKFLOW_TYPE,
        {"workflow_name": "shop", "mode": "message", "message": message, **fields},
        id=thread.thread_id,
        task_queue=queue,
        memo={MEMO_WORKFLOW_NAME: "shop"},
    )
    return durable, thread


async def _task_failure(client: Client, thread: Checkpoint) -> str:
    """Wait for a workflow task that fails; returns why."""
    run = client.get_workflow_handle(thread.thread_id)
    async for event in run.fetch_history_events(wait_new_event=True):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            return event.workflow_task_failed_event_attributes.failure.message
    raise AssertionError("no workflow task has failed")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mode": "teleport"}, "`mode`: 'teleport' is none of those that this release knows: 'message', "),
        (
            {"options": {"requests": {"*": {"deadline": 1, "on_deadline": "shrug"}}}},
            r"`options.requests.\*.on_deadline`: 'shrug' is none of those that this release knows: 'fail', ",
        ),
        ({"version": 2}, "`version`: A RunInput of version 2 was written by a newer release"),
    ],
    ids=["mode", "on-deadline", "version"],
)
async def test_a_start_that_only_a_newer_worker_understands(client: Client, fields: dict[str, Any], words: str) -> None:
    """It ends at once, in words: nobody is to wait for a worker that may never come."""
    async with worker(client, shop) as queue:
        _, thread = await _started(client, queue, **fields)
        with pytest.raises(WorkflowFailureError) as caught:
            await client.get_workflow_handle(thread.thread_id).result()
        assert isinstance(caught.value.cause, ApplicationError)
        assert re.search(f"The run cannot start: {words}.*pgrade", caught.value.cause.message)


async def test_values_and_fields_that_change_nothing(client: Client) -> None:
    """Of a newer client: what it adds may be ignored."""
    async with worker(client, shop) as queue:
        options = {"requests": {"*": {"remind_after": 3600, "escalate": "boss"}}, "urgency": "high"}
        durable, thread = await _started(client, queue, options=options, lesson={"of": "a newer release"}, version=0)
        result = await durable.run(checkpoint=thread)
        assert [request.request_id for request in result.get_request_info_events()] == ["approve-pen"]


@workflow.defn(name=WORKFLOW_TYPE, sandboxed=False)
class ContinuingWorkflow:
    """Goes on, as a newer release may, on a task queue of workers of this one."""

    @workflow.run
    async def run(self, task_queue: str, fields: dict[str, Any]) -> None:
        info = workflow.info()
        ref = {"thread_id": info.workflow_id, "run_id": info.run_id, "checkpoint_id": "c", "digest": "d"}
        continued = {"previous_run_id": info.run_id, "waiting": True, **fields.pop("continued", {})}
        run_input = {
            "workflow_name": "shop",
            "mode": "continue",
            "base": ref,
            "graph_hash": "g",
            **fields,
            "continued": continued,
        }
        workflow.continue_as_new(args=[run_input], task_queue=task_queue)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"version": 2}, "A RunInput of version 2 was written by a newer release"),
        ({"mode": "teleport"}, "A newer release has handed on `mode`: 'teleport' is none"),
        (
            {
                "continued": {
                    "pending": [{**_PENDING, "deadline": "2031-01-01T00:00:00+00:00", "on_deadline": "escalate"}],
                },
            },
            "A newer release has handed on `continued.pending.approve-pen.on_deadline`: 'escalate' is none",
        ),
    ],
    ids=["version", "mode", "on-deadline"],
)
async def test_a_run_of_a_newer_release_is_left_to_a_newer_worker(
    client: Client, fields: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    newer = unique("newer")
    newer_worker = Worker(
        client, task_queue=newer, workflows=[ContinuingWorkflow], workflow_runner=UnsandboxedWorkflowRunner()
    )
    async with worker(client, shop) as queue, newer_worker:
        durable = DurableWorkflow(shop, client=client, task_queue=queue, search_attributes=False)
        thread = durable.checkpoint()
        await client.start_workflow(
            WORKFLOW_TYPE,
            args=[queue, fields],
            id=thread.thread_id,
            task_queue=newer,
            memo={MEMO_WORKFLOW_NAME: "shop"},
        )
        while (await client.get_workflow_handle(thread.thread_id).describe()).task_queue != queue:
            await asyncio.sleep(0.05)
        assert words in await _task_failure(client, thread)
        description = await client.get_workflow_handle(thread.thread_id).describe()
        assert description.status == WorkflowExecutionStatus.RUNNING
        # Whoever follows it is told, and waits for a worker that can run it.
        with caplog.at_level(logging.WARNING, "agent_framework_temporal"):
            following = asyncio.ensure_future(durable.run(checkpoint=thread))
            async with asyncio.timeout(60):
                while words not in caplog.text:
                    await asyncio.sleep(0.05)
            following.cancel()
        await client.get_workflow_handle(thread.thread_id).terminate()


@asynccontextmanager
async def _workflow_worker(client: Client, result: dict[str, Any]) -> AsyncIterator[str]:
    """Run a worker with this release's workflow and the activity of another."""

    @activity.defn(name=SUPERSTEP_ACTIVITY)
    async def superstep(step: dict[str, Any]) -> dict[str, Any]:
        return {"checkpoint": facts(0), **result, "answers": step["superstep_id"]}

    queue = unique("queue")
    async with Worker(client, task_queue=queue, activities=[superstep], plugins=[AgentFrameworkPlugin()]):
        yield queue


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"state": "draining"}, "ended in state 'draining', as only a newer release"),
        ({"state": "running", "version": 2}, "A SuperstepResult of version 2 was written by a newer release"),
    ],
)
async def test_a_superstep_of_a_newer_release(client: Client, result: dict[str, Any], words: str) -> None:
    async with _workflow_worker(client, result) as queue:
        _, thread = await _started(client, queue)
        assert words in await _task_failure(client, thread)
        assert (await client.get_workflow_handle(thread.thread_id).describe()).status == WorkflowExecutionStatus.RUNNING
        await client.get_workflow_handle(thread.thread_id).terminate()


@workflow.defn(sandboxed=False)
class Scheduler:
    """Schedules a superstep as a newer release may, on a worker of this one."""

    @workflow.run
    async def run(self, task_queue: str, step: dict[str, Any]) -> str:
        try:
            await workflow.execute_activity(
                SUPERSTEP_ACTIVITY,
                step,
                task_queue=task_queue,
                start_to_close_timeout=timedelta(minutes=1),
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        except ActivityError as error:
            assert isinstance(error.cause, ApplicationError)
            # Another worker may take it.
            return f"{error.cause.non_retryable} {error.cause.message} {error.cause.cause}"
        return "it ran"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mode": "teleport"}, "does not know supersteps of mode 'teleport', which a newer release"),
        ({"mode": "message", "version": 2}, "A SuperstepInput of version 2 was written by a newer release"),
    ],
)
async def test_a_superstep_for_a_newer_release(client: Client, fields: dict[str, Any], words: str) -> None:
    queue = unique("scheduling")
    scheduling = Worker(client, task_queue=queue, workflows=[Scheduler], workflow_runner=UnsandboxedWorkflowRunner())
    async with worker(client, shop) as hosting, scheduling:
        told = await client.execute_workflow(
            Scheduler.run, args=[hosting, {"workflow_name": "shop", **fields}], id=unique("scheduler"), task_queue=queue
        )
    assert told.startswith("False ")
    assert words in told
