"""What a caller gives is refused before anything is started or sent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from agent_framework_temporal import DurableWorkflow, PayloadError
from temporalio.client import Client
from temporalio.service import RPCError

from tests.flows import Decision, shop
from tests.flows import Order as ShopOrder
from tests.limits._flows import Order, hoard, noise
from tests.support import worker


@pytest.mark.parametrize("size", [1_950_000, 3_000_000, 6_000_000])
async def test_message(size: int, client: Client) -> None:
    durable = DurableWorkflow("echo", client=client, task_queue="none")
    checkpoint = durable.checkpoint()
    with pytest.raises(PayloadError, match=r"The message is too large: it takes .* configure external storage"):
        await durable.run("x" * size, checkpoint=checkpoint)
    with pytest.raises(RPCError, match="not found"):
        await client.get_workflow_handle(checkpoint.thread_id).describe()


async def test_kwargs(client: Client) -> None:
    durable = DurableWorkflow("echo", client=client, task_queue="none")
    with pytest.raises(PayloadError, match="too large"):
        await durable.run("a", function_invocation_kwargs={"data": "x" * 2_000_000})


@pytest.mark.parametrize("text", ["x", "字", "\x00"], ids=["ascii", "wide", "escaped"])
async def test_responses(text: str, client: Client) -> None:
    """The largest that is taken comes through; what is larger is not sent."""
    async with worker(client, hoard) as task_queue:
        durable = DurableWorkflow(hoard, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(request=100_000), checkpoint=checkpoint)
        with pytest.raises(PayloadError, match="The responses are too large: they take"):
            await durable.run(responses={"large": text * 400_000}, checkpoint=checkpoint)
        length = 380_000 // len(text.encode()) if text != "\x00" else 60_000
        result = await durable.run(responses={"large": text * length}, checkpoint=checkpoint)
        assert result.get_outputs() == [f"100000 {length}"]


async def test_responses_of_a_new_run(client: Client) -> None:
    """To requests that are pending in a checkpoint: they are part of the run's input, and of a superstep's."""
    async with worker(client, hoard) as task_queue:
        durable = DurableWorkflow(hoard, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(request=100_000), checkpoint=checkpoint)
        forked = durable.checkpoint()
        with pytest.raises(PayloadError, match="The responses are too large"):
            await durable.run(
                responses={"large": "x" * 500_000}, checkpoint_id=checkpoint.checkpoint_id, checkpoint=forked
            )
        result = await durable.run(
            responses={"large": "x" * 380_000}, checkpoint_id=checkpoint.checkpoint_id, checkpoint=forked
        )
        assert result.get_outputs() == ["100000 380000"]


async def test_signal_of_another_sender(client: Client) -> None:
    """One that fits Temporal and not the run: it is rejected, and the request still waits."""
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue, heartbeat_timeout=timedelta(seconds=5))
        checkpoint = durable.checkpoint()
        await durable.run(ShopOrder(item="pen"), checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        for size, why in ((1_100_000, "cannot wait at once"), (1_500_000, "bytes, over 1,200,000")):
            await handle.signal("respond", {"request_id": "approve-pen", "response": {"by": noise(size)}})
            page = await handle.query("events", args=[-1, 500])
            assert why in page["events"][-1]["error"]
        result = await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=checkpoint)
        assert result.get_outputs() == ["pen approved by nobody, order 1"]
