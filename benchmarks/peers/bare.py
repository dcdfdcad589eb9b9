"""A Temporal workflow that passes its state into each activity and out of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from benchmarks.peers._case import advanced, arguments, first_state, is_done, report


@activity.defn
async def step(state: dict[str, Any]) -> dict[str, Any]:
    """Do a step."""
    return advanced(state)


@workflow.defn
class Loop:
    """The loop."""

    @workflow.run
    async def run(self, state: dict[str, Any]) -> int:
        """Run it."""
        while not is_done(state):
            state = await workflow.execute_activity(
                step, state, start_to_close_timeout=timedelta(minutes=5), heartbeat_timeout=timedelta(seconds=2)
            )
        return int(state["number"])


async def main() -> None:
    """Run a worker and the workflow."""
    given = arguments()
    client = await Client.connect(given.address)
    async with Worker(client, task_queue=given.thread, workflows=[Loop], activities=[step]):
        if given.again:
            await client.get_workflow_handle(given.thread).result()
        else:
            state = first_state(given.case, given.size, given.steps)
            await client.execute_workflow(Loop.run, state, id=given.thread, task_queue=given.thread)
    report()


if __name__ == "__main__":
    asyncio.run(main())
