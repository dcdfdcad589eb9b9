"""Captions some pictures: `python -m examples.placement.start`."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from agent_framework_temporal import DurableWorkflow, ExecutorPolicy
from temporalio.client import Client
from temporalio.envconfig import ClientConfig

from examples.placement.workflow import build

POLICIES = {
    "gpu-*": ExecutorPolicy(task_queue="captions-gpu", max_attempts=5, timeout=timedelta(minutes=10)),
}


async def main() -> None:
    """Run it, and say what came from where."""
    config = ClientConfig.load_client_connect_config()  # TEMPORAL_ADDRESS and its like.
    config.setdefault("target_host", "localhost:7233")
    client = await Client.connect(**config)
    durable = DurableWorkflow(build, client=client, task_queue="captions", executors=POLICIES)
    result = await durable.run(["heron.jpg", "otter.jpg", "bear.jpg"])
    for output in sorted(result.get_outputs()):
        print(output)


if __name__ == "__main__":
    asyncio.run(main())
