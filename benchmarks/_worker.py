"""The measured worker, a process of its own: `python -m benchmarks._worker ADDRESS TASK_QUEUE`."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from agent_framework import FileCheckpointStorage
from agent_framework_temporal import AgentFrameworkPlugin
from agent_framework_temporal.activities.cache import DEFAULT_BYTES
from agent_framework_temporal.adapter.checkpoints import frames as _frames
from temporalio import activity
from temporalio.client import Client
from temporalio.contrib.workflow_streams import WorkflowStreamClient
from temporalio.worker import Worker

from ._agents import invoke_model, invoke_tool, tool_loop
from ._bare import (
    BARE_ACTIVITY,
    NAIVE_ACTIVITY,
    PUBLISH_ACTIVITY,
    TOPIC,
    BareWorkflow,
    NaiveWorkflow,
    PublishedWorkflow,
    ToolLoopWorkflow,
)
from ._flows import Work, ask, carry, keep, speak, spread, tell

READY = "ready"


@activity.defn(name=BARE_ACTIVITY)
async def bare() -> None:
    """Do nothing."""


@activity.defn(name=PUBLISH_ACTIVITY)
async def publish(tokens: int, pause: float) -> None:
    """Publish the time as a token, in batches as a user interface wants them."""
    async with WorkflowStreamClient.from_within_activity(batch_interval=timedelta(milliseconds=100)) as stream:
        topic = stream.topic(TOPIC, type=float)
        for _ in range(tokens):
            topic.publish(time.time())
            await asyncio.sleep(pause)


@activity.defn(name=NAIVE_ACTIVITY)
async def naive(checkpoint: str, steps: int, size: int) -> str:
    """Run one superstep from a checkpoint to the next, both as the framework's own JSON."""
    with tempfile.TemporaryDirectory() as folder:
        storage = FileCheckpointStorage(folder, allowed_checkpoint_types=[f"{Work.__module__}:{Work.__qualname__}"])
        if checkpoint:
            base = json.loads(checkpoint)["checkpoint_id"]
            Path(folder, f"{base}.json").write_text(checkpoint)  # noqa: ASYNC240 - as the storage itself is measured
            stream = keep().run(checkpoint_id=base, checkpoint_storage=storage, stream=True)
        else:
            stream = keep().run(Work(steps, size), checkpoint_storage=storage, stream=True)
        async for event in stream:
            if event.type == "superstep_completed":
                break
        await stream.close()
        latest = await storage.get_latest(workflow_name="keep")
        assert latest is not None
        return Path(folder, f"{latest.checkpoint_id}.json").read_text()  # noqa: ASYNC240


async def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("task_queue")
    parser.add_argument("--cache-bytes", type=int, default=DEFAULT_BYTES)
    parser.add_argument(
        "--no-keyframes", action="store_true", help="only a run's first, to make long chains of patches"
    )
    options = parser.parse_args()
    if options.no_keyframes:
        _frames.KEYFRAME_EVERY = 1_000_000
        _frames.KEYFRAME_MIN_BYTES = 1_000_000_000
    client = await Client.connect(options.address)
    plugin = AgentFrameworkPlugin([keep, carry, speak, tell, ask, spread, tool_loop], cache_bytes=options.cache_bytes)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    worker = Worker(
        client,
        task_queue=options.task_queue,
        plugins=[plugin],
        workflows=[BareWorkflow, NaiveWorkflow, PublishedWorkflow, ToolLoopWorkflow],
        activities=[bare, naive, publish, invoke_model, invoke_tool],
    )
    async with worker:
        print(READY, flush=True)
        await stopping.wait()


if __name__ == "__main__":
    asyncio.run(main())
