"""What a call's caller is given: its part of a run's steps as events, and the error it ends with."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agent_framework import (
    CheckpointStorage,
    WorkflowErrorDetails,
    WorkflowEvent,
    WorkflowEventSource,
    WorkflowRunState,
)

from ...workflows.failure import refuses_message
from ...workflows.messages import (
    CheckpointRef,
    RunFailure,
    SuperstepFailure,
    SuperstepInput,
    SuperstepResult,
)
from ..advice import Advice, Step, Way
from ..checkpoints.handle import Checkpoint
from ..checkpoints.history import Closed
from ..checkpoints.thread import run_after_reset
from ..errors import (
    DurableWorkflowError,
    InDoubtError,
    MessageRefusedError,
    RequestExpiredError,
    RunCancelledError,
    RunFailedError,
    RunInterruptedError,
    RunTerminatedError,
    RunTimedOutError,
    StartRefusedError,
    WorkerLostError,
    WorkflowNotHostedError,
)
from ..framework.catalog import TypeCatalog
from ..framework.error_data import rebuilt
from ..framework.internals import new_event
from ..logging import data_logger
from .event_position import LiveEventsDiscarded
from .given_live import GivenLive
from .live_reader import LiveReader
from .run_follower import FollowedEvent, RunFollower, SuperstepLost
from .superstep_decoder import SuperstepDecoder
from .thread_cursor import ThreadCursor

_LOGGER = data_logger("agent_framework_temporal")
NO_PENDING = "No pending requests found in workflow context."
"""The framework's words."""


class RunPhase(enum.Enum):
    """Where the run stands, by what its history has told last.

    BETWEEN -> RUNNING -> BETWEEN | WAITING | FAILED, each of which goes on to RUNNING when a superstep is scheduled.
    Where nothing wakes the run, WAITING and FAILED end the reading, as its close does in any phase: -> OVER.
    """

    BETWEEN = "between supersteps"
    RUNNING = "a superstep is running"
    WAITING = "the last superstep has left requests that wait"
    FAILED = "the last superstep has failed: the run's end, unless it pauses"
    OVER = "there is nothing more to read for this call"


class CallPhase(enum.Enum):
    """How far the call has come: SENT -> TAKEN -> UNDER_WAY, where one to no open run begins."""

    SENT = "its responses or message are sent, and no superstep has taken them"
    TAKEN = "the superstep that takes its responses is running or was the last"
    UNDER_WAY = "what happens is the call's"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallScope:
    """Which part of a thread is a call's."""

    after: int
    """Only events with a greater offset are."""
    call_id: str | None = None
    """Of a call to an open run: its events begin with the superstep that takes its responses or message."""
    until: int = 0
    """Events in the last run's history when the call was made; a pause before that is over already."""
    later_runs: tuple[str, ...] = ()
    """Runs of the thread that were there when the call was made, after the first one to read."""
    mirror: CheckpointStorage | None = None
    """Takes a copy of each checkpoint."""
    to_open_run: bool = False
    """Whether it was sent to a run that is open: it has only new events."""
    raise_rejected: Callable[[], Awaitable[None]] | None = None
    """Raises if the workflow has rejected the call's responses, or does not run its message."""
    started: bool = False
    """Whether the call has started the run: the turns of later messages are not its own."""
    queued: bool = False
    """Whether its message waits for its turn: what happens before is not its own, failures neither."""


