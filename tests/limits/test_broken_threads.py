"""A thread that holds what nobody can read, from an older worker or from somebody else, is read around it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from agent_framework import WorkflowEvent
from agent_framework_temporal import (
    AgentFrameworkPlugin,
    DurableWorkflow,
    DurableWorkflowError,
)
from agent_framework_temporal.adapter.temporal.converter import FramedPayloadConverter
from agent_framework_temporal.workflows.messages import (
    LiveWindow,
    RunFailure,
    RunResult,
    SuperstepResult,
)
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor, Worker

from tests.limits._odd import echo, nested, odd
from tests.support import unique

_CONVERTER = FramedPayloadConverter()


class Tampering(Interceptor):
    """Changes what supersteps report, as a worker without limits, or somebody else, would have reported it."""

    def __init__(self, change: Callable[[dict[str, Any]], None]) -> None:
        self.change: Callable[[dict[str, Any]], None] | None = change

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        tampering = self

        class Inbound(ActivityInboundInterceptor):
            async def execute_activity(self, input: ExecuteActivityInput) -> Any:
                try:
                    return tampering.raw(await self.next.execute_activity(input))
                except ApplicationError as error:
                    if tampering.change is not None and error.details:
                        raise ApplicationError(
                            error.message, tampering.raw(error.details[0]), type=error.type, non_retryable=True
                        ) from None
                    raise

        return Inbound(next)

    def raw(self, report: Any) -> Any:
        """Return a report as it lies in history."""
        if self.change is None:
            return report
        (payload,) = _CONVERTER.to_payloads([report])
        content = json.loads(payload.data)
        self.change(content)
        changed = Payload(metadata=payload.metadata, data=_dumps(content))
        return RawValue(changed)


def _dumps(value: Any) -> bytes:
    """Write JSON of any depth and with any integer."""
    if isinstance(value, dict):
        return b"{" + b", ".join(json.dumps(key).encode() + b": " + _dumps(item) for key, item in value.items()) + b"}"
    if isinstance(value, list):
        return b"[" + b", ".join(map(_dumps, value)) + b"]"
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def _deep(content: dict[str, Any]) -> None:
    for record in content["events"]:
        if record["type"] in ("output", "request_info"):
            record["data"] = b"[" * 240 + b"]" * 240
    for request in content.get("pending", ()):
        request["request"] = b"[" * 240 + b"]" * 240


def _long(content: dict[str, Any]) -> None:
    for record in content["events"]:
        record["data"] = {"n": b"9" * 5_000, "word": "left"}


def _surrogate(content: dict[str, Any]) -> None:
    content["events"][-1]["data"] = "\ud800"


def _no_record(content: dict[str, Any]) -> None:
    content["events"][1] = {"offset": "no number"}
    content["events"][-1] = 7


@asynccontextmanager
async def _tampering(client: Client, change: Callable[[dict[str, Any]], None]) -> AsyncIterator[tuple[str, Tampering]]:
    task_queue, tampering = unique("queue"), Tampering(change)
    plugin = AgentFrameworkPlugin([odd, echo])
    async with Worker(client, task_queue=task_queue, plugins=[plugin], interceptors=[tampering]):
        yield task_queue, tampering


async def _all(durable: DurableWorkflow, thread_id: str) -> list[WorkflowEvent[Any]]:
    events = [event async for event in durable.run_stream(checkpoint=durable.checkpoint(thread_id), after=-1)]
    json.dumps([event.data for event in events if event.type in ("output", "request_info", "warning")])
    return events


@pytest.mark.parametrize("change", [_deep, _long, _surrogate, _no_record])
@pytest.mark.parametrize("known", [True, False], ids=["typed", "by-name"])
async def test_it_is_read_and_goes_on(known: bool, change: Callable[[dict[str, Any]], None], client: Client) -> None:
    async with _tampering(client, change) as (task_queue, tampering):
        durable = DurableWorkflow(odd if known else "odd", client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        result = await durable.run(["output", ""], checkpoint=checkpoint)
        assert len(result.get_outputs()) == 2 or change is _no_record
        events = await _all(durable, checkpoint.thread_id)
        kinds = [event.type for event in events]
        assert kinds.count("output") == 2 or change is _no_record
        if change is _no_record:
            assert [event.data for event in events if event.type == "warning"] == [
                "Event 1 of this superstep cannot be read.",
                f"Event {len(events) - 1} of this superstep cannot be read.",
            ]
        assert len(await durable.checkpoints(checkpoint)) == 2
        assert (await client.get_workflow_handle(checkpoint.thread_id).result())["state"] == "idle"
        tampering.change = None
        assert (await durable.run(["output", ""], checkpoint=checkpoint)).get_outputs() == ["plain", "done"]
        assert len(await _all(durable, checkpoint.thread_id)) > len(events)


@pytest.mark.parametrize("change", [_deep, _long])
async def test_terminated_and_resumed(change: Callable[[dict[str, Any]], None], client: Client) -> None:
    """Also where its requests are what cannot be read: they wait, can be answered, and the thread can be given up."""
    async with _tampering(client, change) as (task_queue, tampering):
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run([], checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
        (request,) = await durable.pending_requests(checkpoint)
        if change is _deep:
            assert "nested more than 180 levels deep" in request.model_dump_json()
        await handle.terminate("given up")
        tampering.change = None
        resumed = durable.checkpoint(checkpoint.thread_id)
        await durable.run(checkpoint=resumed)
        result = await durable.run(responses={"more": nested(3)}, checkpoint=resumed)
        assert result.get_outputs() == [3]


async def test_what_a_superstep_failed_with(client: Client) -> None:
    async with _tampering(client, _long) as (task_queue, tampering):
        durable = DurableWorkflow(odd, client=client, task_queue=task_queue, max_attempts=1)
        checkpoint = durable.checkpoint()
        with pytest.raises(ValueError, match="odd"):
            await durable.run(["error", ""], checkpoint=checkpoint)
        assert "failed" in [event.type for event in await _read_failed(durable, checkpoint.thread_id)]
        tampering.change = None
        assert (await durable.run(["output", ""], checkpoint=checkpoint)).get_outputs() == ["plain", "done"]


async def test_a_report_that_is_none(client: Client) -> None:
    """It is refused, and fails its run; the thread goes on from the turn before."""
    async with _tampering(client, lambda content: content.clear()) as (task_queue, tampering):
        change, tampering.change = tampering.change, None
        durable = DurableWorkflow(odd, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(["output", ""], checkpoint=checkpoint)
        tampering.change = change
        with pytest.raises(DurableWorkflowError, match="completed with a result that no superstep"):
            await durable.run(["output", ""], checkpoint=checkpoint)
        tampering.change = None
        assert await _failed_tasks(client, checkpoint.thread_id) == 0
        assert len(await durable.checkpoints(checkpoint)) == 2
        events: list[WorkflowEvent[Any]] = []
        with pytest.raises(DurableWorkflowError, match="completed with a result that no superstep"):
            async for event in durable.run_stream(checkpoint=durable.checkpoint(checkpoint.thread_id), after=-1):
                events.append(event)
        assert [event.data for event in events if event.type == "output"] == ["plain", "done"]
        resumed = durable.checkpoint(checkpoint.thread_id)
        await durable.run(checkpoint=resumed)
        assert (await durable.run(["output", ""], checkpoint=resumed)).get_outputs() == ["plain", "done"]


async def _failed_tasks(client: Client, thread_id: str) -> int:
    """Return how many workflow tasks of a thread's latest run have failed."""
    failed = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    latest = client.get_workflow_handle(thread_id)
    return sum([event.event_type == failed async for event in latest.fetch_history_events()])


