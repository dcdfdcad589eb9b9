"""Somebody without a key who may do all that the server lets one do: start, signal, poll, read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from agent_framework_temporal import sealing_data_converter
from agent_framework_temporal.adapter.temporal.converter import FramedPayloadConverter
from agent_framework_temporal.workflows.messages import SUPERSTEP_ACTIVITY
from temporalio import activity
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollWorkflowTaskQueueRequest, RespondWorkflowTaskCompletedRequest
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.worker import Worker

Answer = Callable[[int], Payload | Exception | None]
"""What the rogue answers to the superstep with a number, from 1."""


KEYS = {"k1": os.urandom(32)}


async def connect(client: Client, **keys: bytes) -> Client:
    """Return another client of the same server, with keys."""
    return await Client.connect(
        client.service_client.config.target_host, data_converter=sealing_data_converter(keys=keys or KEYS)
    )


def plain(value: Any) -> Payload:
    """Return a value as somebody without keys sends it."""
    return FramedPayloadConverter().to_payloads([value])[0]


class Rogue:
    """A worker that has polled supersteps it has no key for."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.tasks: list[Payload] = []
        """The inputs of the supersteps it has answered."""
        self.answered = asyncio.Event()

    @activity.defn(name=SUPERSTEP_ACTIVITY)
    async def superstep(self, given: RawValue) -> RawValue | None:
        """Answer as told."""
        self.tasks.append(given.payload)
        answer = self._answer(len(self.tasks))
        asyncio.get_running_loop().call_later(0.2, self.answered.set)
        if isinstance(answer, Exception):
            raise answer
        return None if answer is None else RawValue(answer)


@asynccontextmanager
async def rogue_worker(client: Client, task_queue: str, answer: Answer) -> AsyncIterator[Rogue]:
    """Poll supersteps with a client that has no key, one at a time."""
    rogue = Rogue(answer)
    async with Worker(
        client,
        task_queue=task_queue,
        activities=[rogue.superstep],
        max_concurrent_activities=1,
        graceful_shutdown_timeout=timedelta(seconds=1),
    ):
        yield rogue


async def take_workflow_task(client: Client, task_queue: str, command: Command) -> None:
    """Poll a workflow task and answer it with a command, as no SDK would."""
    polled = await client.workflow_service.poll_workflow_task_queue(
        PollWorkflowTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=task_queue), identity="rogue"
        ),
        timeout=timedelta(seconds=60),
    )
    assert polled.task_token
    await client.workflow_service.respond_workflow_task_completed(
        RespondWorkflowTaskCompletedRequest(
            namespace=client.namespace, task_token=polled.task_token, identity="rogue", commands=[command]
        )
    )


async def history(client: Client, thread_id: str, run_id: str | None = None) -> list[HistoryEvent]:
    """Return the events of a run as the server has them."""
    return [event async for event in client.get_workflow_handle(thread_id, run_id=run_id).fetch_history_events()]


async def results(client: Client, thread_id: str, run_id: str | None = None) -> list[Payload]:
    """Return the sealed results of a run's supersteps."""
    return [
        event.activity_task_completed_event_attributes.result.payloads[0]
        for event in await history(client, thread_id, run_id)
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
    ]


async def inputs(client: Client, thread_id: str, run_id: str | None = None) -> list[Payload]:
    """Return the sealed inputs of a run's supersteps."""
    return [
        event.activity_task_scheduled_event_attributes.input.payloads[0]
        for event in await history(client, thread_id, run_id)
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]


async def start_of(client: Client, thread_id: str) -> Payload:
    """Return the sealed start of a thread's latest run."""
    (started, *_) = await history(client, thread_id)
    return started.workflow_execution_started_event_attributes.input.payloads[0]
