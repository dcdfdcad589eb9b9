"""langgraph-temporal: a community package, a node an activity."""

from __future__ import annotations

import asyncio

from langgraph.temporal import TemporalGraph
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner

from benchmarks.peers._case import arguments, first_state, report
from benchmarks.peers._graph import build


async def main() -> None:
    """Run a worker and the graph."""
    given = arguments()
    client = await Client.connect(given.address)
    graph = TemporalGraph(build(asynchronous=False).compile(), client, task_queue=given.thread)
    config = {"configurable": {"thread_id": given.thread}, "recursion_limit": 10_000}
    async with graph.create_worker(workflow_runner=UnsandboxedWorkflowRunner()):
        if given.again:
            await client.get_workflow_handle(given.thread).result()
        else:
            await graph.ainvoke({"state": first_state(given.case, given.size, given.steps)}, config)
    report()


if __name__ == "__main__":
    asyncio.run(main())
