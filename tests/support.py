"""What many tests need: a worker on a task queue of its own, in this process or in one to be killed."""

from __future__ import annotations

import asyncio
import os
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent_framework_temporal import AgentFrameworkPlugin, WorkflowSource
from temporalio.api.deployment.v1 import WorkerDeploymentVersion as VersionMessage
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentVersionRequest,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker, WorkerDeploymentConfig

from tests.flows import LEDGER
from tests.forked import python

_ROOT = Path(__file__).parents[1]
_OF_PLUGIN = ("cache_bytes", "mirrors", "caller_checkpoints", "executors")
_WORKFLOWS = ("tests.flows:chain", "tests.flows:shop", "tests.flows:talk")


def unique(prefix: str) -> str:
    """Return a name no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


@asynccontextmanager
async def worker(
    client: Client, *workflows: WorkflowSource, task_queue: str | None = None, **options: Any
) -> AsyncIterator[str]:
    """Run a worker that hosts `workflows`; yields its task queue."""
    queue = task_queue or unique("queue")
    chosen = {name: options.pop(name) for name in _OF_PLUGIN if name in options}
    plugin = AgentFrameworkPlugin(workflows, **chosen)
    async with Worker(client, task_queue=queue, plugins=[plugin], **options):
        yield queue


@asynccontextmanager
async def worker_process(
    client: Client,
    task_queue: str,
    ledger: Path | None = None,
    delay: float = 0.0,
    workflows: Sequence[str] = _WORKFLOWS,
    flags: Sequence[str] = (),
) -> AsyncIterator[Process]:
    """Run `worker.py` as a process of its own; it is killed at the end if it still runs."""
    noted = {} if ledger is None else {LEDGER: str(ledger), "TESTS_DELAY": str(delay)}
    process = await asyncio.create_subprocess_exec(
        *python("worker.py", *(f"--workflow={workflow}" for workflow in workflows)),
        *("--task-queue", task_queue, "--address", client.service_client.config.target_host),
        *("--namespace", client.namespace, *flags),
        cwd=_ROOT,
        env={**os.environ, **noted},
        stdout=PIPE,
    )
    assert process.stdout is not None
    try:
        assert task_queue in (await process.stdout.readline()).decode()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def deployed_worker(
    client: Client, deployment: str, build_id: str, *workflows: WorkflowSource
) -> AsyncIterator[None]:
    """Run a worker of one build of a deployment, on the task queue of the deployment's name, and make it current."""
    config = WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=deployment, build_id=build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )
    # Of one client the SDK takes one worker for a task queue.
    own = await Client.connect(
        client.service_client.config.target_host, namespace=client.namespace, identity=client.identity
    )
    async with worker(own, *workflows, task_queue=deployment, deployment_config=config):
        await make_current(client, deployment, build_id)
        yield


async def make_current(client: Client, deployment: str, build_id: str) -> None:
    """Send runs to a build, as soon as its first worker has told its graphs."""
    while not await _knows_graphs(client, deployment, build_id):
        await asyncio.sleep(0.1)
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace, deployment_name=deployment, build_id=build_id, ignore_missing_task_queues=True
    )
    while True:
        try:
            await client.workflow_service.set_worker_deployment_current_version(request)
        except RPCError as error:
            if error.status != RPCStatusCode.RESOURCE_EXHAUSTED:  # Something is changed there at this moment.
                raise
            await asyncio.sleep(0.2)
        else:
            return


async def _knows_graphs(client: Client, deployment: str, build_id: str) -> bool:
    version = VersionMessage(deployment_name=deployment, build_id=build_id)
    request = DescribeWorkerDeploymentVersionRequest(namespace=client.namespace, deployment_version=version)
    try:
        found = await client.workflow_service.describe_worker_deployment_version(request)
    except RPCError:
        return False  # It is made when its worker polls.
    return bool(found.worker_deployment_version_info.metadata.entries)
