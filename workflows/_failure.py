"""What a superstep that failed for good has told, or what can be said where it could not tell."""

from __future__ import annotations

from pydantic import ValidationError
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError

from ._messages import ErrorDetails, EventRecord, SuperstepFailure


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
    details = ErrorDetails(error_type=name, message=message)
    return SuperstepFailure(
        error_type=name,
        error_args=[message],
        message=message,
        events=[
            EventRecord(offset=0, type="failed", origin="FRAMEWORK", details=details),
            EventRecord(offset=0, type="status", origin="FRAMEWORK", state="FAILED"),
        ],
    )
