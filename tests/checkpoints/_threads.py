"""Threads in the states the tests need, and what they check of any of them."""

from __future__ import annotations

import asyncio
import contextlib

from agent_framework import Workflow, WorkflowBuilder
from agent_framework_temporal import Checkpoint, CheckpointInfo, DurableWorkflow
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from tests.flows import STEPS, Decision, Echo, Order, Step, chain, echo, shop


def durable_chain(client: Client, task_queue: str) -> DurableWorkflow:
    """Return a facade of the workflow of four supersteps."""
    return DurableWorkflow(chain, client=client, task_queue=task_queue)


def durable_shop(client: Client, task_queue: str) -> DurableWorkflow:
    """Return a facade of the workflow that asks."""
    return DurableWorkflow(shop, client=client, task_queue=task_queue)


def durable_echo(client: Client, task_queue: str) -> DurableWorkflow:
    """Return a facade of the workflow that counts, and fails when it is told to."""
    return DurableWorkflow(echo, client=client, task_queue=task_queue, max_attempts=1)


async def waiting(durable: DurableWorkflow, item: str = "pen") -> Checkpoint:
    """Return a thread of the shop that waits for one response."""
    checkpoint = durable.checkpoint()
    await durable.run(Order(item=item), checkpoint=checkpoint)
    return checkpoint


async def continued_while_waiting(client: Client, task_queue: str) -> Checkpoint:
    """Return a thread of the shop that went on into a run which only stores the checkpoint it waits at once more."""
    durable = DurableWorkflow(shop, client=client, task_queue=task_queue, history_bytes_per_run=30_000)
    checkpoint = await waiting(durable)
    handle = client.get_workflow_handle(checkpoint.thread_id)
    for _ in range(40):
        await handle.signal("respond", {"request_id": 7, "response": "x" * 10_000})
    while len([event async for event in handle.fetch_history_events() if _is_result(event)]) < 1 or (
        (await handle.describe()).run_id == checkpoint.run_id
    ):
        await asyncio.sleep(0.05)
    return durable.checkpoint(checkpoint.thread_id)


def _is_result(event: HistoryEvent) -> bool:
    return event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED


async def failed(durable: DurableWorkflow) -> Checkpoint:
    """Return a thread of the echo whose second run failed."""
    checkpoint = durable.checkpoint()
    await durable.run("one", checkpoint=checkpoint)
    with contextlib.suppress(ValueError):
        await durable.run("fail", checkpoint=checkpoint)
    return checkpoint


def approved(by: str = "ada") -> dict[str, Decision]:
    """Return the response the shop waits for."""
    return {"approve-pen": Decision(approved=True, by=by)}


def shorter_chain() -> Workflow:
    """Build the chain as someone may have changed it: an executor less, one of another class, a way back."""
    first, second, fourth = Step(id=STEPS[0]), Echo(id=STEPS[1]), Step(id=STEPS[3])
    builder = WorkflowBuilder(name="chain", start_executor=first)
    return builder.add_chain([first, second, fourth]).add_edge(fourth, first).build()


def assert_lineage(infos: list[CheckpointInfo], origin: str | None = None) -> None:
    """Check that each checkpoint follows the one before it, and the first follows `origin`."""
    assert [info.previous_checkpoint_id for info in infos] == [origin, *(info.checkpoint_id for info in infos[:-1])]
    assert len({info.checkpoint_id for info in infos}) == len(infos)
    assert all(info.checkpoint_id.startswith(f"{info.run_id}.") for info in infos)
