"""`temporal workflow reset`: a kept handle and a live reader go on from the point the run was reset to."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from agent_framework import WorkflowEvent, WorkflowRunState
from agent_framework_temporal import (
    Checkpoint,
    DurableWorkflow,
    LiveEventsDiscarded,
    StaleCheckpointError,
    position_of,
)
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from tests.flows import Decision, Order, chain, countdown, echo, shop
from tests.http._serving import api, begun, read_stream, whole_stream
from tests.operators.conftest import Temporal
from tests.support import worker


def _offsets(events: list[WorkflowEvent[Any]]) -> list[int]:
    return [position.offset for event in events if (position := position_of(event)) is not None]


async def _decision(client: Client, thread_id: str, number: int, run_id: str | None = None) -> str:
    """Return the id of the event in which the workflow made its decision of this number, from 0."""
    history = client.get_workflow_handle(thread_id, run_id=run_id).fetch_history_events()
    kind = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    return [str(event.event_id) async for event in history if event.event_type == kind][number]


async def _reset(temporal: Temporal, thread_id: str, event_id: str, *flags: str) -> None:
    await temporal("workflow", "reset", "-w", thread_id, "-e", event_id, "--reason", "a test", *flags)


async def test_kept_handle_reads_on_from_the_reset_point(
    client: Client, temporal: Temporal, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        before = [event async for event in durable.run_stream("a", checkpoint=checkpoint)]
        await _reset(temporal, checkpoint.thread_id, await _decision(client, checkpoint.thread_id, 2))
        caplog.clear()
        again = [event async for event in durable.run_stream(checkpoint=checkpoint)]
        # Two of five supersteps were committed at that point.
        kept = [event.type for event in before].index("superstep_completed", 6) + 1
        assert _offsets(again) == _offsets(before)[kept:]
        assert [(event.type, event.data) for event in again] == [(event.type, event.data) for event in before[kept:]]
        assert "was reset to a point before events that its stream has already delivered" in caplog.text
        assert "workflow task" not in caplog.text
        # It is the handle of a thread like any other.
        assert (await durable.run("b", checkpoint=checkpoint)).get_outputs() == ["b>first>second>third done"]


@pytest.mark.parametrize("reapplied", [True, False])
async def test_answer_that_is_undone(client: Client, temporal: Temporal, reapplied: bool) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run([Order(item="pen"), Order(item="ink")], checkpoint=checkpoint)
        await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=checkpoint)
        flags = () if reapplied else ("--reapply-exclude", "All")
        await _reset(temporal, checkpoint.thread_id, await _decision(client, checkpoint.thread_id, 0), *flags)
        result = await durable.run(checkpoint=checkpoint)
        assert result.get_outputs() == (["pen approved by nobody, order 2"] if reapplied else [])
        assert result.get_final_state() == WorkflowRunState.IDLE_WITH_PENDING_REQUESTS
        waiting = [request.request_id for request in await durable.pending_requests(checkpoint)]
        assert waiting == (["approve-ink"] if reapplied else ["approve-pen", "approve-ink"])
        await durable.run(
            responses={request_id: Decision(approved=True) for request_id in waiting}, checkpoint=checkpoint
        )
        assert durable.status == WorkflowRunState.IDLE


@pytest.mark.parametrize("stream", [True, False])
async def test_live_reader_goes_on(
    client: Client,
    temporal: Temporal,
    stream: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("TESTS_DELAY", "0.4")
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        response_stream = durable.run("a", checkpoint=checkpoint, stream=True) if stream else None
        running = asyncio.ensure_future(
            response_stream.get_final_response()
            if response_stream is not None
            else durable.run("a", checkpoint=checkpoint)
        )
        # A handle of `run()` is told of quick supersteps at the end only.
        while checkpoint.run_id is None or len(await durable.checkpoints(checkpoint.thread_id)) < 3:
            await asyncio.sleep(0.05)
        first_run_id = checkpoint.run_id
        await _reset(temporal, checkpoint.thread_id, await _decision(client, checkpoint.thread_id, 1))
        monkeypatch.setenv("TESTS_DELAY", "0")
        result = await running
        assert checkpoint.run_id != first_run_id
        assert result.get_outputs() == ["a>first>second>third done"]
        local = await (chain().run("a", stream=True).get_final_response() if stream else chain().run("a"))
        assert [(event.type, event.data) for event in result] == [(event.type, event.data) for event in local]
        assert "workflow task" not in caplog.text


async def test_reader_is_told_what_is_void(client: Client, temporal: Temporal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_DELAY", "0.3")
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
        events: list[WorkflowEvent[Any]] = []
        checkpoint = durable.checkpoint()
        async for event in durable.run_stream("a", checkpoint=checkpoint):
            events.append(event)
            first = not any(isinstance(before, LiveEventsDiscarded) for before in events)
            if first and event.type == "superstep_completed" and event.iteration == 3:
                await _reset(temporal, checkpoint.thread_id, await _decision(client, checkpoint.thread_id, 1))
                monkeypatch.setenv("TESTS_DELAY", "0")
        (void,) = [event for event in events if isinstance(event, LiveEventsDiscarded)]
        assert void.attempt is None
        given = events[: events.index(void)]
        completed = [event.type for event in given].index("superstep_completed")
        # One superstep was committed at that point; what it has not happened since includes what came live.
        assert list(void.offsets) == _offsets(given)[completed + 1 :]
        after = events[events.index(void) + 1 :]
        assert _offsets(after) == list(range(void.offsets[0], _offsets(after)[-1] + 1))


async def test_which_reset_counts(client: Client, temporal: Temporal) -> None:
    """Of several resets it is that of the run a handle has seen."""
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
        original = durable.checkpoint()
        events = [event async for event in durable.run_stream("a", checkpoint=original)]
        thread_id = original.thread_id
        await _reset(temporal, thread_id, await _decision(client, thread_id, 1))
        second = durable.checkpoint(thread_id)
        await durable.run(checkpoint=second)
        await _reset(temporal, thread_id, await _decision(client, thread_id, 3))
        ends = [
            offset
            for event, offset in zip(events, _offsets(events), strict=True)
            if event.type == "superstep_completed"
        ]
        for handle, left in ((original, 0), (second, 2)):
            kept = Checkpoint.from_json(handle.to_json())
            again = [event async for event in durable.run_stream(checkpoint=kept)]
            assert _offsets(again)[0] == ends[left] + 1
            assert kept.offset == _offsets(events)[-1]


async def test_run_that_continued_as_new(client: Client, temporal: Temporal) -> None:
    """A handle of a later run of the chain is cut, too; one of an earlier run is not."""
    async with worker(client, countdown) as task_queue:
        durable = DurableWorkflow(countdown, client=client, task_queue=task_queue, supersteps_per_run=4)
        checkpoint = durable.checkpoint()
        handles: dict[str, str] = {}
        events: list[WorkflowEvent[Any]] = []
        async for event in durable.run_stream(10, checkpoint=checkpoint):
            events.append(event)
            handles.setdefault(checkpoint.run_id or "", checkpoint.to_json())
        first, second, third = handles
        handles[third] = checkpoint.to_json()
        decision = await _decision(client, checkpoint.thread_id, 2, second)
        await _reset(temporal, checkpoint.thread_id, decision, "-r", second)
        outputs = [event.data for event in events if event.type == "output"]
        # Four supersteps of the first run, and two of the second.
        expected = {first: outputs, second: outputs[6:], third: outputs[6:]}
        for run_id in (first, second, third):
            handle = Checkpoint.from_json(handles[run_id])
            if run_id == first:
                handle.offset = -1
            elif run_id == second:
                handle.offset = _offsets(events)[-1]
            result = await durable.run(checkpoint=handle)
            assert result.get_outputs() == expected[run_id]
            assert handle.offset == _offsets(events)[-1]


async def test_earlier_run_of_a_thread(client: Client, temporal: Temporal) -> None:
    """A reset takes the messages after it away; a handle of theirs goes on from there."""
    async with worker(client, echo) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run("one", checkpoint=checkpoint)
        first_run_id = checkpoint.run_id or ""
        await durable.run("two", checkpoint=checkpoint)
        decision = await _decision(client, checkpoint.thread_id, 0, first_run_id)
        await _reset(temporal, checkpoint.thread_id, decision, "-r", first_run_id)
        assert (await durable.run(checkpoint=checkpoint)).get_outputs() == ["one 1"]
        assert (await durable.run("three", checkpoint=checkpoint)).get_outputs() == ["three 2"]


async def test_two_callers_are_still_told_apart(client: Client, temporal: Temporal) -> None:
    async with worker(client, echo) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run("one", checkpoint=checkpoint)
        await _reset(temporal, checkpoint.thread_id, await _decision(client, checkpoint.thread_id, 0))
        await durable.run(checkpoint=checkpoint)
        other = Checkpoint.from_json(checkpoint.to_json())
        await durable.run("two", checkpoint=other)
        with pytest.raises(StaleCheckpointError, match="Two callers write to one thread"):
            await durable.run("three", checkpoint=checkpoint)


async def test_nothing_is_logged_of_a_failure(
    client: Client, temporal: Temporal, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker(client, echo) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run("one", checkpoint=checkpoint)
        await _reset(temporal, checkpoint.thread_id, await _decision(client, checkpoint.thread_id, 0))
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            result = await durable.run_stream(
                checkpoint=durable.checkpoint(checkpoint.thread_id), after=-1
            ).get_final_response()
        assert result.get_outputs() == ["one 1"]
        assert not caplog.records


async def test_a_browser_that_was_away_is_told_what_is_void(client: Client, temporal: Temporal) -> None:
    """By its `Last-Event-ID`; and one that was there while the thread rested reads on as well."""
    async with worker(client, chain) as queue, api(client, chain, task_queue=queue) as http:
        thread = await begun(http, "chain", "a")
        given = await whole_stream(http, thread)
        there = read_stream(http, thread, follow=True)
        while (await anext(there)).name != "standing":
            pass
        await _reset(temporal, thread, await _decision(client, thread, 2))
        back = await whole_stream(http, thread, last=given[-1].id)
        stayed = [await anext(there) for _ in back]
        await there.aclose()
        nothing_new = await whole_stream(http, thread, last=back[-1].id)
    for found in (back, stayed):
        void, *rest = found
        assert (void.data["type"], void.data["attempt"]) == ("live_events_discarded", None)
        offsets = [sent.data["offset"] for sent in rest if sent.name == "message"]
        assert void.data["offsets"] == offsets == list(range(offsets[0], len(given) - 1))
        assert offsets[0] > 0 and rest[-1].data["state"] == "idle"
    assert [sent.name for sent in nothing_new] == ["end"]
