"""An answer that comes while a workflow task runs, which the server keeps back until the task is over."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

from agent_framework_temporal import DurableWorkflow
from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.converter import PayloadCodec

from tests.functional._flows import review
from tests.support import worker


class _HeldCodec(PayloadCodec):
    """Changes nothing; holds the workflow task that takes in the next outcome of a superstep."""

    def __init__(self) -> None:
        self.armed = False
        self._outcome_written = False
        self.holds = asyncio.Event()
        self.released = asyncio.Event()

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        self._outcome_written = self.armed and (self._outcome_written or activity.in_activity())
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if self._outcome_written and not activity.in_activity():
            self.holds.set()
            await self.released.wait()
        return list(payloads)


async def test_a_follower_does_not_take_the_pause_before_it_for_the_end(client: Client) -> None:
    codec = _HeldCodec()
    config: Any = client.config()
    config["data_converter"] = dataclasses.replace(client.data_converter, payload_codec=codec)
    async with worker(Client(**config), review) as task_queue:
        durable = DurableWorkflow(review, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run("tides", checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        codec.armed = True
        await handle.signal("respond", {"request_id": "auto::0", "response": {"accepted": True}})
        await codec.holds.wait()
        await handle.signal("respond", {"request_id": "auto::1", "response": "Ann"})
        stream = durable.run_stream(checkpoint=checkpoint)
        # The superstep's outcome is in the history, and the workflow has taken in neither that nor the second answer.
        events = [await anext(stream)]
        codec.released.set()
        events += [event async for event in stream]
    assert [event.data for event in events if event.type == "output"] == ["published tides for Ann"]
