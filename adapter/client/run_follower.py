"""Follows one run by its history: what its supersteps did, as it is written, woken by the server's long poll.

No worker is asked and nothing is written to history, however many follow a run, and a closed run reads the same way.
A run's history is bounded, so that reading it from its beginning is too.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError

from ...workflows.messages import (
    NOT_REPORTED,
    SuperstepFailure,
    SuperstepInput,
    SuperstepResult,
)
from ..advice import Advice, Step, Way
from ..checkpoints.history import (
    Closed,
    UnreadableError,
    decode,
    failure_text,
    is_close,
    of_superstep,
    of_thread,
    read_close,
    refused_before,
    scheduled_by,
    superstep_outcome,
    warn_refused,
)
from ..errors import NotSealedError, NoWorkerError, WorkflowNotHostedError
from ..logging import data_logger
from ..temporal.client import has_worker
from ..temporal.server import Patience, describe_run, rpc_errors
from .pace import Pace, StreamPace
from .run_history import RunHistory

_LOGGER = data_logger("agent_framework_temporal")
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


@dataclass(frozen=True, slots=True)
class Quiescent:
    """The workflow has taken in everything up to this point, and nothing has woken it since.

    Told again with each event that comes after and does not wake it: an upsert of search attributes or a timer of the
    same decision, what an operator does.
    """

    event_id: int


@dataclass(frozen=True, slots=True)
class SuperstepLost:
    """A superstep that failed without telling anything: its workers were lost, or were not ours."""

    message: str


FollowedEvent: TypeAlias = SuperstepInput | SuperstepResult | SuperstepFailure | SuperstepLost | Quiescent | Closed

_GONE_ON = frozenset(
    {EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW}
)
_WAKES = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
        # The workflow may have been given something else meanwhile, and gone on waiting for the superstep.
        EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
    }
)
"""What the workflow has to do something after."""


_MAY_VANISH = frozenset({EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED})
"""The server shows these of a workflow task that is for an update only. Where the update is refused they are dropped,
and what comes next has their ids."""


class RunFollower:
    """Reads a run's history from its beginning and then as it grows, at a pace that is its caller's to set.

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
        self.task_queue = task_queue
        self._worker_timeout = worker_timeout.total_seconds()
        self._patience = Patience(server_timeout.total_seconds())
        self._worker_seen = False
        self._place = of_superstep(client, thread_id)
        self._quiescent = False
        self._closing: asyncio.Task[None] | None = None
        self._history = RunHistory(client, thread_id, run_id)
        self.pace: Pace = StreamPace()
        self.enter(run_id)

    def enter(self, run_id: str, *, fresh: bool = False) -> None:
        """Go on with another run of the thread, from its beginning; a fresh one was only just started."""
        self.run_id = run_id
        self.pace.enter(fresh=fresh)
        self._scheduled: dict[int, str | None] = {}
        """What the outcome of a superstep has to answer, by the event that has scheduled it."""
        self._unopened: tuple[str | None, NotSealedError] | None = None
        """The last superstep, where its outcome needs a key that this process lacks: perhaps nobody has it."""
        self._quiescent = False
        self._last_event = 0
        self._open()

    def rest(self) -> None:
        """Wait for nothing until `next` is called again, which goes on from here."""
        closing, self._closing = self._closing, None
        if closing is not None and not closing.cancel() and not closing.cancelled():
            closing.exception()  # Nobody has asked for it yet.
        self._history.rest()

    def _open(self) -> None:
        self.rest()
        self._history = RunHistory(self.client, self.thread_id, self.run_id)
        self._is_closed = False
        self._look_for_worker()

    def _look_for_worker(self) -> None:
        self._worker_by = time.monotonic() + self._worker_timeout

    async def next(self) -> FollowedEvent:
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
            if is_close(event):
                if event.event_type in _GONE_ON:
                    self._check_opened(None)
                return await read_close(self.client, self.thread_id, event)
            if await self._is_quiescent_after(event):
                return Quiescent(event.event_id)
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                await self._task_failed(event)
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
                failure = event.activity_task_timed_out_event_attributes.failure
                return SuperstepLost(await failure_text(self.client, failure, self._place))
            try:
                step = await self._superstep(event)
            except (NotSealedError, UnreadableError) as error:
                # The workflow does not take it either, and runs the superstep again, or ends or pauses for it.
                warn_refused(self.thread_id, self.run_id, f"Event {event.event_id}", error)
                return SuperstepLost(f"its outcome is refused: {error}")
            if isinstance(step, SuperstepInput):
                self._check_opened(step.refused)
            if step is not None:
                state = step.state if isinstance(step, SuperstepResult) else None
                self.pace.goes_on = isinstance(step, SuperstepInput) or state == "running"
                return step

    async def _is_quiescent_after(self, event: HistoryEvent) -> bool:
        """Tell whether the workflow has nothing to do after this event, until somebody writes to it."""
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            self._worker_seen = True
            self._quiescent = False
            if not self._goes_on():
                refused = await self._refused_now()
                self._check_opened(refused)
                self._quiescent = refused is None and not self._came_meanwhile(event)
        elif event.event_type in _WAKES:
            self._quiescent = False
        return self._quiescent

    async def _superstep(
        self, event: HistoryEvent
    ) -> SuperstepInput | SuperstepResult | SuperstepFailure | SuperstepLost | None:
        """Return what an event tells of a superstep.

        Raises:
            NotSealedError: When it is not sealed, or does not answer the superstep it is the outcome of.
        """
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            payloads = event.activity_task_scheduled_event_attributes.input.payloads
            step: SuperstepInput = await decode(self.client, payloads[0], SuperstepInput, self._place)
            self._scheduled[event.event_id] = step.superstep_id
            return step
        try:
            outcome = await superstep_outcome(self.client, event, self._place)
        except NotSealedError as error:
            if error.waits_for_key:
                self._unopened = (self._scheduled.get(scheduled_by(event)), error)
            raise
        if outcome is not None:
            superstep_id = self._scheduled.pop(scheduled_by(event), None)
            if outcome.answers != superstep_id:
                raise NotSealedError(f"It answers superstep {outcome.answers!r}, not {superstep_id!r}.")
            return outcome
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            failure = event.activity_task_failed_event_attributes.failure
            return SuperstepLost(await failure_text(self.client, failure, self._place))
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            return SuperstepLost(NOT_REPORTED)
        return None

    def _check_opened(self, refused: str | None) -> None:
        """Look, when the run goes on, whether the workflow has taken what this process has no key for.

        Raises:
            NotSealedError: When it has.
        """
        unopened, self._unopened = self._unopened, None
        if unopened is not None and (refused is None or unopened[0] != refused):
            raise unopened[1]

    def _goes_on(self) -> bool:
        """Tell whether the workflow task just read goes on to a superstep or to the run's end.

        Its commands lie right behind it.
        """
        for event in self._unread:
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED or is_close(event):
                return True
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
                return False
        return False

    def _came_meanwhile(self, completed: HistoryEvent) -> bool:
        """Tell whether something was sent to the run while the workflow task just read ran, which it has not seen.

        The server keeps that back until the task is over, and writes it behind the task's commands, with the time at
        which it came, and with the task that is to take it in.
        """
        for event in self._unread:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
                return False
            if event.event_time.ToNanoseconds() < completed.event_time.ToNanoseconds():
                return True
        return False

    async def _refused_now(self) -> str | None:
        """Return the superstep whose outcome the workflow task just read has refused, to run it again in a while."""
        for event in self._unread:
            if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
                refused = await refused_before(self.client, self.thread_id, event)
                if refused is not None:
                    return refused
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
                break
        return None

    @property
    def _unread(self) -> deque[HistoryEvent]:
        """What was read and not told yet."""
        return self._history.events

    async def _next_event(self) -> HistoryEvent:
        what = f"follow thread {self.thread_id!r}, which keeps running"
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
                        if event.event_type not in _MAY_VANISH:
                            self._last_event = event.event_id
                        return event

    async def _poll(self) -> HistoryEvent | None:
        """Return the next event, or None when it is time to ask for it once more."""
        if self._unread:
            return self._unread.popleft()
        if self._history.is_over:
            # The history of a run that an operator has paused is given without a wait for more, and that of one which
            # has ended while its pages were read may be cut off.
            await self._until_unpaused()
            self._open()
        try:
            async with asyncio.timeout(None if self._worker_seen else max(0.0, self._worker_by - time.monotonic())):
                await self._until_due()
                self.pace.came(await self._history.read())
        except TimeoutError:
            await self._check_worker()
            self._look_for_worker()
        return None

    async def _until_due(self) -> None:
        """Wait until it is time to ask for more; or until the run is over, where that is what the caller waits for."""
        if self._is_closed or self._history.has_more:
            return
        pause = self.pace.pause()
        if not self._worker_seen:
            pause = min(pause, self._worker_timeout / 2)
        if not self.pace.ends_only:
            await asyncio.sleep(pause)
            return
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._history.closed())
        await asyncio.wait([self._closing], timeout=pause)
        if self._closing.done():
            closing, self._closing = self._closing, None
            closing.result()
            self._is_closed = True

    async def _until_unpaused(self) -> None:
        pause = _FIRST_LOOK
        while (await describe_run(self.client, self.thread_id, self.run_id)).is_paused:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK)

    async def _check_worker(self) -> None:
        if not await has_worker(self.client, self.task_queue):
            raise NoWorkerError(
                Advice(
                    f"No worker polls task queue {self.task_queue!r}, so thread {self.thread_id!r} does not start. It "
                    "is kept and starts as soon as a worker does: ",
                    Step(Way.START_WORKER, self.task_queue),
                    ". Follow it then with ",
                    Step(Way.FOLLOW, self.thread_id),
                    ".",
                )
            )

    async def _task_failed(self, event: HistoryEvent) -> None:
        if event.workflow_task_failed_event_attributes.cause in _NO_FAILURE:
            return
        failure = event.workflow_task_failed_event_attributes.failure
        message = failure.message  # Of the SDK itself, or of a worker that is not ours.
        if failure.HasField("encoded_attributes"):
            message = await failure_text(self.client, failure, of_thread(self.client, self.thread_id))
        if "is not registered on this worker" in message:
            raise WorkflowNotHostedError(
                Advice(
                    f"A worker polls task queue {self.task_queue!r}, but it hosts no framework workflows: {message} "
                    "Start it with ",
                    Step(Way.HOST, self.task_queue),
                    ", or use another task queue.",
                )
            )
        _LOGGER.warning(
            "A workflow task of thread %r failed and is retried until a worker can run it: %s", self.thread_id, message
        )