async def _read_failed(durable: DurableWorkflow, thread_id: str) -> list[WorkflowEvent[Any]]:
    events: list[WorkflowEvent[Any]] = []
    with pytest.raises(ValueError, match="odd"):
        async for event in durable.run_stream(checkpoint=durable.checkpoint(thread_id), after=-1):
            events.append(event)
    return events


def test_every_message_a_reader_meets_is_read_around() -> None:
    deep = b"[" * 250 + b"]" * 250
    checkpoint = b'{"thread_id": "t", "run_id": "r", "checkpoint_id": "c"}'
    for model, text in (
        (RunResult, b'{"checkpoint": %s, "graph_hash": "g", "next_offset": 4, "outputs": [%s]}' % (checkpoint, deep)),
        (RunFailure, b'{"next_offset": 4, "error_args": [%s]}' % (b"9" * 9_000)),
        (LiveWindow, b'{"attempt": 1, "events": [{"offset": 1, "type": "output", "data": %s}]}' % deep),
        (SuperstepResult, b'{"state": "idle", "pending": [], "rejected": {}, "events": [{"offset": 3}, 1, {}]}'),
    ):
        payload = Payload(metadata={"encoding": b"json/plain"}, data=text)
        (read,) = _CONVERTER.from_payloads([payload], [model])
        assert isinstance(read, model)
    assert [(record.offset, record.type) for record in read.events] == [(3, "warning"), (4, "warning"), (5, "warning")]
