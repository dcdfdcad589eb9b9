"""How often a superstep is tried, and what one that failed for good has told, or can be said where it could not."""

from __future__ import annotations

from datetime import timedelta

from pydantic import ValidationError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError

from ._messages import ErrorDetails, EventRecord, RunOptions, SuperstepFailure

MAX_WORKER_LOSSES = 100
"""Attempts of one superstep beyond `max_attempts`: a lost worker is not the executor's failure."""


def retry_policy(options: RunOptions) -> RetryPolicy:
    """Return the policy of superstep activities."""
    return RetryPolicy(
        initial_interval=timedelta(seconds=options.retry_initial_interval),
        backoff_coefficient=options.retry_backoff,
        maximum_interval=timedelta(seconds=options.retry_maximum_interval),
        maximum_attempts=options.max_attempts + MAX_WORKER_LOSSES,
    )


def failure_of(error: ActivityError) -> SuperstepFailure:
    """Return what the last attempt reported, or what can be said of an attempt that reported nothing."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.details:
        try:
            return SuperstepFailure.model_validate(cause.details[0])
        except ValidationError:
            pass  # An error raised before the activity's own code: its message is all there is.
    if isinstance(cause, TimeoutError):
        message = f"Superstep timed out ({cause.type.name if cause.type else 'unknown'}): {cause.message}"
        name = "TimeoutError"
    else:
        message = getattr(cause, "message", None) or str(cause or error)
        name = getattr(cause, "type", None) or "RuntimeError"
    return _failed("builtins", name, message)


def expiry_of(message: str) -> SuperstepFailure:
    """Return the failure of a run whose request nobody has answered by its deadline."""
    return _failed("agent_framework_temporal.adapter._errors", "RequestExpiredError", message)


def _failed(module: str, name: str, message: str) -> SuperstepFailure:
    details = ErrorDetails(error_type=name, message=message)
    return SuperstepFailure(
        error_module=module,
        error_type=name,
        error_args=[message],
        message=message,
        events=[
            EventRecord(offset=0, type="failed", origin="FRAMEWORK", details=details),
            EventRecord(offset=0, type="status", origin="FRAMEWORK", state="FAILED"),
        ],
    )
