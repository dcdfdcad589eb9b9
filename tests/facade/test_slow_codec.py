"""A payload codec that takes longer than heartbeats may stay out: no attempt is taken for lost over it."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler
from agent_framework_temporal import DurableWorkflow
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.converter import PayloadCodec

from tests.support import worker

_TIMEOUT = timedelta(seconds=2)
_SECONDS = 1.2
Wait = Callable[[], Awaitable[None]]


class _SlowCodec(PayloadCodec):
    """Changes nothing, slowly: a key service that is far away, or one asked without `await`."""

    def __init__(self, wait: Wait) -> None:
        self._wait = wait

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return await self._each(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return await self._each(payloads)

    async def _each(self, payloads: Sequence[Payload]) -> list[Payload]:
        for _ in payloads:
            await self._wait()
        return list(payloads)


async def _sleeping() -> None:
    await asyncio.sleep(_SECONDS)


async def _blocking() -> None:
    time.sleep(_SECONDS)  # noqa: ASYNC251 - that is what is tested


class Flaky(Executor):
    """Fails as often as it is asked to."""

    begun = 0

    @handler
    async def run(self, failures: int, ctx: WorkflowContext[str, str]) -> None:
        """Fail, or say which attempt this is."""
        Flaky.begun += 1
        if Flaky.begun <= failures:
            raise ConnectionError("not yet")
        await ctx.yield_output(f"attempt {Flaky.begun}")


def flaky() -> Workflow:
    """Build it."""
    return WorkflowBuilder(name="flaky", start_executor=Flaky(id="flaky")).build()


async def _attempts(client: Client, thread_id: str) -> list[int]:
    """Return the attempts of a thread's supersteps that ended them."""
    history = client.get_workflow_handle(thread_id).fetch_history_events()
    return [
        event.activity_task_started_event_attributes.attempt
        async for event in history
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED
    ]


@pytest.mark.parametrize(
    ("wait", "failures", "stream"), [(_sleeping, 0, False), (_sleeping, 1, True), (_blocking, 1, False)]
)
async def test_no_attempt_is_lost(client: Client, wait: Wait, failures: int, stream: bool) -> None:
    """Whether it decodes the input, what the last attempt said, or encodes a result, a failure or live events."""
    config: Any = client.config()
    config["data_converter"] = dataclasses.replace(client.data_converter, payload_codec=_SlowCodec(wait))
    slow = Client(**config)
    Flaky.begun = 0
    async with worker(slow, flaky) as task_queue:
        durable = DurableWorkflow(
            flaky,
            client=client,
            task_queue=task_queue,
            heartbeat_timeout=_TIMEOUT,
            max_attempts=2,
            retry_initial_interval=timedelta(milliseconds=10),
            worker_timeout=timedelta(seconds=60),
        )
        checkpoint = durable.checkpoint()
        if stream:
            result = await durable.run(failures, checkpoint=checkpoint, stream=True).get_final_response()
        else:
            result = await durable.run(failures, checkpoint=checkpoint)
    assert result.get_outputs() == [f"attempt {failures + 1}"]
    assert Flaky.begun == failures + 1
    assert await _attempts(client, checkpoint.thread_id) == [failures + 1]
