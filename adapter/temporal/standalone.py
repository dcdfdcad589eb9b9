"""Activities that no workflow has scheduled: how a worker has something run on a task queue of its own choice.

The server knows them by their id. Who starts one under an id that is taken is given the one that is there, whether it
runs or is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.api.activity.v1 import ActivityExecutionOutcome
from temporalio.api.enums.v1 import PendingActivityState, TaskQueueType
from temporalio.api.workflowservice.v1 import (
    DescribeActivityExecutionRequest,
    DescribeActivityExecutionResponse,
    DescribeNamespaceRequest,
    PollActivityExecutionRequest,
)
from temporalio.client import Client
from temporalio.common import ActivityIDConflictPolicy, ActivityIDReusePolicy, Priority, RetryPolicy
from temporalio.converter import ActivitySerializationContext
from temporalio.exceptions import ActivityAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from ..errors import PlacementError
from .client import has_worker
from .server import TRANSIENT, retried

_T = TypeVar("_T")
"""A worker's poll waits a minute on the server, so one that is alive was seen in this time."""
_PAUSE = 0.5
_EXPIRED = (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)
_CANCEL_SECONDS = timedelta(seconds=5)
NEEDED = (
    "executors with their own task queue run as standalone activities, which need Temporal server 1.31 or newer. "
    "Upgrade the server, or omit `task_queue` from the policies."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneOptions:
    """How an activity is run; durations are Temporal's."""

    task_queue: str
    schedule_to_start: timedelta | None
    schedule_to_close: timedelta
    start_to_close: timedelta
    heartbeat: timedelta
    retry: RetryPolicy
    priority: Priority
    summary: str


class StandaloneActivity:
    """One that was started.

    Args:
        client: A client with our payload converter.
        activity_id: Its id.
        activity_type: Its type.
        run_id: Which of those under the id.
    """

    def __init__(self, client: Client, activity_id: str, activity_type: str, run_id: str) -> None:
        self.id = activity_id
        self.run_id = run_id
        self._client = client
        self.place: ActivitySerializationContext = ActivitySerializationContext(
            namespace=client.namespace,
            activity_id=activity_id,
            activity_type=activity_type,
            activity_task_queue=None,
            workflow_id=None,
            workflow_type=None,
            is_local=False,
        )
        """Where its input, heartbeats and outcome are sealed for."""

    @classmethod
    async def start(
        cls, client: Client, activity_type: str, argument: Any, activity_id: str, options: StandaloneOptions
    ) -> StandaloneActivity:
        """Start one, or take the one that was started under the id; one round trip.

        Raises:
            PlacementError: When the server has no such activities.
            RPCError: When it refuses otherwise.
        """

        async def started() -> str:
            handle: Any = await client.start_activity(
                activity_type,
                argument,
                id=activity_id,
                task_queue=options.task_queue,
                schedule_to_start_timeout=options.schedule_to_start,
                schedule_to_close_timeout=options.schedule_to_close,
                start_to_close_timeout=options.start_to_close,
                heartbeat_timeout=options.heartbeat,
                id_reuse_policy=ActivityIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=ActivityIDConflictPolicy.USE_EXISTING,
                retry_policy=options.retry,
                summary=options.summary,
                priority=options.priority,
            )
            return str(handle.run_id or "")

        run_id: str | None = None
        while run_id is None:
            try:
                run_id = await _patiently(started)
            except ActivityAlreadyStartedError as error:
                run_id = error.run_id or ""
            except RPCError as error:
                if error.status == RPCStatusCode.UNIMPLEMENTED:
                    raise PlacementError(f"This Temporal server has no standalone activities: {NEEDED}") from error
                raise
        return cls(client, activity_id, activity_type, run_id)

    async def outcome(self) -> ActivityExecutionOutcome:
        """Wait for what comes of it; a long poll, which the server ends after some 20 seconds.

        Raises:
            RPCError: When the server refuses.
        """
        request = PollActivityExecutionRequest(
            namespace=self._client.namespace, activity_id=self.id, run_id=self.run_id
        )
        while True:
            response = await _patiently(lambda: self._client.workflow_service.poll_activity_execution(request))
            if response is not None and response.HasField("outcome"):
                return response.outcome

    async def changes(self) -> AsyncIterator[DescribeActivityExecutionResponse]:
        """Yield how it stands each time that it changes, a heartbeat being a change; the last one has the outcome.

        Each is a round trip; while nothing changes, one in some 20 seconds.

        Raises:
            RPCError: When the server refuses.
        """
        request = DescribeActivityExecutionRequest(
            namespace=self._client.namespace,
            activity_id=self.id,
            run_id=self.run_id,
            include_outcome=True,
            include_heartbeat_details=True,
        )
        while True:
            found = await _patiently(lambda: self._client.workflow_service.describe_activity_execution(request))
            if found is None or not found.HasField("info"):
                continue
            yield found
            if found.HasField("outcome"):
                return
            request.run_id, request.long_poll_token = found.info.run_id, found.long_poll_token

    async def waits_for_worker(self) -> bool:
        """Tell whether it lies in its task queue and no worker polls that; two round trips."""
        request = DescribeActivityExecutionRequest(
            namespace=self._client.namespace, activity_id=self.id, run_id=self.run_id
        )
        found = await retried(lambda: self._client.workflow_service.describe_activity_execution(request))
        scheduled = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
        return found.info.run_state == scheduled and not await has_worker(
            self._client, found.info.task_queue, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
        )

    async def cancel(self) -> None:
        """Ask it to end; one round trip.

        Raises:
            RPCError: When the server refuses.
        """
        handle = self._client.get_activity_handle(self.id, run_id=self.run_id or None)
        await handle.cancel(rpc_timeout=_CANCEL_SECONDS)


async def _patiently(call: Callable[[], Awaitable[_T]]) -> _T | None:
    """Return what the server says; None where it is to be asked again: whoever waits has a time limit of its own."""
    try:
        return await call()
    except RPCError as error:
        if error.status in _EXPIRED:
            return None
        if error.status not in TRANSIENT:
            raise
    await asyncio.sleep(_PAUSE)
    return None


async def check_placement(client: Client) -> None:
    """Make sure that executors may have task queues of their own; one round trip.

    Raises:
        PlacementError: When the server has no standalone activities.
        RPCError: When it does not say.
    """
    if not await has_standalone_activities(client):
        raise PlacementError(
            f"The Temporal server at {client.service_client.config.target_host} has no standalone activities in "
            f"namespace {client.namespace!r}: {NEEDED}"
        )


async def has_standalone_activities(client: Client) -> bool:
    """Tell whether the server has them in the client's namespace; one round trip.

    Raises:
        RPCError: When the server does not say.
    """
    request = DescribeNamespaceRequest(namespace=client.namespace)
    found = await retried(lambda: client.workflow_service.describe_namespace(request, retry=True))
    return found.namespace_info.capabilities.standalone_activities
