"""What a call's caller is given: its part of a run's steps as events, and the error it ends with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from agent_framework import (
    CheckpointStorage,
    WorkflowErrorDetails,
    WorkflowEvent,
    WorkflowEventSource,
    WorkflowRunState,
)

from ..workflows._messages import CheckpointRef, SuperstepFailure, SuperstepInput, SuperstepResult
from ._checkpoint import Checkpoint
from ._errors import DurableWorkflowError, RunCancelledError, RunFailedError, RunTerminatedError, RunTimedOutError
from ._follower import Closed, RunFollower
from ._framework import new_event
from ._pickling import new_exception
from ._steps import StepDecoder

NO_PENDING = "No pending requests found in workflow context."
"""The framework's words."""


class CallReader:
    """Reads a run's steps and yields the events that belong to one call, until the run is idle, waits, or fails.

    Args:
        follower: The run's steps.
        decoder: Decodes them.
        handle: The caller's checkpoint handle; moves forward with the events.
        after: Only events with a greater offset are the call's.
        call_id: Of a call with responses: its events begin with the superstep that takes them.
        until: Events in the run's history when the call was made; a pause before that is over already.
        mirror: Takes a copy of each checkpoint.
        raise_rejected: Raises if the workflow has rejected the call's responses.
    """

    def __init__(
        self,
        follower: RunFollower,
        decoder: StepDecoder,
        handle: Checkpoint,
        *,
        after: int,
        call_id: str | None,
        until: int,
        mirror: CheckpointStorage | None,
        raise_rejected: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._follower = follower
        self._decoder = decoder
        self._handle = handle
        self._after = after
        self._call_id = call_id
        self._until = until
        self._mirror = mirror
        self._raise_rejected = raise_rejected
        self._begun = call_id is None
        self._answering = False
        self._given = 0
        self._failed = False
        self._requests: dict[str, WorkflowEvent[Any]] = {}

    async def events(self) -> AsyncIterator[WorkflowEvent[Any]]:
        """Yield the call's events.

        Raises:
            Exception: What the run failed with, after its events.
        """
        waiting = False
        while True:
            step = await self._follower.next()
            if isinstance(step, SuperstepInput):
                waiting = False
                self._answering = self._call_id is not None and any(
                    answer.call_id == self._call_id for answer in step.responses or []
                )
                self._begun = self._begun or self._answering
            elif isinstance(step, SuperstepResult | SuperstepFailure):
                waiting = isinstance(step, SuperstepResult) and step.state == "waiting"
                if self._begun:
                    async for event in self._superstep(step):
                        yield event
            elif isinstance(step, Closed) and step.next_run_id is not None:
                self._enter(step.next_run_id)
            elif isinstance(step, Closed):
                async for event in self._end(step):
                    yield event
                return
            elif waiting and step.event_id >= self._until:
                if self._begun:
                    for event in self._pending_again():
                        yield event
                    self._handle.keep_reader(self._follower, self._decoder)
                    return
                if self._raise_rejected is not None:
                    await self._raise_rejected()

    def _enter(self, run_id: str) -> None:
        """Follow the run into the one it continued as; the caller sees one stream."""
        self._follower.enter(run_id)
        self._decoder.enter(run_id)
        self._handle.run_id = run_id
        self._until = 0

    async def _superstep(self, step: SuperstepResult | SuperstepFailure) -> AsyncIterator[WorkflowEvent[Any]]:
        async for offset, event in self._decoder.events(step, mirror=self._mirror):
            if event.type == "request_info":
                self._requests[event.request_id] = event
            if offset <= self._after:
                continue
            self._failed = self._failed or event.type == "failed"
            self._given += 1
            self._handle.offset = offset
            if event.type == "superstep_completed" and step.checkpoint is not None:
                # A caller may note the handle here, or leave: the framework saves before it yields this event.
                self._handle.move(self._ref(step.checkpoint.checkpoint_id))
            yield event
        if isinstance(step, SuperstepResult):
            pending = {request.request_id for request in step.pending}
            self._requests = {key: event for key, event in self._requests.items() if key in pending}
        if step.checkpoint is not None:
            self._handle.move(self._ref(step.checkpoint.checkpoint_id))
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
                self._handle.move(closed.result.checkpoint)
                self._handle.offset = max(self._handle.offset, closed.result.next_offset - 1)
            if not self._given:
                yield _status(WorkflowRunState.IDLE)
            return
        if closed.failure is not None:
            self._handle.move(closed.failure.checkpoint)
        error = self._error(closed)
        if closed.state == "failed" and not self._failed and not isinstance(error, DurableWorkflowError):
            # A superstep that timed out could not tell its own failure.
            yield new_event("failed", details=_details(error), origin=WorkflowEventSource.FRAMEWORK)
            yield _status(WorkflowRunState.FAILED)
        raise error

    def _pending_again(self) -> list[WorkflowEvent[Any]]:
        """Return the pending requests for a caller who has seen everything else: it follows a thread that waits."""
        if self._given:
            return []
        return [*self._requests.values(), _status(WorkflowRunState.IDLE_WITH_PENDING_REQUESTS)]

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
        arguments = failure.error_args if failure.error_args is not None else [failure.message]
        error = new_exception(failure.error_module, failure.error_type, arguments, failure.message)
        return error or RunFailedError(f"{failure.error_type}: {failure.message}")


def _details(error: Exception) -> WorkflowErrorDetails:
    return WorkflowErrorDetails(error_type=type(error).__name__, message=str(error))


def _status(state: WorkflowRunState) -> WorkflowEvent[Any]:
    return new_event("status", state=state, origin=WorkflowEventSource.FRAMEWORK)
