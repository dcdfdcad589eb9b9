"""The Temporal client as the facade uses it: with our payload converter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from .converter import FramedPayloadConverter, with_frames
from .process_exit import settle_at_exit
from .server import retried

_POLL_LASTS = timedelta(seconds=70)
"""A worker's poll waits a minute on the server, so one that is alive was seen in this time."""


def framed_client(client: Client) -> Client:
    """Return a client with our payload converter; the connection, codec and external storage are the given client's.

    Raises:
        HostingError: When the client has another payload converter.
    """
    settle_at_exit()
    if issubclass(client.data_converter.payload_converter_class, FramedPayloadConverter):
        return client
    config = client.config(active_config=True)
    config["data_converter"] = with_frames(client.data_converter)
    config["plugins"] = []  # They have been applied already.
    return Client(**config)


async def has_worker(
    client: Client, task_queue: str, kind: TaskQueueType.ValueType = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
) -> bool:
    """Tell whether a worker has polled the task queue lately; one round trip.

    Args:
        client: A connected client.
        task_queue: Its name.
        kind: Of the tasks that are polled for.

    Raises:
        RPCError: When the server does not say.
    """
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=kind,
    )
    response = await retried(lambda: client.workflow_service.describe_task_queue(request))
    since = datetime.now(UTC) - _POLL_LASTS
    return any(poller.last_access_time.ToDatetime(tzinfo=UTC) > since for poller in response.pollers)
