"""What is sealed is good in its place only: copies elsewhere, by somebody who may write there, are refused as such."""

from __future__ import annotations

import asyncio
import logging

import pytest
from agent_framework_temporal import Checkpoint, DurableWorkflow, ThreadNotFoundError
from agent_framework_temporal.adapter.checkpoints.history import decode, of_thread
from agent_framework_temporal.workflows.messages import RunFailure
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from tests.flows import Decision, Order, chain, shop
from tests.sealing._rogue import connect, history, inputs, results, rogue_worker, start_of
from tests.support import unique, worker


async def _thread(client: Client, queue: str, text: str = "one") -> tuple[DurableWorkflow, Checkpoint]:
    durable = DurableWorkflow(chain, client=client, task_queue=queue)
    checkpoint = durable.checkpoint()
    await durable.run(text, checkpoint=checkpoint)
    return durable, checkpoint


async def _refused_start(client: Client, sealing: Client, payload: Payload, queue: str, thread_id: str) -> str:
    """Start a run with a payload; return what it ends with at once, as somebody with a key reads it."""
    handle = await client.start_workflow(
        "AgentFrameworkWorkflow", RawValue(payload), id=thread_id, task_queue=queue, memo={"any": 1}
    )
    with pytest.raises(WorkflowFailureError):
        await asyncio.wait_for(sealing.get_workflow_handle(thread_id, run_id=handle.result_run_id).result(), 50)
    events = await history(client, thread_id, handle.result_run_id)
    kinds = [event.event_type for event in events]
    assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED not in kinds
    assert EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED not in kinds
    failure = events[-1].workflow_execution_failed_event_attributes.failure
    (detail,) = failure.application_failure_info.details.payloads
    ended: RunFailure = await decode(sealing, detail, RunFailure, of_thread(sealing, thread_id))
    assert ended.error_type == "StartRefusedError"
    assert ended.checkpoint is None
    return ended.message


