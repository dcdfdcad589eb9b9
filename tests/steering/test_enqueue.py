"""Messages that wait for their turn: in order, once, over continue-as-new and lost workers, each to its own caller."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from agent_framework import WorkflowRunResult
from agent_framework_temporal import (
    AlreadyRunningError,
    DurableWorkflow,
    MessageRefusedError,
    QueueFullError,
)
from agent_framework_temporal.workflows import limits
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from tests.steering._line import Folder, Work, line, queued, task_of
from tests.support import unique, worker, worker_process


async def _accepted(client: Client, thread_id: str, count: int) -> None:
    """Wait for updates by history: a worker without a cache drops tasks where queries come beside updates."""
    accepted = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
    async with asyncio.timeout(60):
        async for event in client.get_workflow_handle(thread_id).fetch_history_events(wait_new_event=True):
            count -= event.event_type == accepted
            if not count:
                return


async def _in_process(*texts: str) -> list[list[Any]]:
    workflow = line()
    return [(await workflow.run(Work(text=text))).get_outputs() for text in texts]


def _types(result: WorkflowRunResult) -> list[str]:
    return [event.type for event in result]


@pytest.mark.parametrize("options", [{}, {"max_cached_workflows": 0, "cache_bytes": 0}], ids=["cached", "uncached"])
async def test_each_caller_is_given_the_events_of_its_own_message(
    client: Client, gates: Folder, options: dict[str, Any]
) -> None:
    texts = ["one", "two", "three"]
    expected = await _in_process(*texts)
    alone = await line().run(Work(text="one"))
    async with worker(client, line, **options) as task_queue:
        # A task that a worker without a cache drops is tried again by the server after ten seconds.
        patient = timedelta(minutes=1)
        facades = [DurableWorkflow(line, client=client, task_queue=task_queue, worker_timeout=patient) for _ in texts]
        thread = facades[0].checkpoint()
        gates.hold("middle", "one")
        calls = [task_of(facades[0].run(Work(text="one"), checkpoint=thread))]
        await gates.begun("middle", "one")
        with pytest.raises(AlreadyRunningError):
            await facades[1].run(Work(text="two"), checkpoint=facades[1].checkpoint(thread.thread_id))
        for number, text in enumerate(texts[1:], 1):
            facade = facades[number]
            call = facade.run(Work(text=text), checkpoint=facade.checkpoint(thread.thread_id), when_running="enqueue")
            calls.append(task_of(call))
            await _accepted(client, thread.thread_id, number)
        shown = await facades[0].queued_messages(thread.thread_id)
        assert [message.message for message in shown] == ['{"text":"two"}', '{"text":"three"}']
        gates.let("middle", "one")
        results = await asyncio.gather(*calls)
        assert [result.get_outputs() for result in results] == expected
        for result in results:
            assert _types(result) == _types(alone)
        # One who reads the whole thread is given all of it, once.
        whole = [event async for event in facades[0].run_stream(checkpoint=thread.thread_id, after=-1)]
        assert [event.data for event in whole if event.type == "output"] == [text for (text,) in expected]
        # It is one thread: in one run, idle at its end.
        description = await client.get_workflow_handle(thread.thread_id).describe()
        assert description.run_id == thread.run_id
        assert await facades[0].queued_messages(thread.thread_id) == []


async def test_one_facade_may_send_several(client: Client, gates: Folder) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue, when_running="enqueue")
        gates.hold("first", "one")
        calls = [task_of(durable.run(Work(text="one")))]
        await gates.begun("first", "one")
        calls.append(task_of(durable.run(Work(text="two"))))
        await asyncio.sleep(0.5)
        calls.append(task_of(durable.run(Work(text="three"))))
        await asyncio.sleep(0.5)
        gates.let("first", "one")
        results = await asyncio.gather(*calls)
        assert [result.get_outputs() for result in results] == await _in_process("one", "two", "three")


async def test_it_lives_through_continue_as_new_and_lost_workers(client: Client, gates: Folder) -> None:
    texts = ["one", "two", "three", "four"]
    task_queue = unique("queue")
    flows = ("tests.steering._line:line",)
    durable = DurableWorkflow(line, client=client, task_queue=task_queue, supersteps_per_run=2, when_running="enqueue")
    thread = durable.checkpoint()
    gates.hold("middle", "one")
    async with worker_process(client, task_queue, workflows=flows) as process:
        calls = [task_of(durable.run(Work(text="one"), checkpoint=thread))]
        await gates.begun("middle", "one")
        for number, text in enumerate(texts[1:], 1):
            other = DurableWorkflow(line, client=client, task_queue=task_queue)
            call = other.run(Work(text=text), checkpoint=other.checkpoint(thread.thread_id), when_running="enqueue")
            calls.append(task_of(call))
            await queued(durable, thread.thread_id, number)
        process.kill()
        await process.wait()
    gates.let("middle", "one")
    async with worker_process(client, task_queue, workflows=flows):
        results = await asyncio.wait_for(asyncio.gather(*calls), 120)
    assert [result.get_outputs() for result in results] == await _in_process(*texts)
    runs = {info.run_id for info in await durable.checkpoints(thread.thread_id)}
    assert len(runs) > 3


async def test_one_may_be_withdrawn(client: Client, gates: Folder) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue, when_running="enqueue")
        thread = durable.checkpoint()
        gates.hold("first", "one")
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("first", "one")
        second = task_of(durable.run(Work(text="two"), checkpoint=thread.thread_id))
        (two,) = await queued(durable, thread.thread_id, 1)
        third = task_of(durable.run(Work(text="three"), checkpoint=thread.thread_id))
        await queued(durable, thread.thread_id, 2)
        await durable.withdraw(two, thread.thread_id, responder="ada")
        with pytest.raises(MessageRefusedError, match="withdrawn by ada"):
            await asyncio.wait_for(second, 50)
        with pytest.raises(MessageRefusedError, match="not in the queue"):
            await durable.withdraw(two, thread.thread_id)
        gates.let("first", "one")
        results = await asyncio.gather(first, third)
        assert [result.get_outputs() for result in results] == await _in_process("one", "three")
        status = await durable.steering(thread.thread_id)
        assert [refused.message_id for refused in status.refused_messages] == [two]


async def test_any_language_by_signal_and_update(client: Client, gates: Folder) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        gates.hold("first", "one")
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("first", "one")
        handle = client.get_workflow_handle(thread.thread_id)
        receipt = await handle.execute_update("message", {"message": {"text": "two"}, "when_running": "enqueue"})
        assert receipt["position"] == 0
        sent = {"message": {"text": "three"}, "message_id": "third"}
        await handle.signal("message", sent)
        await handle.signal("message", sent)  # Sent again, it is taken once.
        await handle.signal("message", {"message": {"words": 7}, "message_id": "misfit"})
        await handle.signal("message", {"message": {"text": "unfit"}, "message_id": "unfit"})
        await handle.signal("message", {"nothing": 7})
        await handle.signal("message", {"message": {"text": "five"}, "message_id": "fifth"})
        ids = await queued(durable, thread.thread_id, 4)
        assert ids == [receipt["message_id"], "third", "unfit", "fifth"]
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await handle.execute_update("message", {"message": 7, "when_running": "later"})
        assert isinstance(caught.value.cause, ApplicationError)
        assert caught.value.cause.type == "MessageRefused"
        for misfit, place in (
            (7, "message: the value is not"),
            ({"text": 7}, "text: the value is not"),
            ([{}], "message: "),
        ):
            with pytest.raises(WorkflowUpdateFailedError, match="update failed") as caught:
                await handle.execute_update("message", {"message": misfit, "when_running": "interrupt"})
            assert isinstance(caught.value.cause, ApplicationError)
            assert caught.value.cause.type == "MessageUnfit"
            assert place in caught.value.cause.message
        await handle.execute_update("withdraw", {"message_id": "fifth"})
        gates.let("first", "one")
        assert (await first).get_outputs() == (await _in_process("one"))[0]
        whole = [event async for event in durable.run_stream(checkpoint=thread.thread_id, after=-1)]
        texts = await _in_process("one", "two", "three")
        assert [event.data for event in whole if event.type == "output"] == [text for (text,) in texts]
        refused = {one.message_id: one.error for one in (await durable.steering(thread)).refused_messages}
        assert "cannot handle input of type" in refused["unfit"]
        assert 'cannot handle input of type dict: message: "text" is a required property' in refused["misfit"]
        events = (await handle.query("events"))["events"]
        told = {event["data"]: event["error"] for event in events if event["type"] == "message_refused"}
        assert told == refused
        assert "withdrawn" in refused["fifth"]
        assert sum("message: Field required" in error for error in refused.values()) == 1
        # The thread is as good as before.
        last = await durable.run(Work(text="last"), checkpoint=durable.checkpoint(thread.thread_id))
        assert last.get_outputs() == (await _in_process("one", "two", "three", "last"))[-1]


async def test_what_the_worker_refuses_reaches_its_own_caller(client: Client, gates: Folder) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue, when_running="enqueue")
        thread = durable.checkpoint()
        gates.hold("first", "one")
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("first", "one")
        with pytest.raises(MessageRefusedError, match="cannot handle input of type int"):  # It needs no worker.
            await durable.run(7, checkpoint=thread.thread_id)
        unfit = task_of(durable.run({"text": "unfit"}, checkpoint=thread.thread_id))
        await queued(durable, thread.thread_id, 1)
        third = task_of(durable.run(Work(text="three"), checkpoint=thread.thread_id))
        await queued(durable, thread.thread_id, 2)
        gates.let("first", "one")
        with pytest.raises(MessageRefusedError, match="cannot handle input of type dict"):
            await unfit
        results = await asyncio.gather(first, third)
        assert [result.get_outputs() for result in results] == await _in_process("one", "three")


async def test_a_turn_that_fails_is_its_own_callers(client: Client, gates: Folder) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue, when_running="enqueue", max_attempts=1)
        thread = durable.checkpoint()
        gates.hold("first", "one")
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("first", "one")
        failing = task_of(durable.run(Work(text="fail"), checkpoint=thread.thread_id))
        await queued(durable, thread.thread_id, 1)
        third = task_of(durable.run(Work(text="three"), checkpoint=thread.thread_id))
        await queued(durable, thread.thread_id, 2)
        gates.let("first", "one")
        with pytest.raises(ValueError, match="told to fail"):
            await failing
        assert (await first).get_outputs() == ["one: first one, middle one, last one"]
        done = "first one, middle one, last one, first fail, first three, middle three, last three"
        assert (await third).get_outputs() == [f"three: {done}"]
        # As in the threads of today, where the next message comes after the run has failed.
        other = DurableWorkflow(line, client=client, task_queue=task_queue, max_attempts=1)
        await other.run(Work(text="one"))
        with pytest.raises(ValueError, match="told to fail"):
            await other.run(Work(text="fail"))
        assert (await other.run(Work(text="three"))).get_outputs() == [f"three: {done}"]


async def test_it_is_bounded(client: Client, gates: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_MESSAGES", 2)
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue, when_running="enqueue")
        thread = durable.checkpoint()
        gates.hold("first", "one")
        first = task_of(durable.run(Work(text="one"), checkpoint=thread))
        await gates.begun("first", "one")
        handle = client.get_workflow_handle(thread.thread_id)
        with pytest.raises(QueueFullError, match="reference"):
            await durable.run(Work(text="x" * limits.MAX_MESSAGES_BYTES), checkpoint=thread.thread_id)
        for text in ("two", "three"):
            await handle.signal("message", {"message": {"text": text}})
        await queued(durable, thread.thread_id, 2)
        with pytest.raises(QueueFullError, match="2 messages"):
            await durable.run(Work(text="four"), checkpoint=thread.thread_id)
        await handle.signal("message", {"message": {"text": "five"}, "message_id": "fifth"})
        gates.let("first", "one")
        await first
        await handle.result()
        refused = (await durable.steering(thread)).refused_messages
        assert [one.message_id for one in refused] == ["fifth"]
