"""Threads in the states the tests need, and what they check of any of them."""

from __future__ import annotations

import contextlib

from agent_framework import Workflow, WorkflowBuilder
from agent_framework_temporal import Checkpoint, CheckpointInfo, DurableWorkflow
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
