"""Data that fits a payload once compressed fits: of an output, of several, of a request; and everyone can read it."""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework import WorkflowEvent
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client

from tests.limits._flows import Order, hoard, noise
from tests.support import worker

_LARGE = 1_500_000


async def _all(durable: DurableWorkflow, thread_id: str) -> list[WorkflowEvent[Any]]:
    return [event async for event in durable.run_stream(checkpoint=durable.checkpoint(thread_id), after=-1)]


def _data(events: list[WorkflowEvent[Any]], kind: str) -> list[Any]:
    return [event.data for event in events if event.type == kind]


@pytest.mark.parametrize(
    "order",
    [
        Order(output=_LARGE),
        Order(output=300_000, outputs=5),
        Order(output=1_000, outputs=1_500),
        Order(output=60_000, outputs=20),
    ],
    ids=["one", "five", "many small", "twenty"],
)
@pytest.mark.parametrize("cache_bytes", [0, 100_000_000], ids=["uncached", "cached"])
async def test_outputs(cache_bytes: int, order: Order, client: Client) -> None:
    expected = [noise(order.output, number) for number in range(order.outputs)]
    async with worker(client, hoard, cache_bytes=cache_bytes) as task_queue:
        durable = DurableWorkflow(hoard, client=client, task_queue=task_queue)
        plain = DurableWorkflow("hoard", client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        result = await durable.run(order, checkpoint=checkpoint)
        assert result.get_outputs() == [*expected, "sink 0"]
        for reader in (durable, plain):
            assert _data(await _all(reader, checkpoint.thread_id), "output") == [*expected, "sink 0"]
        handle = client.get_workflow_handle(checkpoint.thread_id)
        outputs = (await handle.result())["outputs"]
        assert outputs[-1] == "sink 0"
        assert all(output in [*expected, "sink 0"] for output in outputs)
        assert len((await handle.query("events", args=[-1, 5_000]))["events"]) > min(order.outputs, 500)
        description = await handle.describe()
        assert description.raw_description.workflow_execution_info.history_size_bytes < 2_000_000
        assert (await durable.run(Order(), checkpoint=checkpoint)).get_outputs() == ["order 2", "sink 0"]


@pytest.mark.parametrize("reader", ["typed", "by-name"])
async def test_a_request(reader: str, client: Client) -> None:
    """It is asked, read by whoever follows, also after another was answered, and answered."""
    async with worker(client, hoard) as task_queue:
        durable = DurableWorkflow(hoard if reader == "typed" else "hoard", client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        asked = (await durable.run({"request": _LARGE}, checkpoint=checkpoint)).get_request_info_events()
        assert [event.data for event in asked] == [noise(_LARGE, 2)]
        again = (await durable.run(checkpoint=durable.checkpoint(checkpoint.thread_id))).get_request_info_events()
        assert [event.data for event in again] == [noise(_LARGE, 2)]
        (request,) = await durable.pending_requests(checkpoint)
        assert (request.request, request.request_bytes, request.readable) == (None, _LARGE + 2, None)
        assert request.response_schema == {"type": "string"}
        result = await durable.run(responses={"large": "yes"}, checkpoint=checkpoint)
        assert result.get_outputs() == [f"{_LARGE} 3"]


async def test_requests_that_add_up(client: Client) -> None:
    """Those that have no room any more say how large they are; each is answered."""
    async with worker(client, hoard) as task_queue:
        durable = DurableWorkflow(hoard, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(request=40_000, requests=20), checkpoint=checkpoint)
        pending = await durable.pending_requests(checkpoint)
        shown = [request for request in pending if request.request is not None]
        assert 3 < len(shown) < 20
        assert all(request.request_bytes == 40_002 for request in pending if request.request is None)
        answers = {request.request_id: "yes" for request in pending}
        result = await durable.run(responses=answers, checkpoint=checkpoint)
        assert result.get_outputs() == ["40000 3"] * 20
