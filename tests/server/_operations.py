"""What callers do with threads, each with the thread it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from agent_framework import InMemoryCheckpointStorage
from agent_framework_temporal import (
    Checkpoint,
    DurableWorkflow,
    DurableWorkflowError,
    HistoryCheckpointStorage,
    PendingRequestsError,
    RunTerminatedError,
    register_search_attributes,
    waiting_requests,
)
from temporalio.client import Client

from tests.flows import Decision, Order, chain, countdown, shop
from tests.support import unique

_OPTIONS: dict[str, Any] = {"server_timeout": timedelta(seconds=0.3)}


@dataclass(frozen=True)
class Place:
    """A client, healthy or not, and the queue that a worker serves."""

    client: Client
    task_queue: str

    def durable(self, build: Any, *, supersteps_per_run: int = 3, **options: Any) -> DurableWorkflow:
        return DurableWorkflow(
            build,
            client=self.client,
            task_queue=self.task_queue,
            supersteps_per_run=supersteps_per_run,
            **_OPTIONS,
            **options,
        )


@dataclass(frozen=True)
class Operation:
    """Something a caller does.

    Args:
        call: Does it.
        prepare: Makes the thread, over a healthy connection.
        ends_with: What it raises where nothing fails, if anything.
    """

    call: Callable[[Place, Checkpoint], Awaitable[Any]]
    prepare: Callable[[Place], Awaitable[Checkpoint]]
    ends_with: type[DurableWorkflowError] | None = None


async def _new(place: Place) -> Checkpoint:
    return place.durable(shop).checkpoint()


async def _waiting(place: Place) -> Checkpoint:
    durable = place.durable(shop)
    checkpoint = durable.checkpoint()
    await durable.run(Order(item="pen"), checkpoint=checkpoint)
    return checkpoint


async def _idle(place: Place) -> Checkpoint:
    """Of two runs, so that a handle can lag behind."""
    durable = place.durable(countdown, supersteps_per_run=1)
    checkpoint = durable.checkpoint()
    first = ""
    async for _ in durable.run_stream(1, checkpoint=checkpoint):
        first = first or checkpoint.to_json()
    behind = Checkpoint.from_json(first)
    assert behind.run_id != checkpoint.run_id
    return behind


async def _terminated(place: Place) -> Checkpoint:
    durable = place.durable(chain)
    checkpoint = durable.checkpoint()
    running = asyncio.ensure_future(durable.run("a", checkpoint=checkpoint))
    while checkpoint.run_id is None:
        await asyncio.sleep(0.01)
    await place.client.get_workflow_handle(checkpoint.thread_id).terminate()
    await asyncio.gather(running, return_exceptions=True)
    return checkpoint


async def _list_inbox(place: Place, checkpoint: Checkpoint) -> None:
    async for _ in waiting_requests(place.client):
        pass


async def _stored(place: Place, checkpoint: Checkpoint) -> None:
    storage = HistoryCheckpointStorage(place.client, shop, checkpoint=checkpoint)
    (latest, *_) = reversed(await storage.list_checkpoint_ids(workflow_name="shop"))
    await storage.load(latest)


async def _found(place: Place, checkpoint: Checkpoint) -> None:
    """A storage that has not seen the run finds it by a visibility query."""
    await HistoryCheckpointStorage(place.client, shop).load(checkpoint.checkpoint_id or "")


_APPROVED = {"approve-pen": Decision(approved=True)}
OPERATIONS = {
    "message": Operation(lambda place, at: place.durable(shop).run(Order(item="pen"), checkpoint=at), _new),
    "stream": Operation(
        lambda place, at: place.durable(shop).run(Order(item="pen"), checkpoint=at, stream=True).get_final_response(),
        _new,
    ),
    "next message": Operation(lambda place, at: place.durable(countdown).run(1, checkpoint=at), _idle),
    "message while waiting": Operation(
        lambda place, at: place.durable(shop).run(Order(item="ink"), checkpoint=at), _waiting
    ),
    "refused message": Operation(
        lambda place, at: place.durable(shop, when_waiting="reject").run(Order(item="ink"), checkpoint=at),
        _waiting,
        PendingRequestsError,
    ),
    "responses": Operation(lambda place, at: place.durable(shop).run(responses=_APPROVED, checkpoint=at), _waiting),
    "cancel_pending_requests": Operation(
        lambda place, at: place.durable(shop).cancel_pending_requests(["approve-pen"], checkpoint=at), _waiting
    ),
    "follow": Operation(lambda place, at: place.durable(shop).run(checkpoint=at), _waiting),
    "follow from behind": Operation(lambda place, at: place.durable(countdown).run(checkpoint=at), _idle),
    "follow a terminated run": Operation(
        lambda place, at: place.durable(chain).run_stream(checkpoint=at, after=-1).get_final_response(),
        _terminated,
        RunTerminatedError,
    ),
    "fork": Operation(
        lambda place, at: place.durable(shop).run(
            checkpoint_id=at.checkpoint_id, checkpoint=place.durable(shop).checkpoint()
        ),
        _waiting,
    ),
    "checkpoints": Operation(lambda place, at: place.durable(shop).checkpoints(at), _waiting),
    "copy_checkpoints": Operation(
        lambda place, at: place.durable(shop).copy_checkpoints(InMemoryCheckpointStorage(), at), _waiting
    ),
    "pending_requests": Operation(lambda place, at: place.durable(shop).pending_requests(at), _waiting),
    "attempt": Operation(lambda place, at: place.durable(shop).attempt(at), _waiting),
    "cancel": Operation(lambda place, at: place.durable(shop).cancel(at), _waiting),
    "retry": Operation(lambda place, at: place.durable(shop).retry(at), _waiting, PendingRequestsError),
    "schedule": Operation(
        lambda place, at: place.durable(shop).schedule(unique("schedule"), Order(item="pen"), cron="0 3 * * *"), _new
    ),
    "inbox": Operation(_list_inbox, _waiting),
    "storage": Operation(_stored, _waiting),
    "storage, any thread": Operation(_found, _waiting),
    "attributes": Operation(lambda place, at: register_search_attributes(place.client), _new),
}
