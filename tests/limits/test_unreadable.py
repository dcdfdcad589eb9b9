"""What Python holds and no reader of JSON takes: no thread is lost to it, and whoever has the types gets it exact."""

from __future__ import annotations

import json
from typing import Any

import pytest
from agent_framework import WorkflowEvent
from agent_framework_temporal import DurableWorkflow, RunFailedError
from temporalio.client import Client

from tests.limits._odd import ODD, odd, repr_of
from tests.support import worker


async def _read(durable: DurableWorkflow, thread_id: str) -> list[WorkflowEvent[Any]]:
    """Read all of a thread that is idle or waits."""
    return [event async for event in durable.run_stream(checkpoint=durable.checkpoint(thread_id), after=-1)]


def _of(events: list[WorkflowEvent[Any]], kind: str) -> list[Any]:
    return [event.data for event in events if event.type == kind]


@pytest.mark.parametrize("place", ["output", "message", "state", "request", "warning", "error"])
async def test_wherever_a_superstep_puts_it(place: str, client: Client) -> None:
    async with worker(client, odd) as task_queue:
        durable = DurableWorkflow(odd, client=client, task_queue=task_queue, max_attempts=1)
        plain = DurableWorkflow("odd", client=client, task_queue=task_queue)
        for name, make in ODD.items():
            checkpoint = durable.checkpoint()
            if place == "error":
                with pytest.raises((ValueError, RunFailedError)):
                    await durable.run([place, name], checkpoint=checkpoint)
                assert (await durable.run(["output", ""], checkpoint=checkpoint)).get_outputs() == ["plain", "done"]
                assert len(await durable.checkpoints(checkpoint)) == 3
                continue
            result = await durable.run([place, name], checkpoint=checkpoint)
            events = await _read(durable, checkpoint.thread_id)
            shown = await _read(plain, checkpoint.thread_id)
            assert [event.type for event in shown] == [event.type for event in events]
            json.dumps([event.data for event in shown if event.type in ("output", "request_info", "warning")])
            if place == "output":
                assert repr_of(result.get_outputs()[0]) == repr_of(make()) == repr_of(_of(events, "output")[0])
                assert _of(shown, "output")[1:] == ["done"]
            elif place == "message":
                assert result.get_outputs() == ["done", f"sink {[name]}"], name
            elif place == "warning":
                assert repr_of(_of(events, "warning")[0]) == repr_of(make())
            elif place == "request":
                assert repr_of(_of(events, "request_info")[0]) == repr_of(make())
                (request,) = await durable.pending_requests(checkpoint)
                request.model_dump_json()
                result = await durable.run(responses={"odd": "yes"}, checkpoint=checkpoint)
                assert result.get_outputs() == [f"yes {[name]}"]
            assert (await durable.run(["output", ""], checkpoint=checkpoint)).get_outputs() == ["plain", "done"]
            assert len(await durable.checkpoints(checkpoint)) >= 4
