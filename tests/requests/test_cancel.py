"""Cancelling pending requests: as in process, and from outside."""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage, WorkflowRunResult
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client

from tests.requests._flows import Question, Reply, asker, nested
from tests.support import worker


def _shape(result: WorkflowRunResult) -> list[Any]:
    events = [
        (event.type, event.executor_id, event.iteration, event.request_id if event.type == "request_info" else None)
        for event in result
    ]
    return [events, result.get_outputs(), [event.state for event in result.status_timeline()]]


@pytest.mark.parametrize("cache_bytes", [0, 1_000_000], ids=["uncached", "cached"])
@pytest.mark.parametrize("build", [asker, nested])
async def test_parity(build: Any, cache_bytes: int, client: Client) -> None:
    async with worker(client, build, cache_bytes=cache_bytes) as task_queue:
        durable = DurableWorkflow(build, client=client, task_queue=task_queue)
        workflow = build()
        storage = InMemoryCheckpointStorage()
        question = Question(text="how many", count=3)
        expected = await workflow.run(question, checkpoint_storage=storage)
        given = await durable.run(question)
        assert _shape(given) == _shape(expected)
        ids = [event.request_id for event in expected.get_request_info_events()]
        for cancelled in ([ids[0]], ["unknown"], [ids[1], "unknown"]):
            expected = await workflow.cancel_pending_requests(cancelled, checkpoint_storage=storage)
            given = await durable.cancel_pending_requests(cancelled)
            assert _shape(given) == _shape(expected), cancelled
        with pytest.raises(ValueError, match=r"unknown request ID|No pending") as in_process:
            await workflow.run(responses={ids[0]: Reply(amount=2)})
        with pytest.raises(ValueError) as here:
            await durable.run(responses={ids[0]: Reply(amount=2)})
        assert str(here.value) == str(in_process.value)
        responses = {ids[2]: Reply(amount=2)}
        assert _shape(await durable.run(responses=responses)) == _shape(await workflow.run(responses=responses))


async def test_cancelling_the_last_ends_the_run(client: Client) -> None:
    async with worker(client, asker) as task_queue:
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many"), checkpoint=checkpoint)
        result = await durable.cancel_pending_requests(["q0"], checkpoint=checkpoint)
        assert result.get_final_state().value == "IDLE"
        assert await durable.pending_requests(checkpoint) == []
        # An idle thread has nothing to cancel, which is no error in process either.
        again = await durable.cancel_pending_requests(["q0"], checkpoint=checkpoint)
        assert again.get_final_state().value == "IDLE"
        assert (await durable.run(Question(text="next"), checkpoint=checkpoint)).get_request_info_events()


async def test_cancelled_in_a_fork_and_in_a_failed_thread(client: Client) -> None:
    async with worker(client, asker) as task_queue:
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many", count=2), checkpoint=checkpoint)
        fork = durable.checkpoint()
        last = (await durable.checkpoints(checkpoint))[-1]
        result = await durable.cancel_pending_requests(["q0"], checkpoint=fork, checkpoint_id=last.checkpoint_id)
        assert result.get_final_state().value == "IDLE_WITH_PENDING_REQUESTS"
        assert [request.request_id for request in await durable.pending_requests(fork)] == ["q1"]
        assert len(await durable.pending_requests(checkpoint)) == 2
        await client.get_workflow_handle(checkpoint.thread_id).terminate()
        await durable.cancel_pending_requests(["q1"], checkpoint=checkpoint)
        assert [request.request_id for request in await durable.pending_requests(checkpoint)] == ["q0"]


async def test_signal_and_update_from_outside(client: Client) -> None:
    async with worker(client, asker) as task_queue:
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many", count=3), checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        await handle.signal("cancel_requests", {"request_ids": ["q0"], "responder": "ops"})
        receipt = await handle.execute_update("cancel_requests", {"request_ids": ["q1"]})
        assert receipt == {"queued": ["q1"], "early": []}
        await handle.signal("respond", {"request_id": "q2", "response": {"amount": 2}})
        assert (await handle.result())["outputs"] == ["how many: 2"]
        page = await handle.query("events", args=[-1, 500])
        trail = [(e["type"], e["request_id"], e.get("responder")) for e in page["events"] if "request_c" in e["type"]]
        assert trail == [("request_cancelled", "q0", "ops"), ("request_cancelled", "q1", None)]


async def test_nothing_to_cancel_is_refused(client: Client) -> None:
    durable = DurableWorkflow(asker, client=client, task_queue="none")
    with pytest.raises(ValueError, match="must be non-empty strings"):
        await durable.cancel_pending_requests([])
    with pytest.raises(ValueError, match="must be non-empty strings"):
        await durable.cancel_pending_requests([""])
    with pytest.raises(RuntimeError, match="No pending requests"):
        await durable.cancel_pending_requests(["q0"], checkpoint=durable.checkpoint())
