"""A message to a thread that waits for answers: taken as in process, and the requests wait on."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest
from agent_framework_temporal import (
    AlreadyRunningError,
    Checkpoint,
    DurableWorkflow,
    PayloadError,
    PendingRequestsError,
    RequestPolicy,
    register_search_attributes,
    start_dev_server,
    waiting_requests,
)
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from tests.flows import Decision, Order, shop
from tests.support import worker

_YES = Decision(approved=True, by="eve")


def _ids(result: object) -> list[str]:
    return [event.request_id for event in result.get_request_info_events()]  # type: ignore[attr-defined]


@pytest.mark.parametrize("cached", [True, False])
async def test_the_requests_wait_on_and_take_their_answers(
    client: Client, cached: bool, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {} if cached else {"max_cached_workflows": 0, "cache_bytes": 0}
    async with worker(client, shop, **options) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        first = await durable.run(Order(item="pen"), checkpoint=checkpoint)
        assert _ids(first) == ["approve-pen"]
        before = checkpoint.checkpoint_id
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            second = await durable.run(Order(item="ink"), checkpoint=checkpoint)
        warned = [record.getMessage() for record in caplog.records if "are still pending" in record.getMessage()]
        assert len(warned) == 1
        assert "received a fresh message while 1 request_info event(s) are still pending" in warned[0]
        assert _ids(second) == ["approve-ink"]
        assert second.get_final_state().name == "IDLE_WITH_PENDING_REQUESTS"

        pending = await durable.pending_requests(checkpoint)
        assert [request.request_id for request in pending] == ["approve-pen", "approve-ink"]
        status = await client.get_workflow_handle(checkpoint.thread_id).query("status")
        assert status["state"] == "waiting"

        lineage = await durable.checkpoints(checkpoint)
        by_id = {info.checkpoint_id: info for info in lineage}
        step = by_id[checkpoint.checkpoint_id or ""]
        while step.checkpoint_id != before:  # From the last one back to the first message's.
            step = by_id[step.previous_checkpoint_id or ""]
        forked = durable.checkpoint()
        again = await durable.run(checkpoint_id=before, responses={"approve-pen": _YES}, checkpoint=forked)
        assert again.get_outputs() == ["pen approved by eve, order 1"]

        answered = await durable.run(responses={"approve-pen": _YES}, checkpoint=checkpoint)
        assert answered.get_outputs() == ["pen approved by eve, order 2"]
        last = await durable.run(responses={"approve-ink": _YES}, checkpoint=checkpoint)
        assert last.get_outputs() == ["ink approved by eve, order 2"]
        assert await durable.pending_requests(checkpoint) == []
        assert (await durable.run(Order(item="cup"), checkpoint=checkpoint)).get_final_state().name.endswith("REQUESTS")


async def test_readers_and_other_callers_go_on(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        kept = checkpoint.to_json()
        other = DurableWorkflow(shop, client=client, task_queue=task_queue)
        await other.run(Order(item="ink"), checkpoint=other.checkpoint(checkpoint.thread_id))
        await other.run(Order(item="cup"), checkpoint=other.checkpoint(checkpoint.thread_id))

        # One who reads from the beginning sees all three, once and in order.
        whole = [event async for event in durable.run_stream(checkpoint=Checkpoint.from_json(kept), after=-1)]
        asked = [event.request_id for event in whole if event.type == "request_info"]
        assert asked == ["approve-pen", "approve-ink", "approve-cup"]
        assert [event.type for event in whole].count("started") == 3
        # A handle from before answers, as the thread is the same one.
        stale = Checkpoint.from_json(kept)
        result = await durable.run(responses={"approve-ink": _YES}, checkpoint=stale)
        assert result.get_outputs() == ["ink approved by eve, order 3"]
        # An answer from outside finds the run that waits now.
        handle = client.get_workflow_handle(checkpoint.thread_id)
        await handle.signal("respond", {"request_id": "approve-pen", "response": {"approved": False}})
        await handle.signal("respond", {"request_id": "approve-cup", "response": {"approved": True}})
        await handle.result()


async def test_deadlines_of_requests_hold_over_a_message(client: Client) -> None:
    rule = RequestPolicy(deadline=timedelta(seconds=8), on_deadline="cancel")
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(
            shop, client=client, task_queue=task_queue, requests={"approve-pen": rule, "*": RequestPolicy()}
        )
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        first = (await durable.pending_requests(checkpoint))[0]
        await durable.run(Order(item="ink"), checkpoint=checkpoint)
        pending = await durable.pending_requests(checkpoint)
        assert (pending[0].asked_at, pending[0].deadline) == (first.asked_at, first.deadline)
        assert pending[0].deadline is not None
        async with asyncio.timeout(60):
            while len(await durable.pending_requests(checkpoint)) == 2:
                await asyncio.sleep(0.2)
        assert [request.request_id for request in await durable.pending_requests(checkpoint)] == ["approve-ink"]


async def test_a_message_that_fails_leaves_the_requests_answerable(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue, max_attempts=1)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        with pytest.raises(RuntimeError, match="cannot handle input of type"):
            await durable.run(7, checkpoint=checkpoint)
        result = await durable.run(responses={"approve-pen": _YES}, checkpoint=checkpoint)
        assert result.get_outputs() == ["pen approved by eve, order 1"]


async def _refused(client: Client, thread_id: str, *arguments: object) -> ApplicationError:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await client.get_workflow_handle(thread_id).execute_update("message", args=list(arguments))
    assert isinstance(caught.value.cause, ApplicationError)
    return caught.value.cause


async def test_a_request_that_is_asked_again_under_its_id(client: Client) -> None:
    """As in process, it takes the place of the one that waits."""
    local = shop()
    await local.run(Order(item="pen", price=1))
    await local.run(Order(item="pen", price=2))
    in_process = await local.run(responses={"approve-pen": _YES})
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen", price=1), checkpoint=checkpoint)
        await durable.run(Order(item="pen", price=2), checkpoint=checkpoint)
        pending = await durable.pending_requests(checkpoint)
        assert [request.request for request in pending] == [{"item": "pen", "price": 2}]
        result = await durable.run(responses={"approve-pen": _YES}, checkpoint=checkpoint)
        assert result.get_outputs() == in_process.get_outputs()
        assert result.get_final_state() == in_process.get_final_state()


async def test_what_cannot_be_taken_leaves_no_history(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        before = (await handle.describe()).history_length
        for arguments, words in (
            ((), "takes one argument"),
            (("a", "b"), "takes one argument"),
            ((7,), "takes"),
            (({"text": "a"},), "message: Field required"),
            (({"message": None},), "null"),
            (({"message": "a", "streaming": "yes"},), "streaming"),
            (({"message": "x" * 1_300_000},), "reference"),
        ):
            cause = await _refused(client, checkpoint.thread_id, *arguments)
            assert cause.type == "MessageRefused"
            assert words in cause.message
        assert (await handle.describe()).history_length == before
        with pytest.raises(PayloadError, match="reference"):
            await durable.run(Order(item="x" * 1_300_000), checkpoint=checkpoint)
        assert len(await durable.pending_requests(checkpoint)) == 1


async def test_any_language_may_send_one(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        receipt = await handle.execute_update("message", {"message": {"item": "ink", "price": 3}})
        assert receipt == {"pending": ["approve-pen"]}
        result = await durable.run(checkpoint=checkpoint)
        assert _ids(result) == ["approve-ink"]


async def test_the_inbox_shows_one_thread_with_both_requests() -> None:
    async with await start_dev_server() as server:
        client = await server.connect()
        await register_search_attributes(client)
        async with worker(client, shop) as task_queue:
            durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
            checkpoint = durable.checkpoint()
            await durable.run(Order(item="pen"), checkpoint=checkpoint)
            await durable.run(Order(item="ink"), checkpoint=checkpoint)
            expected = [(checkpoint.thread_id, name) for name in ("approve-ink", "approve-pen")]
            async with asyncio.timeout(50):
                while sorted([(r.thread_id, r.request_id) async for r in waiting_requests(client)]) != expected:
                    await asyncio.sleep(0.1)


async def test_two_messages_at_once(client: Client) -> None:
    """One of them is taken; the other is refused, or taken after it."""
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        facades = [DurableWorkflow(shop, client=client, task_queue=task_queue) for _ in range(4)]
        results = await asyncio.gather(
            *(
                facade.run(Order(item=f"item-{number}"), checkpoint=facade.checkpoint(checkpoint.thread_id))
                for number, facade in enumerate(facades)
            ),
            return_exceptions=True,
        )
        refused = [result for result in results if isinstance(result, BaseException)]
        assert all(isinstance(error, AlreadyRunningError) for error in refused), refused
        assert len(refused) < len(results)
        # Each caller was given the events of its own message.
        for number, result in enumerate(results):
            if not isinstance(result, BaseException):
                assert _ids(result) == [f"approve-item-{number}"]
        thread = durable.checkpoint(checkpoint.thread_id)
        pending = {request.request_id for request in await durable.pending_requests(thread)}
        taken = {f"approve-item-{n}" for n, r in enumerate(results) if not isinstance(r, BaseException)}
        assert pending == {"approve-pen", *taken}


async def test_refused_on_request(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue, when_waiting="reject")
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        with pytest.raises(PendingRequestsError, match="when_waiting='reject'"):
            await durable.run(Order(item="ink"), checkpoint=checkpoint)
        with pytest.raises(ValueError, match="when_waiting"):
            DurableWorkflow(shop, client=client, task_queue=task_queue, when_waiting="queue")  # type: ignore[arg-type]
