"""A run that stays open and does nothing: after a superstep that has failed for good, or as somebody wants to look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from temporalio import workflow

from .messages import RETRY_SIGNAL, ErrorDetails, PauseReason, PauseSignal, SuperstepFailure, SuperstepInput


class Pause:
    """Waits for signal `retry`; it counts only while the run is paused."""

    def __init__(self) -> None:
        self.failure: ErrorDetails | None = None
        """What the run is paused for."""
        self._retry = False

    def signal(self, name: str) -> bool:
        """Take a signal; returns whether it was for us."""
        self._retry = self._retry or (name == RETRY_SIGNAL and self.failure is not None)
        return name == RETRY_SIGNAL

    def begin(self, failure: SuperstepFailure) -> None:
        """Pause for a failure."""
        self.failure = ErrorDetails(error_type=failure.error_type, message=failure.message)
        self._retry = False

    async def wait(self, is_over: Callable[[], bool]) -> None:
        """Wait for as long as it takes, or until something else ends it; costs nothing meanwhile."""
        try:
            await workflow.wait_condition(lambda: self._retry or is_over())
        finally:
            self.failure = None


class Hold:
    """Holds a healthy run before its next superstep: as somebody has asked for, or at a breakpoint.

    Args:
        breakpoints: Executor ids, or patterns of them.
    """

    def __init__(self, breakpoints: Sequence[str]) -> None:
        self.breakpoints: list[str] = list(breakpoints)
        self.reason: PauseReason | None = None
        """What the run is held for, or will be."""

    def ask(self, sent: PauseSignal) -> None:
        """Hold the run before its next superstep, until it is told to continue."""
        self.reason = PauseReason(
            kind="asked", at=workflow.now().isoformat(), reason=sent.reason, responder=sent.responder
        )

    def release(self) -> None:
        """Let the run go on."""
        self.reason = None

    def leave_breakpoint(self) -> None:
        """Forget a breakpoint that the run does not come to: what was asked for still holds."""
        if self.reason is not None and self.reason.kind == "breakpoint":
            self.reason = None

    def stops(self, executors: Sequence[str]) -> bool:
        """Tell whether the run is held before a superstep that may run these executors; none where nobody knows."""
        if self.reason is None:
            found = [name for name in executors if any(fnmatchcase(name, pattern) for pattern in self.breakpoints)]
            if found or "*" in self.breakpoints:
                self.reason = PauseReason(
                    kind="breakpoint", at=workflow.now().isoformat(), executors=list(executors)[:100]
                )
        return self.reason is not None

    @property
    def is_asked(self) -> bool:
        """Whether somebody has asked for it, so that nothing else ends it."""
        return self.reason is not None and self.reason.kind != "breakpoint"


def retry_mode(step: SuperstepInput, failure: SuperstepFailure) -> str:
    """Return the mode in which a superstep that failed is run again.

    It resumes from the last checkpoint, as the next run of a thread does after a failure. A message that no checkpoint
    holds yet is taken once more; responses that were not taken are pending again.
    """
    if step.mode == "store" or (step.mode == "message" and failure.checkpoint is None):
        return step.mode
    return "resume"