class CallReader:
    """Reads a run's steps and yields the events that belong to one call, until the run is idle, waits, or fails.

    Args:
        follower: The run's steps.
        decoder: Decodes them.
        handle: The caller's thread handle; moves forward with the events.
        cursor: What this process has seen of the thread.
        scope: Which events are the call's.
        live: Reads the events of a running superstep; None for a caller who takes them as they are committed.
    """

    def __init__(
        self,
        follower: RunFollower,
        decoder: SuperstepDecoder,
        handle: Checkpoint,
        cursor: ThreadCursor,
        scope: CallScope,
        live: LiveReader | None,
    ) -> None:
        self._follower = follower
        self._decoder = decoder
        self._handle = handle
        self._cursor = cursor
        self._scope = scope
        self._live = live
        self._run = RunPhase.BETWEEN
        self._call = CallPhase.UNDER_WAY if scope.call_id is None else CallPhase.SENT
        self._later_runs = list(scope.later_runs)
        self._after = scope.after
        self._until = scope.until
        self._given_live = GivenLive()
        self._given = 0
        """Events given of what is committed."""
        self._tells_failure = False
        """Whether the run's events have told of its failure."""
        self._last: SuperstepResult | None = None
        self._failure: Exception | None = None
        """What the last superstep failed with, in phase FAILED."""
        self._rested = RunPhase.BETWEEN
        """Where the last superstep that was committed has left the run."""
        self._turn: str | None = None
        """Name of the message whose turn is the call's; None of the one that its run was started with."""

    async def events(self) -> AsyncIterator[WorkflowEvent[Any]]:
        """Yield the call's events.

        Raises:
            Exception: What the run failed with, after its events.
        """
        async for step in self._steps():
            if isinstance(step, WorkflowEvent):
                yield step
                continue
            async for event in self._take(step):
                yield event
            if self._run is RunPhase.OVER:
                return

    async def _take(self, step: FollowedEvent) -> AsyncIterator[WorkflowEvent[Any]]:
        """Yield the events of a step, and enter the phases that it leads to."""
        if isinstance(step, SuperstepInput):
            if self._is_over_with(step):
                self._run = RunPhase.OVER
                for event in self._turn_over(step):
                    yield event
                return
            self._scheduled(step)
        elif isinstance(step, SuperstepResult | SuperstepFailure):
            if self._call is not CallPhase.SENT:
                async for event in self._outcome(step):
                    yield event
            self._came_to(step)
        elif isinstance(step, SuperstepLost):
            text = f"A superstep of thread {self._follower.thread_id!r} failed: {step.message}"
            self._has_failed(RunFailedError(text))
        elif isinstance(step, Closed):
            async for event in self._closed(step):
                yield event
        elif not self._later_runs and step.event_id >= self._until:
            for event in await self._quiescent():
                yield event

    def _came_to(self, step: SuperstepResult | SuperstepFailure) -> None:
        if isinstance(step, SuperstepResult):
            self._run = self._rested = RunPhase.WAITING if step.state == "waiting" else RunPhase.BETWEEN
        elif refuses_message(step) and not self._is_queued_own:
            self._run = self._rested  # As if that message had never come.
        else:
            self._has_failed(_exception(step, self._decoder.catalog))
            if self._failure is not None and refuses_message(step):
                raise self._failure  # The thread goes on without its message: with the turn before, where one was cut.

    def _scheduled(self, step: SuperstepInput) -> None:
        self._run, self._failure = RunPhase.RUNNING, None
        call_id = self._scope.call_id
        if call_id is not None and any(answer.call_id == call_id for answer in step.responses or []):
            self._call = CallPhase.TAKEN
        elif self._call is CallPhase.TAKEN or (
            call_id is not None and step.message is not None and step.message.call_id == call_id
        ):
            if step.message is not None and step.message.call_id == call_id:
                self._turn = step.message.message_run_id
            self._call = CallPhase.UNDER_WAY
        if self._live is not None:
            self._live.begin(step.offset, step.superstep_id, self._follower.pace.first_look())

    @property
    def _is_queued_own(self) -> bool:
        return self._scope.queued and self._call is not CallPhase.SENT

    def _is_over_with(self, step: SuperstepInput) -> bool:
        """Tell whether a superstep begins the turn of another message, so that the call's own is over."""
        own = self._scope.started or self._scope.call_id is not None
        if not own or self._call is CallPhase.SENT or step.message is None:
            return False
        mine = step.message.call_id is not None and step.message.call_id == self._scope.call_id
        return not mine and step.message.message_run_id != self._turn

    def _turn_over(self, step: SuperstepInput) -> list[WorkflowEvent[Any]]:
        """Return the last events of a call whose turn is over, as the thread goes on with another message.

        Raises:
            Exception: What the turn has failed with, or that it was cut off.
        """
        if step.cuts != "rollback" and self._failure is not None:
            raise self._failure
        if step.cuts is not None:
            error = RunInterruptedError(
                f"Another message has interrupted this turn of thread {self._follower.thread_id!r}, which continues "
                "with that message "
                + ("from the point where this turn began." if step.cuts == "rollback" else "from its last checkpoint.")
            )
            error.rolled_back = step.cuts == "rollback"
            raise error
        return [] if self._given else [_status(WorkflowRunState.IDLE)]

    def _has_failed(self, error: Exception) -> None:
        self._run, self._failure = RunPhase.FAILED, error

    async def _quiescent(self) -> list[WorkflowEvent[Any]]:
        """Take that nothing wakes the run: it waits for responses, or is paused after a failure; or it goes on.

        Raises:
            Exception: What the run is paused for.
        """
        if self._call is CallPhase.SENT and self._scope.queued:
            await self._check_rejected()
            return []
        if self._failure is not None:
            raise self._failure
        if self._run is not RunPhase.WAITING:
            if self._run is RunPhase.BETWEEN and self._call is not CallPhase.SENT:
                thread_id = self._follower.thread_id
                _LOGGER.warning(
                    "Thread %r is paused before its next superstep, and its stream waits until it continues. To let "
                    "it continue: `await durable.continue_(%r)`.",
                    thread_id,
                    thread_id,
                )
            return []
        if self._call is CallPhase.SENT:
            await self._check_rejected()
            return []
        self._run = RunPhase.OVER
        self._cursor.keep_reader(self._follower, self._decoder)
        return await self._pending_again()

    async def _closed(self, step: Closed) -> AsyncIterator[WorkflowEvent[Any]]:
        """Go on with the thread's next run, if it has one; else yield the last events."""
        if self._later_runs:
            self._enter(self._later_runs.pop(0))
        elif step.next_run_id is not None:
            self._enter(step.next_run_id, fresh=True)
            self._until = 0
        elif step.state == "terminated" and (void := await self._reset()) is not None:
            yield void
        else:
            self._run = RunPhase.OVER
            async for event in self._end(step):
                yield event

    async def _reset(self) -> LiveEventsDiscarded | None:
        """Go on with the run that an operator has reset this one to, if one has: offsets start over from that point.

        Returns:
            What tells of the events given that have not happened there; None when the run was not reset.
        """
        follower = self._follower
        found = await run_after_reset(follower.client, follower.thread_id, follower.run_id)
        if found is None:
            return None
        run_id, offset = found
        void = self._given_live.void_all(range(max(self._scope.after, offset) + 1, self._handle.offset + 1))
        self._enter(run_id)
        self._until, self._after = 0, max(self._scope.after, offset)
        self._handle.offset = min(self._handle.offset, self._after)
        self._given = 0
        self._run, self._failure = RunPhase.BETWEEN, None
        self._call = CallPhase.UNDER_WAY  # A response that was not reapplied never comes: its request is pending then.
        return void

    async def _steps(self) -> AsyncIterator[FollowedEvent | WorkflowEvent[Any]]:
        """Yield the run's steps, and in between the live events of the superstep that is running."""
        following: asyncio.Task[FollowedEvent] | None = None
        try:
            while True:
                following = asyncio.create_task(self._follower.next())
                while not following.done():
                    live = self._live if self._reads_live() else None
                    await asyncio.wait([following], timeout=None if live is None else live.pause)
                    if live is not None and not following.done():
                        for event in self._given_live.give(await live.read(self._follower.run_id), self._after):
                            if event.origin is WorkflowEventSource.EXECUTOR:
                                self._follower.pace.tells = True
                            yield event
                yield await following
        finally:
            if following is not None and not following.done():
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following
            self._follower.rest()

    def _reads_live(self) -> bool:
        return self._run is RunPhase.RUNNING and self._call is not CallPhase.SENT

    def _enter(self, run_id: str, *, fresh: bool = False) -> None:
        """Go on with the thread's next run; the caller sees one stream."""
        self._follower.enter(run_id, fresh=fresh)
        self._decoder.enter(run_id)
        self._handle.run_id = run_id
        self._tells_failure = False

    async def _outcome(self, step: SuperstepResult | SuperstepFailure) -> AsyncIterator[WorkflowEvent[Any]]:
        for notice in self._given_live.void(step):
            yield notice
        given = self._given_live.take(step)
        reached = _checkpoints_of(step)
        async for offset, event in self._decoder.events(step, mirror=self._scope.mirror):
            if offset <= self._after:
                continue
            self._tells_failure = self._tells_failure or event.type == "failed"
            self._given += 1
            self._handle.offset = offset
            if event.type == "superstep_completed" and step.checkpoint is not None:
                # A caller may note the handle here, or leave: the framework saves before it yields this event.
                self._cursor.move(self._ref(reached.get(event.iteration, step.checkpoint.checkpoint_id)))
            if offset not in given:
                yield event
        if isinstance(step, SuperstepResult):
            self._last = step
        if step.checkpoint is not None:
            self._cursor.move(self._ref(step.checkpoint.checkpoint_id))
        if self._call is CallPhase.TAKEN and step.rejected:
            raise ValueError(next(iter(step.rejected.values())))

    async def _check_rejected(self) -> None:
        if self._scope.raise_rejected is not None:
            await self._scope.raise_rejected()

    async def _end(self, closed: Closed) -> AsyncIterator[WorkflowEvent[Any]]:
        """Yield the last events of a run that came to its end; raise for any other ending."""
        if closed.state == "idle":
            if self._failure is not None and self._is_queued_own:
                raise self._failure  # The thread has gone on without its message, to where it stood before.
            if self._call is CallPhase.SENT:
                await self._check_rejected()
                if self._scope.queued:
                    raise MessageRefusedError(
                        f"Thread {self._follower.thread_id!r} is idle again without having run the message, which was "
                        "withdrawn."
                    )
                raise RuntimeError(NO_PENDING)
            if closed.result is not None:
                self._cursor.move(closed.result.checkpoint)
                self._handle.offset = max(self._handle.offset, closed.result.next_offset - 1)
            if not self._given:
                yield _status(WorkflowRunState.IDLE)
            return
        if closed.failure is not None:
            self._cursor.move(closed.failure.checkpoint)
        error = self._error(closed)
        if closed.state == "failed" and not self._tells_failure and not isinstance(error, DurableWorkflowError):
            # A superstep that timed out could not tell its own failure.
            yield new_event("failed", details=_details(error), origin=WorkflowEventSource.FRAMEWORK)
            yield _status(WorkflowRunState.FAILED)
        raise error

    async def _pending_again(self) -> list[WorkflowEvent[Any]]:
        """Return the pending requests for a caller who has seen everything else: it follows a thread that waits."""
        if self._given or self._last is None:
            return []
        return [*await self._decoder.pending(self._last), _status(WorkflowRunState.IDLE_WITH_PENDING_REQUESTS)]

    def _ref(self, checkpoint_id: str) -> CheckpointRef:
        return CheckpointRef(
            thread_id=self._follower.thread_id, run_id=self._follower.run_id, checkpoint_id=checkpoint_id
        )

    def _error(self, closed: Closed) -> Exception:
        thread_id = self._follower.thread_id
        resume = Advice("Its last checkpoint is intact. Continue from it with ", Step(Way.RESUME, thread_id), ".")
        if closed.state == "cancelled":
            return RunCancelledError(Advice(f"The run of thread {thread_id!r} was cancelled. ", resume))
        if closed.state == "terminated":
            return RunTerminatedError(
                Advice(f"The run of thread {thread_id!r} was terminated: {closed.message}. ", resume)
            )
        if closed.state == "timed_out":
            return RunTimedOutError(Advice(f"The run of thread {thread_id!r} exceeded its execution timeout. ", resume))
        failure = closed.failure
        if failure is None:
            return RunFailedError(Advice(f"The run of thread {thread_id!r} failed: {closed.message}. ", resume))
        return self._with_way_out(_exception(failure, self._decoder.catalog))

    def _with_way_out(self, error: Exception) -> Exception:
        """Add to an error of ours what its reader does next: the worker, which raised it, cannot know who that is."""
        thread_id = self._follower.thread_id
        resume = Advice(" Resume it with ", Step(Way.RESUME, thread_id), ".")
        ways: dict[type[Exception], Advice] = {
            WorkerLostError: resume,
            InDoubtError: resume,
            WorkflowNotHostedError: Advice(" Host it with ", Step(Way.HOST, self._follower.task_queue), "."),
        }
        way = ways.get(type(error))
        text = Advice.found_in(str(error), Step(Way.RESPOND, thread_id), Step(Way.CLIENT))
        if way is not None or isinstance(error, RequestExpiredError | StartRefusedError):
            error.args = (Advice(text, way or ""), *error.args[1:])
        return error


def _checkpoints_of(outcome: SuperstepResult | SuperstepFailure) -> dict[int | None, str]:
    """Return the checkpoints that the supersteps of a burst have reached before its last, by number."""
    between = outcome.between if isinstance(outcome, SuperstepResult) else ()
    return {found.superstep: found.checkpoint_id for found in between if found.kind is None}


def _exception(failure: RunFailure | SuperstepFailure, catalog: TypeCatalog | None) -> Exception:
    return rebuilt(
        failure.error_module,
        failure.error_type,
        failure.error_args,
        failure.message,
        failure.error_data,
        catalog=catalog,
    )


def _details(error: Exception) -> WorkflowErrorDetails:
    return WorkflowErrorDetails(error_type=type(error).__name__, message=str(error))


def _status(state: WorkflowRunState) -> WorkflowEvent[Any]:
    return new_event("status", state=state, origin=WorkflowEventSource.FRAMEWORK)