async def test_a_start_does_not_run_under_another_id(
    client: Client, sealing: Client, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker(sealing, chain) as queue:
        _, checkpoint = await _thread(sealing, queue)
        payload = await start_of(client, checkpoint.thread_id)
        with caplog.at_level(logging.WARNING, "agent_framework_temporal.worker"):
            text = await _refused_start(client, sealing, payload, queue, unique("copy"))
        assert f"sealed for thread '{checkpoint.thread_id}' in namespace 'default', and not for this place" in text
        (logged,) = [record for record in caplog.records if record.name == "agent_framework_temporal.worker"]
        assert logged.getMessage().startswith("The start of thread 'copy-")
        assert "`input`" in logged.getMessage()


@pytest.mark.parametrize("kind", ["result", "superstep", "signal", "unsealed", "another key", "nothing", "garbage"])
async def test_nothing_else_is_a_start(kind: str, client: Client, sealing: Client) -> None:
    async with worker(sealing, chain) as queue:
        durable, checkpoint = await _thread(sealing, queue)
        thread_id = checkpoint.thread_id
        payload = Payload()
        if kind == "result":
            payload = (await results(client, thread_id))[-1]
        elif kind == "superstep":
            payload = (await inputs(client, thread_id))[0]
        elif kind == "signal":
            converter = sealing.data_converter.with_context(of_thread(sealing, thread_id))
            (payload,) = await converter.encode([{"workflow_name": "chain", "mode": "message", "message": {}}])
        elif kind == "unsealed":
            (payload,) = await client.data_converter.encode([{"workflow_name": "chain", "mode": "message"}])
        elif kind == "another key":
            stranger = await connect(client, k9=b"9" * 32)
            converter = stranger.data_converter.with_context(of_thread(stranger, thread_id))
            (payload,) = await converter.encode([{"workflow_name": "chain", "mode": "message"}])
        elif kind == "garbage":
            payload = Payload(metadata={"encoding": b"\xff\x00"}, data=b"\x80")
        text = await _refused_start(client, sealing, payload, queue, thread_id)
        expected = {
            "result": "sealed for supersteps of thread",
            "superstep": "sealed for supersteps of thread",
            "signal": "sealed as 'something else' and not as RunInput",
            "unsealed": "was not sealed",
            "another key": "key 'k9' has sealed it, and cannot be opened",
            "nothing": "was not sealed",
            "garbage": "was not sealed",
        }
        assert expected[kind] in text
        # The thread is as it was: what was refused is no part of it.
        assert (await durable.run("two", checkpoint=checkpoint)).get_outputs() == ["two>first>second>third done"]
        assert len(await durable.checkpoints(checkpoint)) == 12
        fresh = durable.checkpoint(thread_id)
        assert (await durable.run("three", checkpoint=fresh)).get_outputs() == ["three>first>second>third done"]


async def test_a_thread_that_only_others_have_begun_has_not(client: Client, sealing: Client) -> None:
    async with worker(sealing, chain) as queue:
        _, checkpoint = await _thread(sealing, queue)
        durable = DurableWorkflow(chain, client=sealing, task_queue=queue)
        thread_id = unique("copy")
        await _refused_start(client, sealing, await start_of(client, checkpoint.thread_id), queue, thread_id)
        with pytest.raises(ThreadNotFoundError, match="has no run"):
            await durable.checkpoints(thread_id)
        result = await durable.run("one", checkpoint=durable.checkpoint(thread_id))
        assert result.get_outputs() == ["one>first>second>third done"]


async def test_a_terminated_run_of_others_is_passed_over(client: Client, sealing: Client) -> None:
    """Nobody has refused it, as no worker took it up."""
    async with worker(sealing, chain) as queue:
        durable, checkpoint = await _thread(sealing, queue)
        payload = await start_of(client, checkpoint.thread_id)
        _, other = await _thread(sealing, queue)
        handle = await client.start_workflow(
            "AgentFrameworkWorkflow", RawValue(payload), id=other.thread_id, task_queue=unique("none")
        )
        await handle.terminate()
        result = await durable.run("two", checkpoint=durable.checkpoint(other.thread_id))
        assert result.get_outputs() == ["two>first>second>third done"]
        assert len(await durable.checkpoints(other.thread_id)) == 12


async def _answered(client: Client, durable: DurableWorkflow, checkpoint: Checkpoint, item: str) -> list[str]:
    """Answer a thread that waits while only a worker for workflow tasks runs; return the outputs, when they come."""
    answer = {f"approve-{item}": Decision(approved=True, by="ada")}
    return (await durable.run(responses=answer, checkpoint=checkpoint)).get_outputs()


@pytest.mark.parametrize("kind", ["superstep before", "run before", "own input", "own start", "failure before"])
async def test_a_superstep_takes_its_own_outcome_only(
    kind: str, client: Client, sealing: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Replays within a thread, where the place is the right one: the outcome says which superstep it answers."""
    queue = unique("queue")
    durable = DurableWorkflow(shop, client=sealing, task_queue=queue)
    checkpoint = durable.checkpoint()
    async with worker(sealing, shop, task_queue=queue):
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        await _answered(client, durable, checkpoint, "pen")
        before = await results(client, checkpoint.thread_id)
        await durable.run(Order(item="ink"), checkpoint=checkpoint)
    asked = await results(client, checkpoint.thread_id)
    copied = {
        "superstep before": asked[-1],
        "run before": before[-1],
        "own start": await start_of(client, checkpoint.thread_id),
        "failure before": before[-1],
    }
    async with worker(sealing, shop, task_queue=queue, no_remote_activities=True):
        given: list[Payload] = []

        def answer(number: int) -> Payload | Exception:
            payload = copied.get(kind, rogue.tasks[-1])
            given.append(payload)
            if kind == "failure before":
                return ApplicationError("pay me", RawValue(payload), non_retryable=True)
            return payload

        async with rogue_worker(client, queue, answer) as rogue:
            running = asyncio.ensure_future(_answered(client, durable, checkpoint, "ink"))
            async with asyncio.timeout(50):
                while len(given) < 2:
                    await asyncio.sleep(0.05)
        async with worker(await connect(client), shop, task_queue=queue):
            assert await running == ["ink approved by ada, order 2"]
            assert len(await durable.checkpoints(checkpoint)) == 8
    refused = {
        "superstep before": "It answers superstep",
        "run before": "It answers superstep",
        "own input": "sealed as 'SuperstepInput' and not as SuperstepResult",
        "own start": "is sealed for thread",
        "failure before": "was not sealed",
    }
    texts = [text for text in caplog.messages if text.startswith("The outcome of a superstep of thread")]
    assert len(texts) >= 2
    assert all(refused[kind] in text for text in texts)


async def test_a_signal_of_another_thread_is_no_answer(client: Client, sealing: Client) -> None:
    async with worker(sealing, shop) as queue:
        durable = DurableWorkflow(shop, client=sealing, task_queue=queue)
        first, second = durable.checkpoint(), durable.checkpoint()
        for checkpoint in (first, second):
            await durable.run(Order(item="pen"), checkpoint=checkpoint)
        await _answered(client, durable, first, "pen")
        (signal,) = [
            event.workflow_execution_signaled_event_attributes.input.payloads[0]
            for event in await history(client, first.thread_id)
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
        ]
        handle = client.get_workflow_handle(second.thread_id)
        await handle.signal("respond", RawValue(signal))
        page = await sealing.get_workflow_handle(second.thread_id).query("events", -1)
        (refused,) = [event for event in page["events"] if event["type"] == "response_rejected"]
        assert "it was sealed for another place, or altered since" in refused["error"]
        assert [each.request_id for each in await durable.pending_requests(second)] == ["approve-pen"]
        refusal = {"approve-pen": Decision(approved=False)}
        result = await durable.run(responses=refusal, checkpoint=second)
        assert result.get_outputs() == ["pen refused by nobody, order 1"]


async def test_threads_of_a_schedule(client: Client, sealing: Client) -> None:
    """What a schedule starts threads with is sealed for them all, and for nobody else."""
    async with worker(sealing, chain) as queue:
        durable = DurableWorkflow(chain, client=sealing, task_queue=queue)
        schedule_id = unique("schedule")
        handle = await durable.schedule(schedule_id, "daily", cron="0 0 1 1 *")
        try:
            await handle.trigger()
            thread_id = ""
            async with asyncio.timeout(50):
                while not thread_id:
                    for action in (await handle.describe()).info.recent_actions:
                        thread_id = action.action.workflow_id  # type: ignore[attr-defined]
                    await asyncio.sleep(0.1)
            assert thread_id.startswith(f"{schedule_id}-")
            result = await durable.run(checkpoint=durable.checkpoint(thread_id))
            assert result.get_outputs() == ["daily>first>second>third done"]
            again = await durable.run("more", checkpoint=durable.checkpoint(thread_id))
            assert again.get_outputs() == ["more>first>second>third done"]
            first = client.get_workflow_handle(thread_id, run_id=(await _runs(client, thread_id))[0])
            started = await anext(first.fetch_history_events())
            payload = started.workflow_execution_started_event_attributes.input.payloads[0]
            for other in (schedule_id, f"{schedule_id}-2", f"{schedule_id}-x-2026-01-01T00:00:00Z", unique("copy")):
                text = await _refused_start(client, sealing, payload, queue, other)
                assert f"sealed for schedule '{schedule_id}' in namespace 'default', and not for this place" in text
        finally:
            await handle.delete()


async def _runs(client: Client, thread_id: str) -> list[str]:
    """Return the runs of a thread, oldest first."""
    async with asyncio.timeout(50):
        while True:
            found = [run async for run in client.list_workflows(f"WorkflowId = '{thread_id}'")]
            if len(found) == 2:
                return [run.run_id for run in sorted(found, key=lambda run: run.start_time)]
            await asyncio.sleep(0.1)
