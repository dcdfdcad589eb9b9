"""The Temporal client as the facade uses it: with our payload converter, and with errors of our own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ._converter import FramedPayloadConverter, with_frames
from ._errors import DurableWorkflowError, PayloadError, ServerUnreachableError

_POLL_LASTS = timedelta(seconds=70)
"""A worker's poll waits a minute on the server, so one that is alive was seen in this time."""
_UNREACHABLE = frozenset({RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED})
_SIGNAL_LIMIT = "limit for signal events"
"""What the server says of a run that has taken 10,000 of them."""
_BROKEN = ("transport error", "h2 protocol error", "error reading a body from connection", "connection error")
"""What the transport says of a connection that broke in the middle of a call, under status UNKNOWN or INTERNAL."""


class SignalLimitError(DurableWorkflowError):
    """A run has taken as many signals as the server allows for one run."""


def framed_client(client: Client) -> Client:
    """Return a client with our payload converter; the connection, codec and external storage are the given client's.

    Raises:
        HostingError: When the client has another payload converter.
    """
    if issubclass(client.data_converter.payload_converter_class, FramedPayloadConverter):
        return client
    config = client.config(active_config=True)
    config["data_converter"] = with_frames(client.data_converter)
    config["plugins"] = []  # They have been applied already.
    return Client(**config)


def is_unreachable(error: RPCError) -> bool:
    """Tell whether a call failed because the connection did, so that it is worth trying again."""
    if error.status in (RPCStatusCode.UNKNOWN, RPCStatusCode.INTERNAL):
        return any(text in error.message for text in _BROKEN)
    return error.status in _UNREACHABLE


@contextmanager
def rpc_errors(client: Client, what: str) -> Iterator[None]:
    """Turn errors of the connection into ours.

    Args:
        client: The client that calls.
        what: What is being done, for the message, e.g. "start thread 'a'".

    Raises:
        ServerUnreachableError: When no server answers.
        PayloadError: When the server refuses the size of what is sent.
        DurableWorkflowError: For any other refusal of the server.
    """
    try:
        yield
    except RuntimeError as error:
        if "Failed client connect" not in str(error):  # Of a lazy client; the SDK has no type of its own for it.
            raise
        raise _unreachable(client, what, error) from error
    except RPCError as error:
        if is_unreachable(error):
            raise _unreachable(client, what, error) from error
        address = client.service_client.config.target_host
        if "exceeds" in error.message or error.status == RPCStatusCode.RESOURCE_EXHAUSTED:
            raise PayloadError(
                f"Could not {what}: the server at {address!r} refuses it as too large or too much ({error.message}). "
                "Pass a reference instead of the data, or configure external storage on the client's data converter."
            ) from error
        if _SIGNAL_LIMIT in error.message:
            raise SignalLimitError(
                f"Could not {what}: its run has taken as many signals as the server allows for one run. It continues "
                "as new when it next waits, or its superstep ends; try again then."
            ) from error
        raise DurableWorkflowError(f"Could not {what}: {error.message} ({error.status.name})") from error


def _unreachable(client: Client, what: str, error: Exception) -> ServerUnreachableError:
    return ServerUnreachableError(
        f"Could not {what}: no Temporal server answers at {client.service_client.config.target_host!r} ({error}). "
        "Start one with `agent-framework-temporal-dev-server`, or check the address and the network."
    )


async def has_worker(client: Client, task_queue: str) -> bool:
    """Tell whether a worker has polled the task queue lately; one round trip."""
    response = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        ),
        retry=True,
    )
    since = datetime.now(UTC) - _POLL_LASTS
    return any(poller.last_access_time.ToDatetime(tzinfo=UTC) > since for poller in response.pollers)
