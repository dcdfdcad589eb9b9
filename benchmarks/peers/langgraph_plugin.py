"""temporalio-langgraph: Temporal's own plugin, a node an activity."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from temporalio.langgraph import LangGraphPlugin, graph

    from benchmarks.peers._case import arguments, first_state, report
    from benchmarks.peers._graph import build


@workflow.defn
class Loop:
    """Runs the graph."""

    @workflow.run
    async def run(self, state: dict[str, Any]) -> int:
        """Run it."""
        found = await graph("loop").compile().ainvoke({"state": state}, {"recursion_limit": 10_000})
        return int(found["state"]["number"])


async def main() -> None:
    """Run a worker and the workflow."""
    given = arguments()
    client = await Client.connect(given.address)
    options = {
        "execute_in": "activity",
        "start_to_close_timeout": timedelta(minutes=5),
        "heartbeat_timeout": timedelta(seconds=2),
    }
    plugin = LangGraphPlugin(graphs={"loop": build(asynchronous=True, metadata=options)})
    async with Worker(client, task_queue=given.thread, workflows=[Loop], plugins=[plugin]):
        if given.again:
            await client.get_workflow_handle(given.thread).result()
        else:
            state = first_state(given.case, given.size, given.steps)
            await client.execute_workflow(Loop.run, state, id=given.thread, task_queue=given.thread)
    report()


if __name__ == "__main__":
    asyncio.run(main())
