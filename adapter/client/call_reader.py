"""What a call's caller is given: its part of a run's steps as events, and the error it ends with."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from agent_framework import (
    CheckpointStorage,
    WorkflowErrorDetails,
    WorkflowEvent,
    WorkflowEventSource,
    WorkflowRunState,
)

from ...workflows.messages import (
    CheckpointRef,
    RunFailure,
    SuperstepFailure,
    SuperstepInput,
    SuperstepResult,
)
from ..checkpoints.history import Closed
from ..checkpoints.pickling import new_exception
from ..errors import (
    DurableWorkflowError,
    RunCancelledError,
    RunFailedError,
    RunTerminatedError,
    RunTimedOutError,
)
from ..framework.internals import new_event
from .event_position import LiveEventsVoid, position_of
from .handle import Checkpoint
from .live_reader import LiveEventsRead, LiveReader
from .run_follower import RunFollower, RunStep, Settled, SuperstepLost
from .superstep_decoder import StepDecoder
from .thread_cursor import ThreadCursor

NO_PENDING = "No pending requests found in workflow context."
"""The framework's words."""


class CallReader:
    """Reads a run's steps and yields the events that belong to one call, until the run is idle, waits, or fails.

    Args:
        follower: The run's steps.
        decoder: Decodes them.
        handle: The caller's checkpoint handle; moves forward with the events.
        cursor: What this process has seen of the thread.
        after: Only events with a greater offset are the call's.
        call_id: Of a call with responses: its events begin with the superstep that takes them.
        until: Events in the last run's history when the call was made; a pause before that is over already.
        later_runs: Runs of the thread that were there when the call was made, after the follower's.
        mirror: Takes a copy of each checkpoint.
        raise_rejected: Raises if the workflow has rejected the call's responses.
        live: Reads the events of a running superstep; None for a caller who takes them as they are committed.
    """

    def __init__(
        self,
        follower: RunFollower,
        decoder: StepDecoder,
        handle: Checkpoint,
        cursor: ThreadCursor,
        *,
        after: int,
        call_id: str | None,
        until: int,
        later_runs: list[str],
        mirror: CheckpointStorage | None,
        raise_rejected: Callable[[], Awaitable[None]] | None,
        live: LiveReader | None,
    ) -> None:
        self._follower = follower
        self._decoder = decoder
        self._handle = handle
        self._cursor = cursor
        self._after = after
        self._call_id = call_id
        self._until = until
        self._later_runs = later_runs
        self._mirror = mirror
        self._raise_rejected = raise_rejected
        self._begun = call_id is None
        self._answering = False
        self._given = 0
        self._failed = False
        self._live = live
        self._live_given: dict[int, int] = {}
        """Offset -> attempt of the live events given of the superstep that is running."""
        self._live_superstep = 0
        self._running = False
        self._waiting = False
        self._over = False
        self._last: SuperstepResult | None = None
        self._failure: Exception | None = None
        """What the last superstep failed with: the run's end, unless the run pauses."""

    async def events(self) -> AsyncIterator[WorkflowEvent[Any]]:
        """Yield the call's events.

        Raises:
            Exception: What the run failed with, after its events.
        """
        async for step in self._steps():
            if isinstance(step, WorkflowEvent):
                yield step
            elif isinstance(step, SuperstepInput):
                self._scheduled(step)
            else:
                async for event in self._take(step):
                    yield event
                if self._over:
                    return

    def _scheduled(self, step: SuperstepInput) -> None:
        self._waiting = False
        self._failure = None
        self._running = True
        self._answering = self._call_id is not None and any(
            answer.call_id == self._call_id for answer in step.responses or []
        )
        self._begun = self._begun or self._answering
        if self._live is not None:
            self._live.begin(step.offset)

    async def _take(
        self, step: SuperstepResult | SuperstepFailure | SuperstepLost | Settled | Closed
    ) -> AsyncIterator[WorkflowEvent[Any]]:
        if isinstance(step, SuperstepResult | SuperstepFailure):
            self._running = False
            self._waiting = isinstance(step, SuperstepResult) and step.state == "waiting"
            if self._begun:
                async for event in self._superstep(step):
                    yield event
            if isinstance(step, SuperstepFailure):
                self._failure = _exception(step)
        elif isinstance(step, SuperstepLost):
            self._running = False
            self._failure = RunFailedError(f"A superstep of thread {self._follower.thread_id!r} failed: {step.message}")
        elif isinstance(step, Closed):
            if self._later_runs:
                self._enter(self._later_runs.pop(0))
                return
            if step.next_run_id is not None:
                self._enter(step.next_run_id)
                self._until = 0
                return
            self._over = True
            async for event in self._end(step):
                yield event
        elif not self._later_runs and step.event_id >= self._until:
            for event in await self._settled():
                yield event

    async def _settled(self) -> list[WorkflowEvent[Any]]:
        """Take that the workflow waits: for answers, or paused after a failure; anything else goes on.

        Raises:
            Exception: What the run is paused for.
        """
        if self._failure is not None:
            raise self._failure
        if not self._waiting:
            return []
        if not self._begun:
            if self._raise_rejected is not None:
                await self._raise_rejected()
            return []
        self._over = True
        self._cursor.keep_reader(self._follower, self._decoder)
        return self._pending_again()

    async def _steps(self) -> AsyncIterator[RunStep | WorkflowEvent[Any]]:
        """Yield the run's steps, and in between the live events of the superstep that is running."""
        following: asyncio.Task[RunStep] | None = None
        try:
            while True:
                following = asyncio.create_task(self._follower.next())
                while not following.done():
                    live = self._live if self._begun and self._running else None
                    await asyncio.wait([following], timeout=None if live is None else live.pause)
                    if live is not None and not following.done():
                        for event in self._live_events(await live.read(self._follower.run_id)):
                            yield event
                yield await following
        finally:
            if following is not None and not following.done():
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following

    def _live_events(self, read: LiveEventsRead) -> Iterator[WorkflowEvent[Any]]:
        yield from self._voided(read.attempt)
        for offset, event in read.events:
            if offset > self._after:
                self._live_given[offset] = read.attempt
                position = position_of(event)
                self._live_superstep = (position and position.superstep) or self._live_superstep
                yield event

    def _voided(self, attempt: int) -> Iterator[WorkflowEvent[Any]]:
        """Tell of live events that were given of another attempt than this one."""
        void = sorted(offset for offset, given in self._live_given.items() if given != attempt)
        if void:
            yield LiveEventsVoid(superstep=self._live_superstep, attempt=self._live_given[void[0]], offsets=void)
            self._live_given.clear()

    def _enter(self, run_id: str) -> None:
        """Go on with the thread's next run; the caller sees one stream."""
        self._follower.enter(run_id)
        self._decoder.enter(run_id)
        self._handle.run_id = run_id
        self._failed = False

    async def _superstep(self, step: SuperstepResult | SuperstepFailure) -> AsyncIterator[WorkflowEvent[Any]]:
        for notice in self._voided(step.attempt):
            yield notice
        given, self._live_given = self._live_given, {}
        async for offset, event in self._decoder.events(step, mirror=self._mirror):
            if offset <= self._after:
                continue
            self._failed = self._failed or event.type == "failed"
            self._given += 1
            self._handle.offset = offset
            if event.type == "superstep_completed" and step.checkpoint is not None:
                # A caller may note the handle here, or leave: the framework saves before it yields this event.
                self._cursor.move(self._ref(step.checkpoint.checkpoint_id))
            if offset not in given:
                yield event
        if isinstance(step, SuperstepResult):
            self._last = step
        if step.checkpoint is not None:
            self._cursor.move(self._ref(step.checkpoint.checkpoint_id))
        if self._answering and step.rejected:
            raise ValueError(next(iter(step.rejected.values())))

    async def _end(self, closed: Closed) -> AsyncIterator[WorkflowEvent[Any]]:
        """Yield the last events of a run that came to its end; raise for any other ending."""
        if closed.state == "idle":
            if not self._begun:
                if self._raise_rejected is not None:
                    await self._raise_rejected()
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
        if closed.state == "failed" and not self._failed and not isinstance(error, DurableWorkflowError):
            # A superstep that timed out could not tell its own failure.
            yield new_event("failed", details=_details(error), origin=WorkflowEventSource.FRAMEWORK)
            yield _status(WorkflowRunState.FAILED)
        raise error

    def _pending_again(self) -> list[WorkflowEvent[Any]]:
        """Return the pending requests for a caller who has seen everything else: it follows a thread that waits."""
        if self._given or self._last is None:
            return []
        return [*self._decoder.pending(self._last), _status(WorkflowRunState.IDLE_WITH_PENDING_REQUESTS)]

    def _ref(self, checkpoint_id: str) -> CheckpointRef:
        return CheckpointRef(
            thread_id=self._follower.thread_id, run_id=self._follower.run_id, checkpoint_id=checkpoint_id
        )

    def _error(self, closed: Closed) -> Exception:
        thread_id = self._follower.thread_id
        resume = "Its last checkpoint is intact: go on from there with `run_stream(checkpoint=...)`."
        if closed.state == "cancelled":
            return RunCancelledError(f"The run of thread {thread_id!r} was cancelled. {resume}")
        if closed.state == "terminated":
            return RunTerminatedError(f"The run of thread {thread_id!r} was terminated: {closed.message}. {resume}")
        if closed.state == "timed_out":
            return RunTimedOutError(f"The run of thread {thread_id!r} exceeded its execution timeout. {resume}")
        failure = closed.failure
        if failure is None:
            return RunFailedError(f"The run of thread {thread_id!r} failed: {closed.message}. {resume}")
        return _exception(failure)


def _exception(failure: RunFailure | SuperstepFailure) -> Exception:
    arguments = failure.error_args if failure.error_args is not None else [failure.message]
    error = new_exception(failure.error_module, failure.error_type, arguments, failure.message)
    return error or RunFailedError(f"{failure.error_type}: {failure.message}")


def _details(error: Exception) -> WorkflowErrorDetails:
    return WorkflowErrorDetails(error_type=type(error).__name__, message=str(error))


def _status(state: WorkflowRunState) -> WorkflowEvent[Any]:
    return new_event("status", state=state, origin=WorkflowEventSource.FRAMEWORK)
