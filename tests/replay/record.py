"""Records the histories that the replay tests keep: `python -m tests.replay.record VERSION`, before a release.

Histories that are there already are never overwritten: they are what older workers wrote, and must go on replaying.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from agent_framework_temporal import (
    Checkpoint,
    DurableWorkflow,
    ExecutorPolicy,
    RequestPolicy,
    RunCancelledError,
    start_dev_server,
)
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError

from tests.flows import Decision, Order, chain, countdown, echo, shop
from tests.support import worker

HISTORIES = Path(__file__).with_name("histories")


async def _several_supersteps(client: Client, task_queue: str) -> Checkpoint:
    durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
    checkpoint = durable.checkpoint()
    await durable.run("a", checkpoint=checkpoint)
    return checkpoint


async def _requests(client: Client, task_queue: str) -> Checkpoint:
    durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
    checkpoint = durable.checkpoint()
    await durable.run([Order(item="pen"), Order(item="ink")], checkpoint=checkpoint)
    handle = client.get_workflow_handle(checkpoint.thread_id)
    await handle.signal("respond", {"request_id": "approve-ink", "response": "no decision"})
    await handle.signal("respond", {"request_id": "approve-later", "response": {"approved": True}, "responder": "bot"})
    await handle.signal("respond", [{"request": 1}])
    await handle.signal("respond", args=[1, 2])
    await handle.signal("no-such-signal")
    good = Decision(approved=True, by="ada")
    await durable.run(responses={"approve-pen": good}, checkpoint=checkpoint)
    await durable.run(responses={"approve-ink": good}, checkpoint=checkpoint)
    return checkpoint


async def _failure_after_retries(client: Client, task_queue: str) -> Checkpoint:
    durable = DurableWorkflow(echo, client=client, task_queue=task_queue, max_attempts=2)
    checkpoint = durable.checkpoint()
    with contextlib.suppress(ValueError):
        await durable.run("fail", checkpoint=checkpoint)
    return checkpoint


async def _second_turn(client: Client, task_queue: str) -> Checkpoint:
    durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
    checkpoint = durable.checkpoint()
    await durable.run("one", checkpoint=checkpoint)
    await durable.run("two", checkpoint=checkpoint)
    return checkpoint


async def _continued_as_new(client: Client, task_queue: str) -> Checkpoint:
    durable = DurableWorkflow(countdown, client=client, task_queue=task_queue, supersteps_per_run=3)
    checkpoint = durable.checkpoint()
    await durable.run(7, checkpoint=checkpoint)
    return checkpoint


async def _continued_while_waiting(client: Client, task_queue: str) -> Checkpoint:
    durable = DurableWorkflow(shop, client=client, task_queue=task_queue, history_bytes_per_run=10_000)
    checkpoint = durable.checkpoint()
    await durable.run([Order(item="pen"), Order(item="ink")], checkpoint=checkpoint)
    handle = client.get_workflow_handle(checkpoint.thread_id)
    while (await handle.describe()).run_id == checkpoint.run_id:
        await handle.signal("respond", {"request_id": 7, "response": "x" * 100_000})
    await durable.run(responses={"approve-pen": Decision(approved=False)}, checkpoint=checkpoint)
    await durable.run(responses={"approve-ink": Decision(approved=True)}, checkpoint=checkpoint)
    return checkpoint


async def _updates_and_cancellation(client: Client, task_queue: str) -> Checkpoint:
    durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
    checkpoint = durable.checkpoint()
    await durable.run([Order(item="pen"), Order(item="ink"), Order(item="cap")], checkpoint=checkpoint)
    handle = client.get_workflow_handle(checkpoint.thread_id)
    for response in ("no decision", {"approved": True, "by": "ada"}):
        with contextlib.suppress(WorkflowUpdateFailedError):
            await handle.execute_update("respond", {"request_id": "approve-pen", "response": response})
    await handle.execute_update("cancel_requests", {"request_ids": ["approve-ink"], "responder": "ops"})
    await durable.cancel_pending_requests(["approve-cap"], checkpoint=checkpoint)
    return checkpoint


async def _deadlines(client: Client, task_queue: str) -> Checkpoint:
    soon, later = timedelta(seconds=0.5), timedelta(seconds=3)
    good = Decision(approved=True, by="nobody")
    policies = {
        "approve-pen": RequestPolicy(remind_after=soon, deadline=later, on_deadline="default", default=good),
        "approve-ink": RequestPolicy(deadline=later, on_deadline="cancel"),
        "*": RequestPolicy(deadline=2 * later),
    }
    durable = DurableWorkflow(shop, client=client, task_queue=task_queue, requests=policies)
    checkpoint = durable.checkpoint()
    await durable.run([Order(item="pen"), Order(item="ink"), Order(item="cap")], checkpoint=checkpoint)
    with contextlib.suppress(WorkflowFailureError):
        await client.get_workflow_handle(checkpoint.thread_id).result()
    return checkpoint


async def _paused_and_retried(client: Client, task_queue: str) -> Checkpoint:
    durable = DurableWorkflow(echo, client=client, task_queue=task_queue, max_attempts=1, pause_on_failure=True)
    checkpoint = durable.checkpoint()
    with contextlib.suppress(ValueError):
        await durable.run("fail", checkpoint=checkpoint)
    await durable.retry(checkpoint)
    with contextlib.suppress(ValueError):
        await durable.run(checkpoint=checkpoint)
    await durable.cancel(checkpoint)
    with contextlib.suppress(RunCancelledError, ValueError):
        await durable.run(checkpoint=checkpoint)
    return checkpoint


async def _executor_policies(client: Client, task_queue: str) -> Checkpoint:
    policy = ExecutorPolicy(max_attempts=5, heartbeat_timeout=timedelta(seconds=20))
    durable = DurableWorkflow(chain, client=client, task_queue=task_queue, executors={"second": policy})
    checkpoint = durable.checkpoint()
    await durable.run("a", checkpoint=checkpoint)
    return checkpoint


SCENARIOS: dict[str, Callable[[Client, str], Awaitable[Checkpoint]]] = {
    "several-supersteps": _several_supersteps,
    "requests": _requests,
    "failure-after-retries": _failure_after_retries,
    "second-turn": _second_turn,
    "continued-as-new": _continued_as_new,
    "paused-and-retried": _paused_and_retried,
    "executor-policies": _executor_policies,
    "continued-while-waiting": _continued_while_waiting,
    "updates-and-cancellation": _updates_and_cancellation,
    "deadlines": _deadlines,
}


async def record(version: str) -> None:
    """Run every scenario and write the history of its last run."""
    HISTORIES.mkdir(exist_ok=True)
    async with await start_dev_server() as server:
        client = await server.connect()
        async with worker(client, chain, shop, echo, countdown) as task_queue:
            for name, scenario in SCENARIOS.items():
                path = HISTORIES / f"{version}-{name}.json"
                if path.exists():
                    sys.exit(f"{path} is there already; histories are kept. Record under another version.")
                checkpoint = await scenario(client, task_queue)
                handle = client.get_workflow_handle(checkpoint.thread_id, run_id=checkpoint.run_id)
                history = await handle.fetch_history()
                path.write_text(history.to_json() + "\n", encoding="utf-8")
                print(f"{path.name}: {len(history.events)} events")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    asyncio.run(record(sys.argv[1]))
