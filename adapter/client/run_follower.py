"""Follows one run by its history: what its supersteps did, as it is written, woken by the server's long poll.

No worker is asked and nothing is written to history, however many follow a run, and a closed run reads the same way.
A run's history is bounded, so that reading it from its beginning is too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError

from ...workflows.messages import (
    SuperstepFailure,
    SuperstepInput,
    SuperstepResult,
)
from ..checkpoints.history import _CLOSED, Closed, decode, failure_text, read_close, superstep_outcome
from ..errors import NoWorkerError, ServerUnreachableError, WorkflowNotHostedError
from ..temporal.client import has_worker, is_unreachable

_LOGGER = logging.getLogger("agent_framework_temporal")
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Settled:
    """The workflow has taken in everything before this point and decided what is next."""

    event_id: int


@dataclass(frozen=True, slots=True)
class SuperstepLost:
    """A superstep that failed for good without telling anything: its workers were lost, or were not ours."""

    message: str


RunStep: TypeAlias = SuperstepInput | SuperstepResult | SuperstepFailure | SuperstepLost | Settled | Closed


class RunFollower:
    """Reads a run's history from its beginning and then as it grows.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        run_id: Temporal run id.
        task_queue: Where the run's workers poll, for the check whether there are any.
        worker_timeout: After this long without a first sign of a worker, `next` checks whether there is one.
        server_timeout: How long a lost connection is retried.
    """

    def __init__(
        self,
        client: Client,
        thread_id: str,
        run_id: str,
        *,
        task_queue: str,
        worker_timeout: timedelta,
        server_timeout: timedelta,
    ) -> None:
        self.thread_id = thread_id
        self._client = client
        self._task_queue = task_queue
        self._worker_timeout = worker_timeout.total_seconds()
        self._server_timeout = server_timeout.total_seconds()
        self._worker_seen = False
        self.enter(run_id)

    def enter(self, run_id: str) -> None:
        """Go on with another run of the thread, from its beginning: the one this one continued as."""
        self.run_id = run_id
        self._events = self._client.get_workflow_handle(self.thread_id, run_id=run_id).fetch_history_events(
            wait_new_event=True
        )

    async def next(self) -> RunStep:
        """Return the next step, waiting for it as long as the run takes.

        Raises:
            NoWorkerError: When no worker has taken the run up and none polls its task queue.
            WorkflowNotHostedError: When the worker that polls it does not know the generic workflow.
            ServerUnreachableError: When the connection stays lost.
        """
        while True:
            event = await self._next_event()
            if event.event_type in _CLOSED:
                return await read_close(self._client, event)
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                self._worker_seen = True
                if not self._goes_on():
                    return Settled(event.event_id)
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                await self._task_failed(event)
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                payloads = event.activity_task_scheduled_event_attributes.input.payloads
                step: SuperstepInput = await decode(self._client, payloads[0], SuperstepInput)
                return step
            outcome = await superstep_outcome(self._client, event)
            if outcome is not None:
                return outcome
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
                failure = event.activity_task_timed_out_event_attributes.failure
                return SuperstepLost(await failure_text(self._client, failure))
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
                failure = event.activity_task_failed_event_attributes.failure
                return SuperstepLost(await failure_text(self._client, failure, causes=True))

    def _goes_on(self) -> bool:
        """Tell whether the workflow task just read goes on to a superstep or to the run's end.

        Its commands lie right behind it.
        """
        page = self._events.current_page or ()
        for event in page[self._events.current_page_index :]:
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED or event.event_type in _CLOSED:
                return True
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
                return False
        return False

    async def _next_event(self) -> HistoryEvent:
        lost_at: float | None = None
        while True:
            try:
                async with asyncio.timeout(None if self._worker_seen else self._worker_timeout):
                    return await anext(self._events)
            except TimeoutError:
                await self._check_worker()
            except RPCError as error:
                if not is_unreachable(error):
                    raise
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at > self._server_timeout:
                    raise ServerUnreachableError(
                        f"The connection to the Temporal server is lost ({error.message}). Thread {self.thread_id!r} "
                        "goes on there; follow it again with `run_stream(checkpoint=...)`."
                    ) from error
                await asyncio.sleep(_RETRY_SECONDS)

    async def _check_worker(self) -> None:
        if not await has_worker(self._client, self._task_queue):
            raise NoWorkerError(
                f"No worker polls task queue {self._task_queue!r}, so thread {self.thread_id!r} does not begin. It is "
                "kept, and begins when one starts (`agent-framework-temporal-worker --workflow ... --task-queue "
                f"{self._task_queue}`); follow it then with `run_stream(checkpoint=...)`."
            )

    async def _task_failed(self, event: HistoryEvent) -> None:
        message = await failure_text(self._client, event.workflow_task_failed_event_attributes.failure, causes=True)
        if "is not registered on this worker" in message:
            raise WorkflowNotHostedError(
                f"A worker polls task queue {self._task_queue!r}, but it hosts no framework workflows: {message} Start "
                "it with `AgentFrameworkPlugin(workflows=[...])`, or use another task queue."
            )
        _LOGGER.warning(
            "A workflow task of thread %r failed and is retried until a worker can run it: %s", self.thread_id, message
        )
