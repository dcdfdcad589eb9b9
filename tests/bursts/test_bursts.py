"""A burst is one activity, and all else is as with an activity for each superstep."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from agent_framework import WorkflowEvent
from agent_framework_temporal import DurableWorkflow, HistoryCheckpointStorage
from agent_framework_temporal.adapter.client.event_position import EventPosition, position_of
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from tests.checkpoints._threads import assert_lineage
from tests.flows import countdown
from tests.support import worker

LONG = timedelta(minutes=1)


async def scheduled(client: Client, thread_id: str) -> int:
    """Count the activities of a thread's last run."""
    history = await client.get_workflow_handle(thread_id).fetch_history()
    return sum(event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED for event in history.events)


def place(event: WorkflowEvent[Any]) -> EventPosition:
    """Return where an event of the thread stands."""
    position = position_of(event)
    assert position is not None
    return position


def _told(events: list[WorkflowEvent[Any]]) -> list[Any]:
    return [(event.type, event.executor_id, event.iteration, event.data) for event in events]


async def test_forty_supersteps_in_one_activity(client: Client) -> None:
    """The same events, offsets and checkpoints; 6 history events a burst."""
    async with worker(client, countdown) as task_queue:
        strict = DurableWorkflow(countdown, client=client, task_queue=task_queue)
        durable = DurableWorkflow(countdown, client=client, task_queue=task_queue, burst=LONG)
        alone, thread = strict.checkpoint(), durable.checkpoint()
        expected = [event async for event in strict.run_stream(39, checkpoint=alone)]
        events = [event async for event in durable.run_stream(39, checkpoint=thread)]
        assert _told(events) == _told(expected)
        assert [place(event).offset for event in events] == list(range(len(events)))
        assert [place(event).superstep for event in events] == [place(one).superstep for one in expected]
        assert await scheduled(client, thread.thread_id) == 1
        infos = await durable.checkpoints(thread)
        assert_lineage(infos)
        others = await strict.checkpoints(alone)
        assert [(info.kind, info.superstep, info.state) for info in infos] == [
            (info.kind, info.superstep, info.state) for info in others
        ]
        storage = HistoryCheckpointStorage(client, countdown, checkpoint=thread)
        inner = await storage.load(infos[7].checkpoint_id)
        assert inner.state["counted"] == inner.iteration_count == 7
        forked = durable.checkpoint()
        result = await durable.run(checkpoint_id=infos[7].checkpoint_id, checkpoint=forked)
        assert result.get_outputs() == [f"{left} left" for left in range(32, -1, -1)]
        assert_lineage(await durable.checkpoints(forked), origin=infos[7].checkpoint_id)
        again = (await durable.run(2, checkpoint=thread)).get_outputs()
        assert again == ["2 left", "1 left", "0 left"]
