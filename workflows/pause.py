"""A run that stays open after its superstep has failed for good, until somebody says to try again."""

from __future__ import annotations

from temporalio import workflow

from .messages import RETRY_SIGNAL, ErrorDetails, SuperstepFailure, SuperstepInput


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

    async def wait(self) -> None:
        """Wait for as long as it takes; costs nothing meanwhile."""
        try:
            await workflow.wait_condition(lambda: self._retry)
        finally:
            self.failure = None


def retry_mode(step: SuperstepInput, failure: SuperstepFailure) -> str:
    """Return the mode in which a superstep that failed is run again.

    It resumes from the last checkpoint, as the next run of a thread does after a failure. A message that no checkpoint
    holds yet is taken once more; responses that were not taken are pending again.
    """
    if step.mode == "store" or (step.mode == "message" and failure.checkpoint is None):
        return step.mode
    return "resume"
