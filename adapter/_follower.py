"""Follows one run by its history: what its supersteps did, as it is written, woken by the server's long poll.

No worker is asked and nothing is written to history, however many follow a run, and a closed run reads the same way.
A run's history is bounded, so that reading it from its beginning is too.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError

from ..workflows._messages import (
    NOT_REPORTED,
    RunFailure,
    RunResult,
    SuperstepFailure,
    SuperstepInput,
    SuperstepResult,
)
from ._client import has_worker
from ._errors import NoWorkerError, WorkflowNotHostedError
from ._history import decode, failure_text, superstep_outcome
from ._server import Patience, describe, rpc_errors

_LOGGER = logging.getLogger("agent_framework_temporal")
_FIRST_LOOK, _LAST_LOOK = 0.5, 8.0
"""Seconds between two looks whether a run is still paused: no long poll waits for that."""
_NO_FAILURE = frozenset(
    {
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
    }
)
"""What a workflow task is marked with that has to take a signal in first, or whose run was reset or terminated."""

CloseState: TypeAlias = Literal["idle", "failed", "cancelled", "terminated", "timed_out", "continued"]


@dataclass(frozen=True, slots=True)
class Settled:
    """The workflow has taken in everything up to this point, and nothing has woken it since.

    Told again with each event that comes after and does not wake it: an upsert of search attributes or a timer of the
    same decision, what an operator does.
    """

    event_id: int


@dataclass(frozen=True, slots=True)
class SuperstepLost:
    """A superstep that failed for good without telling anything: its workers were lost, or were not ours."""

    message: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of a run."""

    state: CloseState
    result: RunResult | None = None
    failure: RunFailure | None = None
    message: str = ""
    next_run_id: str | None = None
    """Of a run that continued as new."""


RunStep: TypeAlias = SuperstepInput | SuperstepResult | SuperstepFailure | SuperstepLost | Settled | Closed

_CLOSED: dict[int, CloseState] = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: "idle",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: "failed",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: "cancelled",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: "terminated",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: "timed_out",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: "continued",
}


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
        self.client = client
        self._task_queue = task_queue
        self._worker_timeout = worker_timeout.total_seconds()
        self._patience = Patience(server_timeout.total_seconds())
        self._worker_seen = False
        self._settled = False
        self.enter(run_id)

    def enter(self, run_id: str) -> None:
        """Go on with another run of the thread, from its beginning: the one this one continued as."""
        self.run_id = run_id
        self._settled = False
        self._last_event = 0
        self._open()

    def _open(self) -> None:
        handle = self.client.get_workflow_handle(self.thread_id, run_id=self.run_id)
        self._events = handle.fetch_history_events(wait_new_event=True)

    async def next(self) -> RunStep:
        """Return the next step, waiting for it as long as the run takes.

        Raises:
            NoWorkerError: When no worker has taken the run up and none polls its task queue.
            WorkflowNotHostedError: When the worker that polls it does not know the generic workflow.
            ServerUnreachableError: When the connection stays lost.
            ServerBusyError: When the server goes on to refuse the calls of this client.
            ThreadNotFoundError: When the run is deleted.
        """
        while True:
            event = await self._next_event()
            if event.event_type in _CLOSED:
                return await read_close(self.client, event)
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                self._worker_seen = True
                self._settled = not self._goes_on()
            elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
                self._settled = False
            if self._settled:
                return Settled(event.event_id)
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                await self._task_failed(event)
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                payloads = event.activity_task_scheduled_event_attributes.input.payloads
                step: SuperstepInput = await decode(self.client, payloads[0], SuperstepInput)
                return step
            outcome = await superstep_outcome(self.client, event)
            if outcome is not None:
                return outcome
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
                failure = event.activity_task_timed_out_event_attributes.failure
                return SuperstepLost(await failure_text(self.client, failure))
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
                failure = event.activity_task_failed_event_attributes.failure
                return SuperstepLost(await failure_text(self.client, failure))
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                return SuperstepLost(NOT_REPORTED)

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
        what = f"follow thread {self.thread_id!r}, which goes on all the same"
        with rpc_errors(self.client, what, self.thread_id):
            while True:
                try:
                    event = await self._poll()
                except RPCError as error:
                    if not await self._patience.bear(error):
                        raise
                else:
                    self._patience.over()
                    if event is not None and event.event_id > self._last_event:
                        self._last_event = event.event_id
                        return event

    async def _poll(self) -> HistoryEvent | None:
        """Return the next event, or None when it is time to ask for it once more."""
        try:
            async with asyncio.timeout(None if self._worker_seen else self._worker_timeout):
                return await anext(self._events)
        except TimeoutError:
            await self._check_worker()
        except StopAsyncIteration:
            # The history of a run that an operator has paused is given without a wait for more.
            await self._until_unpaused()
            self._open()
        return None

    async def _until_unpaused(self) -> None:
        pause = _FIRST_LOOK
        while (await describe(self.client, self.thread_id, self.run_id)).is_paused:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK)

    async def _check_worker(self) -> None:
        if not await has_worker(self.client, self._task_queue):
            raise NoWorkerError(
                f"No worker polls task queue {self._task_queue!r}, so thread {self.thread_id!r} does not begin. It is "
                "kept, and begins when one starts (`agent-framework-temporal-worker --workflow ... --task-queue "
                f"{self._task_queue}`); follow it then with `run_stream(checkpoint=...)`."
            )

    async def _task_failed(self, event: HistoryEvent) -> None:
        if event.workflow_task_failed_event_attributes.cause in _NO_FAILURE:
            return
        message = await failure_text(self.client, event.workflow_task_failed_event_attributes.failure)
        if "is not registered on this worker" in message:
            raise WorkflowNotHostedError(
                f"A worker polls task queue {self._task_queue!r}, but it hosts no framework workflows: {message} Start "
                "it with `AgentFrameworkPlugin(workflows=[...])`, or use another task queue."
            )
        _LOGGER.warning(
            "A workflow task of thread %r failed and is retried until a worker can run it: %s", self.thread_id, message
        )


async def read_close(client: Client, event: HistoryEvent) -> Closed:
    """Decode the last event of a run."""
    state = _CLOSED[event.event_type]
    if state == "idle":
        payloads = event.workflow_execution_completed_event_attributes.result.payloads
        return Closed(state, result=await decode(client, payloads[0], RunResult))
    if state == "failed":
        failure = event.workflow_execution_failed_event_attributes.failure
        details = failure.application_failure_info.details.payloads
        decoded = await decode(client, details[0], RunFailure) if details else None
        return Closed(state, failure=decoded, message=await failure_text(client, failure))
    if state == "continued":
        attributes = event.workflow_execution_continued_as_new_event_attributes
        return Closed(state, next_run_id=attributes.new_execution_run_id)
    if state == "terminated":
        return Closed(state, message=event.workflow_execution_terminated_event_attributes.reason)
    return Closed(state)
