"""Runs that somebody starts with what cannot be used: they end at once and say why, and no worker tries for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow, StartRefusedError
from agent_framework_temporal.workflows.limits import MAX_OPTIONS_BYTES, MAX_QUEUED_BYTES
from agent_framework_temporal.workflows.messages import MAX_SECONDS, WORKFLOW_TYPE
from agent_framework_temporal.workflows.start import INVALID_START
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from tests.requests._flows import Question, asker
from tests.support import unique, worker

_GOOD = {"workflow_name": "asker", "mode": "message", "message": {"value": {"text": "how many"}}}
_BASE = {"thread_id": "t", "run_id": "r", "checkpoint_id": "c"}


def _options(**options: Any) -> list[Any]:
    return [{**_GOOD, "options": options}]


def _raw(data: bytes, encoding: bytes = b"json/plain") -> list[Any]:
    return [RawValue(Payload(metadata={"encoding": encoding}, data=data))]


def _good(more: bytes) -> list[Any]:
    return _raw(b'{"workflow_name": "asker", "mode": "message", ' + more + b"}")


def _answer(size: int) -> dict[str, Any]:
    return {"request_id": "q", "response": "x" * size}


_INVALID: dict[str, tuple[list[Any], str]] = {
    "no argument": ([], "it takes one argument, a `RunInput`, and was given 0"),
    "two arguments": ([_GOOD, _GOOD], "and was given 2"),
    "undecodable arguments": (_raw(b"{") * 3, "and was given 3"),
    "null": ([None], "`input`: it is no input of workflow type"),
    "text": (["asker"], "`input`: "),
    "list": ([[_GOOD]], "`input`: "),
    "no json": (_raw(b'{"workflow_name": "asker", '), "Invalid JSON"),
    "no text": (_raw(b"\xff\xfe"), "Invalid JSON"),
    "deep": (_raw(b'{"message": ' + b"[" * 100_000), "Invalid JSON"),
    "binary": (_raw(b"\x80\x05.", b"binary/plain"), "it is no input of workflow type"),
    "nothing": ([{}], "`workflow_name`: Field required"),
    "no mode": ([{"workflow_name": "asker"}], "`mode`: Field required"),
    "unknown mode": (
        [{**_GOOD, "mode": "restart"}],
        "`mode`: 'restart' is none of those that this release knows",
    ),
    "long name": ([{**_GOOD, "workflow_name": "x" * 500_000}], "`workflow_name`: String should have at most"),
    "long checkpoint": ([{**_GOOD, "base": {**_BASE, "checkpoint_id": "x" * 500_000}}], "`base.checkpoint_id`: "),
    "negative offset": ([{**_GOOD, "next_offset": -1}], "`next_offset`: "),
    "huge offset": (_good(b'"next_offset": 1' + b"0" * 5_000), "`next_offset`: "),
    "no responses": ([{**_GOOD, "mode": "responses", "base": _BASE}], "`responses`: mode 'responses' needs it"),
    "empty responses": ([{**_GOOD, "mode": "cancel", "base": _BASE, "responses": []}], "`responses`: "),
    "a million responses": (
        _raw(b'{"workflow_name": "a", "mode": "message", "responses": [' + b"1," * 900_000 + b"1]}"),
        "resp",
    ),
    "large responses": (
        [{"workflow_name": "asker", "mode": "responses", "base": _BASE, "responses": [_answer(MAX_QUEUED_BYTES)]}],
        "`responses`: they take",
    ),
    "no base": ([{**_GOOD, "mode": "resume"}], "`base`: mode 'resume' needs it"),
    "no base to continue from": ([{**_GOOD, "mode": "continue"}], "mode 'continue' needs it"),
    "eternity": (_options(superstep_timeout=1e308), "`options.superstep_timeout`: "),
    "longer than any": (_options(superstep_timeout=MAX_SECONDS + 1), "`options.superstep_timeout`: "),
    "NaN": (
        _raw(b'{"workflow_name": "a", "mode": "message", "options": {"heartbeat_timeout": NaN}}'),
        "heartbeat_timeout",
    ),
    "infinity": (
        _raw(b'{"workflow_name": "a", "mode": "message", "options": {"retry_backoff": Infinity}}'),
        "retry_backoff",
    ),
    "negative heartbeat": (_options(heartbeat_timeout=-1), "`options.heartbeat_timeout`: "),
    "no attempts": (_options(max_attempts=0), "`options.max_attempts`: "),
    "too many attempts": (_options(max_attempts=2**40), "`options.max_attempts`: "),
    "negative bytes": (_options(history_bytes_per_run=-5), "`options.history_bytes_per_run`: "),
    "no supersteps": (_options(supersteps_per_run=0), "`options.supersteps_per_run`: "),
    "backward retries": (_options(retry_initial_interval=100), "`retry_maximum_interval` must not be shorter"),
    "slower and slower": (_options(retry_backoff=0.5), "`options.retry_backoff`: "),
    "executors": (_options(executors={"asker": {"timeout": 0}}), "`options.executors.asker.timeout`: "),
    "executors as list": (_options(executors=[1, 2]), "`options.executors`: "),
    "deadline": (_options(requests={"*": {"deadline": -1, "on_deadline": "fail"}}), "`options.requests.*.deadline`: "),
    "unknown action": (_options(requests={"*": {"deadline": 1, "on_deadline": "explode"}}), "on_deadline`: "),
    "large default": (
        _options(
            requests={"*": {"deadline": 9, "on_deadline": "default", "default": {"value": "x" * MAX_OPTIONS_BYTES}}}
        ),
        "`options`: they take",
    ),
}


async def _start(client: Client, task_queue: str, arguments: list[Any], **options: Any) -> WorkflowHandle[Any, Any]:
    return await client.start_workflow(
        WORKFLOW_TYPE, args=arguments, id=unique("started"), task_queue=task_queue, **options
    )


async def test_what_cannot_be_used_is_refused_at_once(client: Client) -> None:
    async with worker(client, asker) as task_queue:
        handles = {name: await _start(client, task_queue, arguments) for name, (arguments, _) in _INVALID.items()}
        for name, handle in handles.items():
            with pytest.raises(WorkflowFailureError) as caught:
                await asyncio.wait_for(handle.result(), 50)
            cause = caught.value.cause
            assert isinstance(cause, ApplicationError), name
            assert cause.type == INVALID_START, name
            assert _INVALID[name][1] in cause.message, (name, cause.message)
            assert len(cause.message) < 2_000, name
            kinds = [event.event_type for event in (await handle.fetch_history()).events]
            assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED not in kinds, name
            assert EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED not in kinds, name
        # The worker is none the worse for it.
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue)
        assert (await durable.run(Question(text="how many"))).get_request_info_events()


async def test_a_refused_start_is_no_part_of_its_thread(client: Client) -> None:
    async with worker(client, asker) as task_queue:
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue)
        handle = await _start(client, task_queue, _options(max_attempts=0), memo={"agent_framework_workflow": "asker"})
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        with pytest.raises(StartRefusedError, match="max_attempts"):
            async for _ in durable.run_stream(checkpoint=durable.checkpoint(handle.id), after=-1):
                pass


async def test_signals_before_a_refused_start(client: Client) -> None:
    """Signals that are there already come with the same workflow task."""
    task_queue = unique("queue")
    handle = await _start(
        client, task_queue, [], start_signal="respond", start_signal_args=[{"request_id": "q0", "response": 1}]
    )
    await handle.signal("other")
    async with worker(client, asker, task_queue=task_queue):
        with pytest.raises(WorkflowFailureError) as caught:
            await asyncio.wait_for(handle.result(), 50)
    assert "was given 0" in str(caught.value.cause)


async def test_search_attributes_that_nobody_registered(client: Client) -> None:
    """The server would refuse to set them, whenever the run tried, for ever."""
    async with worker(client, asker) as task_queue:
        handle = await _start(client, task_queue, _options(search_attributes=True))
        with pytest.raises(WorkflowFailureError) as caught:
            await asyncio.wait_for(handle.result(), 50)
    assert "`options.search_attributes`: the run was started without them" in str(caught.value.cause)


async def test_options_at_their_bounds_are_taken(client: Client) -> None:
    async with worker(client, asker) as task_queue:
        options = {
            "superstep_timeout": MAX_SECONDS,
            "heartbeat_timeout": MAX_SECONDS,
            "max_attempts": 1_000_000,
            "retry_initial_interval": MAX_SECONDS,
            "retry_maximum_interval": MAX_SECONDS,
            "retry_backoff": 1_000_000,
            "history_bytes_per_run": 2**53,
            "supersteps_per_run": 2**53,
            "executors": {"asker": {"timeout": MAX_SECONDS, "heartbeat_timeout": MAX_SECONDS, "retry_backoff": 1e6}},
            "requests": {"*": {"deadline": MAX_SECONDS, "remind_after": MAX_SECONDS}},
        }
        handle = await _start(client, task_queue, _options(**options))
        async with asyncio.timeout(50):
            while (await handle.query("status"))["state"] != "waiting":
                await asyncio.sleep(0.05)
        await handle.signal("respond", {"request_id": "q0", "response": {"amount": 2}})
        assert (await handle.result())["outputs"] == ["how many: 2"]
        assert (await handle.describe()).status == WorkflowExecutionStatus.COMPLETED
        tiny = {name: 1e-300 for name in ("superstep_timeout", "retry_initial_interval", "retry_maximum_interval")}
        handle = await _start(client, task_queue, _options(**tiny))
        with pytest.raises(WorkflowFailureError):  # It has no time at all, but an end.
            await asyncio.wait_for(handle.result(), 50)
