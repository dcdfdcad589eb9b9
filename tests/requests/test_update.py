"""Update `respond`: a verdict at once, and no history for what is rejected."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agent_framework_temporal import Checkpoint, DurableWorkflow
from agent_framework_temporal.workflows import limits
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from tests.requests._flows import Question, asker, free, nested
from tests.support import worker

_WRONG = [("amount", "integer"), ("note", "string")]


async def _waiting(
    client: Client, task_queue: str, count: int = 1, **options: Any
) -> tuple[DurableWorkflow, Checkpoint, WorkflowHandle[Any, Any]]:
    durable = DurableWorkflow(asker, client=client, task_queue=task_queue, **options)
    checkpoint = durable.checkpoint()
    await durable.run(Question(text="how many", count=count), checkpoint=checkpoint)
    return durable, checkpoint, client.get_workflow_handle(checkpoint.thread_id)


async def _events(handle: WorkflowHandle[Any, Any]) -> int:
    return (await handle.describe()).history_length


async def _rejected(handle: WorkflowHandle[Any, Any], *arguments: Any, name: str = "respond") -> tuple[str, list[str]]:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await handle.execute_update(name, args=list(arguments))
    cause = caught.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "AnswerRejected"
    return cause.message, cause.details[0]["errors"]


async def test_accepted_update_is_delivered(client: Client) -> None:
    async with worker(client, asker) as task_queue:
        durable, checkpoint, handle = await _waiting(client, task_queue, count=2)
        receipt = await handle.execute_update("respond", {"request_id": "q1", "response": {"amount": 4}})
        assert receipt == {"queued": ["q1"], "early": []}
        result = await durable.run(checkpoint=checkpoint)
        assert result.get_outputs() == ["how many: 4"]
        receipt = await handle.execute_update("respond", [{"request_id": "q0", "response": {"amount": 6}}])
        assert receipt["queued"] == ["q0"]
        assert (await handle.result())["outputs"] == ["how many: 4", "how many: 6"]


async def test_rejected_updates_say_what_is_wrong_and_leave_no_history(client: Client) -> None:
    async with worker(client, asker) as task_queue:
        _, _, handle = await _waiting(client, task_queue)
        before = await _events(handle)
        message, errors = await _rejected(handle, {"request_id": "q0", "response": {"amount": "secret", "note": 7}})
        assert message.startswith("The response to request 'q0' does not fit tests.requests._flows:Reply: ")
        assert sorted(errors) == [f'{name}: the value is not of type "{kind}"' for name, kind in _WRONG]
        assert "secret" not in message
        _, errors = await _rejected(handle, {"request_id": "q0", "response": {}})
        assert errors == ['response: "amount" is a required property']
        _, errors = await _rejected(handle, {"request_id": 7})
        assert errors == ["request_id: Input should be a valid string"]
        message, _ = await _rejected(handle)
        assert message == "`respond` takes one argument, got 0."
        await _rejected(handle, {"request_id": "q0", "response": {"amount": 2}}, 7)
        await _rejected(handle, [])
        message, _ = await _rejected(handle, {}, name="no-such-update")
        assert message.startswith("There is no signal or update 'no-such-update'")
        assert await _events(handle) == before
        pending = await handle.query("pending_requests")
        assert "errors" not in pending[0]
        await handle.execute_update("respond", {"request_id": "q0", "response": {"amount": 2}})
        assert (await handle.result())["outputs"] == ["how many: 2"]


async def test_second_and_early_updates(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_DELAY", "1")
    async with worker(client, asker) as task_queue:
        _, _, handle = await _waiting(client, task_queue)
        early = await handle.execute_update("respond", {"request_id": "q-again", "response": {"amount": 8}})
        assert early == {"queued": [], "early": ["q-again"]}
        answer = {"request_id": "q0", "response": {"amount": 2, "note": "again"}}
        await handle.execute_update("respond", answer)
        message, _ = await _rejected(handle, answer)
        assert message == "Request 'q0' is already answered."
        assert (await handle.result())["outputs"] == ["how many: 2", "again: 8"]


async def test_answer_that_fits_the_schema_but_not_the_type_leaves_the_request_pending(client: Client) -> None:
    async with worker(client, asker) as task_queue:
        durable, checkpoint, handle = await _waiting(client, task_queue)
        offset = checkpoint.offset
        odd = {"request_id": "q0", "response": {"amount": 3}, "responder": "eve"}
        assert (await handle.execute_update("respond", odd))["queued"] == ["q0"]
        while not (pending := (await durable.pending_requests(checkpoint))[0]).errors:
            await asyncio.sleep(0.05)
        (refused,) = pending.errors
        assert refused.responder == "eve"
        assert refused.error.endswith("amount: Value error, must be even")
        events = [event async for event in durable.run_stream(checkpoint=checkpoint)]
        (warning,) = [event for event in events if event.type == "warning"]
        assert warning.data == f"The answer to request 'q0' is refused: {refused.error}"
        assert checkpoint.offset > offset
        await handle.signal("respond", {"request_id": "q0", "response": {"amount": 2}})
        assert (await handle.result())["outputs"] == ["how many: 2"]


async def test_first_valid_of_several_signals_wins(client: Client) -> None:
    async with worker(client, asker) as task_queue:
        _, _, handle = await _waiting(client, task_queue, count=2)
        for amount in (3, "x", 4, 6):
            answer = {"request_id": "q0", "response": {"amount": amount}, "responder": str(amount)}
            await handle.signal("respond", answer)
        await handle.signal("respond", {"request_id": "q1", "response": {"amount": 0}})
        assert (await handle.result())["outputs"] == ["how many: 4", "how many: 0"]
        page = await handle.query("events", args=[-1, 500])
        trail = [(e["type"], e.get("responder")) for e in page["events"] if e["type"].startswith("response_")]
        assert sorted(trail[:4], key=str) == [
            ("response_accepted", "4"),
            ("response_rejected", "3"),
            ("response_rejected", "6"),
            ("response_rejected", "x"),
        ]
        assert trail[4] == ("response_accepted", None)


async def test_type_without_a_schema_takes_what_the_worker_takes(client: Client) -> None:
    async with worker(client, free) as task_queue:
        durable = DurableWorkflow(free, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run("keys", checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        await handle.execute_update("respond", {"request_id": "free", "response": {"b": 1, "a": 2}})
        assert (await handle.result())["outputs"] == ["keys: ['a', 'b']"]


async def test_request_of_a_sub_workflow(client: Client) -> None:
    async with worker(client, nested) as task_queue:
        durable = DurableWorkflow(nested, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="inside"), checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        (pending,) = await handle.query("pending_requests")
        await _rejected(handle, {"request_id": pending["request_id"], "response": {"amount": 200}})
        await handle.execute_update("respond", {"request_id": pending["request_id"], "response": {"amount": 20}})
        assert (await handle.result())["state"] == "idle"


async def test_answer_to_a_completed_run_is_a_clear_error(client: Client) -> None:
    async with worker(client, asker) as task_queue:
        durable, checkpoint, handle = await _waiting(client, task_queue)
        answer = {"request_id": "q0", "response": {"amount": 2}}
        await handle.execute_update("respond", answer)
        await handle.result()
        with pytest.raises(RPCError, match="workflow execution already completed"):
            await handle.execute_update("respond", answer)
        with pytest.raises(RPCError, match="workflow execution already completed"):
            await handle.signal("respond", answer)
        with pytest.raises(RuntimeError, match="No pending requests found"):
            await durable.run(responses={"q0": {"amount": 2}}, checkpoint=checkpoint)


async def test_run_that_is_answered_again_and_again_continues_as_new(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer adds little: what counts is how much has come since the first pause, not since the last."""
    monkeypatch.setattr(limits, "MAX_WAITING_EVENTS", 40)
    async with worker(client, asker) as task_queue:
        _, checkpoint, handle = await _waiting(client, task_queue, history_bytes_per_run=5_000)
        (asked,) = await handle.query("pending_requests")
        for _ in range(10):
            request_id, asked_at = asked["request_id"], asked["asked_at"]
            answer = {"request_id": request_id, "response": {"amount": 2, "note": "again"}}
            await handle.execute_update("respond", answer)
            while asked["asked_at"] == asked_at:
                await asyncio.sleep(0.02)
                (asked,) = await handle.query("pending_requests") or [asked]
        request_id = asked["request_id"]
        assert (await handle.describe()).run_id != checkpoint.run_id
        await handle.execute_update("respond", {"request_id": request_id, "response": {"amount": 4}})
        assert len((await handle.result())["outputs"]) == 11
