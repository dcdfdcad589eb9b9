"""Readers of a thread: they stream it, lose it, leave it, come back with a stored handle, and log what they got."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import Any

from agent_framework import WorkflowEvent, WorkflowRunState
from agent_framework_temporal import (
    Checkpoint,
    DurableWorkflow,
    DurableWorkflowError,
    LiveEventsVoid,
    ThreadNotFoundError,
    position_of,
)
from agent_framework_temporal.adapter.client.event_position import settled
from temporalio.client import Client
from temporalio.service import RPCError

from tests.chaos.load import LOADS, texts
from tests.chaos.processes import PREFIX


def durable_of(name: str, client: Client, task_queue: str) -> DurableWorkflow:
    """Return the facade of a load, with short timeouts: what is lost is to be noticed soon."""
    return DurableWorkflow(
        LOADS[name][0],
        client=client,
        task_queue=task_queue,
        heartbeat_timeout=timedelta(seconds=2),
        retry_initial_interval=timedelta(milliseconds=100),
        retry_maximum_interval=timedelta(seconds=1),
        worker_timeout=timedelta(seconds=30),
        server_timeout=timedelta(seconds=60),
        supersteps_per_run=5,
    )


class Reader:
    """Reads one thread from its beginning to its end; the first of its readers also begins it.

    Args:
        durable: The facade.
        name: Name of the load.
        number: Number of the thread.
        begins: Whether to send the message.
        troubles: Takes the errors it has met, by type.
    """

    def __init__(
        self, durable: DurableWorkflow, name: str, number: int, *, begins: bool, troubles: Counter[str]
    ) -> None:
        self.name = name
        self.thread_id = f"{PREFIX}-{name}-{number}"
        self.begins = begins
        self.events: list[WorkflowEvent[Any]] = []
        self._durable = durable
        self._checkpoint = durable.checkpoint(self.thread_id)
        self._troubles = troubles

    async def read(self) -> None:
        """Read until the thread is idle."""
        while True:
            try:
                # No variable: a stream that is held keeps its thread taken.
                if await self._follow(await self._stream()):
                    return
            except (DurableWorkflowError, RPCError) as error:
                if not isinstance(error, ThreadNotFoundError):
                    said = f" {error.status.name} {error.message[:60]}" if isinstance(error, RPCError) else ""
                    self._troubles[f"{type(error).__name__}{said}"] += 1
            self._settle()
            await asyncio.sleep(0.2)

    async def _stream(self) -> Any:
        if self.begins and not self._checkpoint.run_id and not await self._exists():
            return self._durable.run_stream(LOADS[self.name][1], checkpoint=self._checkpoint)
        return self._durable.run_stream(checkpoint=self._checkpoint, after=self._checkpoint.offset)

    async def _follow(self, stream: Any) -> bool:
        """Return whether the end was read; sometimes leave before."""
        leave_after = random.randint(1, 60)
        async for event in stream:
            if isinstance(event, LiveEventsVoid) or position_of(event) is not None:
                self.events.append(event)
            position = position_of(event)
            ended = event.type == "status" and event.state == WorkflowRunState.IDLE
            if ended and position is not None and not position.live:
                self.events = settled(self.events)
                return True
            leave_after -= 1
            if leave_after == 0:
                return False
        # The end was given while it was live, or by another stream before.
        last = settled(self.events)[-1:] if self.events else []
        return bool(last) and last[0].type == "status" and last[0].state == WorkflowRunState.IDLE

    def _settle(self) -> None:
        """Forget what was live when the stream was lost: it comes again. Go on as another process would."""
        kept = [event for event in settled(self.events) if self._offset(event) <= self._checkpoint.offset]
        self.events = kept
        self._checkpoint = Checkpoint.from_json(self._checkpoint.to_json())

    async def _exists(self) -> bool:
        """Tell whether an attempt to begin the thread, whose answer was lost, has begun it."""
        try:
            await self._durable.checkpoints(self.thread_id)
        except ThreadNotFoundError:
            return False
        return True

    @staticmethod
    def _offset(event: WorkflowEvent[Any]) -> int:
        position = position_of(event)
        return position.offset if position is not None else -1

    def log(self) -> list[tuple[int, str]]:
        """Return what was read, by offset."""
        return [(self._offset(event), event.type) for event in self.events]

    def outputs(self) -> list[str]:
        """Return the outputs that were read."""
        return texts([event.data for event in self.events if event.type == "output"])
