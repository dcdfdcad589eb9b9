"""Worker deployment versions: which graphs a version hosts, and whether a run may move to the version that is current.

Temporal pins a run to the version it began on. To move it between supersteps somebody has to know that the new one's
graph takes its checkpoints, and a run on the old version cannot ask the new one's workers. So each version notes its
graphs in its metadata when its first worker starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from temporalio.api.common.v1 import Payload
from temporalio.api.deployment.v1 import WorkerDeploymentVersion as VersionMessage
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    DescribeWorkerDeploymentVersionRequest,
    UpdateWorkerDeploymentVersionMetadataRequest,
)
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.service import RPCError

from ..adapter.logging import data_logger

_LOGGER = data_logger("agent_framework_temporal.worker")
_KEY = "agent-framework-graph."
"""Prefix of the metadata entries; the workflow's name follows, and the value is its graph's hash."""
_TRY_EVERY = 1.0
_TRY_FOR = 120


async def publish_graphs(client: Client, version: WorkerDeploymentVersion, graphs: Mapping[str, str]) -> None:
    """Note the graphs of a version in its metadata; waits for the version, which is made when its workers poll.

    Args:
        client: The worker's client.
        version: Of the worker.
        graphs: Graph hash by workflow name.
    """
    request = UpdateWorkerDeploymentVersionMetadataRequest(
        namespace=client.namespace,
        deployment_version=_message(version),
        upsert_entries={
            f"{_KEY}{name}": Payload(metadata={"encoding": b"json/plain"}, data=f'"{graph_hash}"'.encode())
            for name, graph_hash in graphs.items()
        },
    )
    for attempt in range(_TRY_FOR):
        await asyncio.sleep(_TRY_EVERY if attempt else 0)
        try:
            await client.workflow_service.update_worker_deployment_version_metadata(request)
        except RPCError as error:
            last = error
        else:
            return
    _LOGGER.warning(
        "The graphs of deployment version %s could not be recorded (%s), so runs of older versions will not move to "
        "it.",
        version.to_canonical_string(),
        last.message,
    )


async def takes_over(client: Client, deployment: str, workflow_name: str, graph_hash: str) -> bool:
    """Tell whether the versions that runs are sent to now host a workflow with the same graph; 2 round trips.

    Args:
        client: The worker's client.
        deployment: Name of the worker deployment.
        workflow_name: Of the run.
        graph_hash: Of the graph that made the run's checkpoint.
    """
    response = await client.workflow_service.describe_worker_deployment(
        DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=deployment)
    )
    routing = response.worker_deployment_info.routing_config
    targets = [routing.current_deployment_version]
    if routing.ramping_version_percentage > 0:
        targets.append(routing.ramping_deployment_version)
    return all([await _hosts(client, target, workflow_name, graph_hash) for target in targets])


async def _hosts(client: Client, version: VersionMessage, workflow_name: str, graph_hash: str) -> bool:
    if not version.build_id:
        return False  # Workers without versioning; nothing is known of them.
    response = await client.workflow_service.describe_worker_deployment_version(
        DescribeWorkerDeploymentVersionRequest(namespace=client.namespace, deployment_version=version)
    )
    entries = response.worker_deployment_version_info.metadata.entries
    key = f"{_KEY}{workflow_name}"
    return key in entries and entries[key].data == f'"{graph_hash}"'.encode()


def _message(version: WorkerDeploymentVersion) -> VersionMessage:
    return VersionMessage(deployment_name=version.deployment_name, build_id=version.build_id)
