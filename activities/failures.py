"""What a failed superstep reports to Temporal, and whether another attempt could mend it.

| raised                                              | another attempt |
|-----------------------------------------------------|-----------------|
| by the framework before or after the executors      | no: validation, convergence, restore |
| one of our own errors (graph, payload, checkpoint)  | no, except that of a worker that is too old |
| HTTP status 4xx of a model client                   | no, except 408, 409, 425, 429 |
| any other error of an executor                      | up to `max_attempts`, after Retry-After if there is one |
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from temporalio.exceptions import ApplicationError

from ..adapter.checkpoints.pickling import exception_args
from ..adapter.errors import DurableWorkflowError, NewerReleaseError
from ..workflows.messages import SuperstepFailure
from .executor_rules import RetryRule

_RETRYABLE_STATUS = frozenset({408, 409, 425, 429})
_MAX_RETRY_AFTER = timedelta(minutes=10)
_MAX_CAUSES_BYTES = 128 * 1024
_MAX_CAUSES = 20
_MAX_TEXT = 64 * 1024
"""A failure has to fit a gRPC message, some clients put a whole response body into their errors, and it is written
into history three times: as message, in the arguments and in the events."""


def to_application_error(
    error: Exception, failure: SuperstepFailure, *, executor_failed: bool, failures: int = 1, rule: RetryRule
) -> ApplicationError:
    """Wrap what a superstep raised.

    Args:
        error: The exception, of the framework or of an executor.
        failure: Carries the events emitted before; completed here with the exception's type and arguments.
        executor_failed: Whether an executor raised it.
        failures: Attempts in which an executor failed, with this one.
        rule: What holds for the executor.
    """
    cls = type(error)
    failure.error_module = cls.__module__
    failure.error_type = cls.__qualname__
    failure.message = _text(error)
    failure.error_args = _arguments(error)
    # Another worker may know what this one does not.
    elsewhere = isinstance(error, NewerReleaseError)
    final = not elsewhere and (not executor_failed or failures >= rule.max_attempts or not is_retryable(error))
    wait = retry_after(error)
    if wait is None:
        wait = rule.wait(failures)
    return ApplicationError(
        failure.message,
        failure,
        type=cls.__name__,
        non_retryable=final,
        next_retry_delay=None if final else wait,
    )


def cause_of(error: Exception) -> Exception | None:
    """Return an error as the cause of what is reported; None where its texts would not fit, or could not travel.

    Temporal writes a cause with all its causes, whatever their size. A report that it refuses would leave the superstep
    running until its timeout.
    """
    left = _MAX_CAUSES_BYTES
    seen: set[int] = set()
    for cause in _causes(error):
        seen.add(id(cause))
        try:
            left -= len(str(cause).encode()) + len(repr(getattr(cause, "details", "")).encode())
        except Exception:  # An exception's text is its own code; and a lone surrogate has no bytes.
            return None
        following = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
        if left < 0 or len(seen) > _MAX_CAUSES or id(following) in seen:
            return None
    return error


def is_retryable(error: BaseException) -> bool:
    """Tell whether another attempt could succeed where an executor raised `error`."""
    for cause in _causes(error):
        if isinstance(cause, DurableWorkflowError):
            return False
        status = _status(cause)
        if status is not None and 400 <= status < 500:
            return status in _RETRYABLE_STATUS
    return True


def retry_after(error: BaseException) -> timedelta | None:
    """Return the wait a model's server asked for (`Retry-After`, in seconds or as a date), at most 10 minutes."""
    for cause in _causes(error):
        for holder in (getattr(cause, "response", None), cause):
            seconds = _seconds(getattr(holder, "headers", None))
            if seconds is not None:
                return timedelta(seconds=min(max(seconds, 0.0), _MAX_RETRY_AFTER.total_seconds()))
    return None


def _seconds(headers: Any) -> float | None:
    if not isinstance(headers, Mapping):
        return None
    values = {str(name).lower(): str(value) for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = values.get(name, "")
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                date = parsedate_to_datetime(value)
            except ValueError:
                continue
            # A date without a zone is UTC (RFC 9110 knows no other).
            seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        if not math.isnan(seconds):
            return seconds
    return None


def _status(error: BaseException) -> int | None:
    """Return the HTTP status in an error, under the names that model and HTTP clients give it."""
    holders = (error, getattr(error, "response", None))
    for value in (getattr(holder, name, None) for holder in holders for name in ("status_code", "status")):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # An exception's text is its own code.
        text = f"{type(error).__name__} (its text cannot be read)"
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]} ... ({len(text):,} characters)"


def _arguments(error: BaseException) -> list[Any] | None:
    """Return what rebuilds the error at the caller; None where that would not fit or could not travel as JSON."""
    arguments = exception_args(error)
    try:
        fits = arguments is not None and len(json.dumps(arguments, allow_nan=False).encode()) <= _MAX_TEXT
    except ValueError:
        return None
    return arguments if fits and not any(_has_surrogates(argument) for argument in arguments or ()) else None


def _has_surrogates(value: Any) -> bool:
    return isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
