"""This package: a superstep an activity; with `--burst` several."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from agent_framework_temporal import AgentFrameworkPlugin, DurableWorkflow
from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.peers._case import arguments, first_state, report
from benchmarks.peers._flow import steps


async def main() -> None:
    """Run a worker and the workflow."""
    given = arguments()
    client = await Client.connect(given.address)
    options: dict[str, Any] = {"burst": timedelta(seconds=10)} if given.burst else {}
    options["heartbeat_timeout"] = timedelta(seconds=2)
    async with Worker(client, task_queue=given.thread, plugins=[AgentFrameworkPlugin([steps])]):
        durable = DurableWorkflow(steps, client=client, task_queue=given.thread, **options)
        thread = durable.checkpoint(given.thread)
        state = None if given.again else first_state(given.case, given.size, given.steps)
        await durable.run(state, checkpoint=thread)
    report()


if __name__ == "__main__":
    asyncio.run(main())
