"""What a failed superstep reports to Temporal, and whether another attempt could mend it.

| raised                                              | another attempt |
|-----------------------------------------------------|-----------------|
| by the framework before or after the executors      | no: validation, convergence, restore |
| one of our own errors (graph, payload, checkpoint)  | no |
| HTTP status 4xx of a model client                   | no, except 408, 409, 425, 429 |
| any other error of an executor                      | up to `max_attempts`, after Retry-After if there is one |
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from temporalio.exceptions import ApplicationError

from ..adapter._errors import DurableWorkflowError
from ..workflows._messages import SuperstepFailure

_RETRYABLE_STATUS = frozenset({408, 409, 425, 429})
_MAX_RETRY_AFTER = timedelta(minutes=10)
_JSON_SCALARS = (str, int, float, bool, type(None))


def to_application_error(
    error: Exception, failure: SuperstepFailure, *, executor_failed: bool, attempt: int, max_attempts: int
) -> ApplicationError:
    """Wrap what a superstep raised.

    Args:
        error: The exception, of the framework or of an executor.
        failure: Carries the events emitted before; completed here with the exception's type and arguments.
        executor_failed: Whether an executor raised it.
        attempt: This attempt, from 1.
        max_attempts: Attempts allowed to an executor's error.
    """
    cls = type(error)
    failure.error_module = cls.__module__
    failure.error_type = cls.__qualname__
    failure.message = str(error)
    failure.error_args = list(error.args) if all(isinstance(arg, _JSON_SCALARS) for arg in error.args) else None
    final = not executor_failed or attempt >= max_attempts or not is_retryable(error)
    return ApplicationError(
        str(error),
        failure,
        type=cls.__name__,
        non_retryable=final,
        next_retry_delay=None if final else retry_after(error),
    )


def is_retryable(error: BaseException) -> bool:
    """Tell whether another attempt could succeed where an executor raised `error`."""
    for cause in _causes(error):
        if isinstance(cause, DurableWorkflowError):
            return False
        status = getattr(cause, "status_code", None)
        if isinstance(status, int) and 400 <= status < 500:
            return status in _RETRYABLE_STATUS
    return True


def retry_after(error: BaseException) -> timedelta | None:
    """Return the wait a model's server asked for (`Retry-After` in seconds), at most 10 minutes."""
    for cause in _causes(error):
        headers: Any = getattr(getattr(cause, "response", None), "headers", None)
        value = headers.get("retry-after") if headers is not None and hasattr(headers, "get") else None
        try:
            seconds = float(value) if value is not None else None
        except (TypeError, ValueError):
            continue  # An HTTP date: rare, and the policy's own back-off does as well.
        if seconds is not None and seconds >= 0:
            return min(timedelta(seconds=seconds), _MAX_RETRY_AFTER)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
