"""What a failed superstep reports to Temporal, and whether another attempt could mend it.

| raised                                              | another attempt |
|-----------------------------------------------------|-----------------|
| by the framework before or after the executors      | no: validation, convergence, restore |
| one of our own errors (graph, payload, checkpoint)  | no, except that of a worker that is too old |
| HTTP status 4xx of a model client                   | no, except 408, 409, 425, 429 |
| any other error of an executor                      | up to `max_attempts`, after Retry-After if there is one |
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any

from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from ..adapter.errors import DurableWorkflowError, NewerReleaseError
from ..adapter.framework.error_data import (
    MAX_CAUSES,
    causes_of,
    class_names,
    is_told_as_it_is,
    native,
    parts_of,
    read,
    text_of,
)
from ..workflows.messages import SuperstepFailure
from .executor_rules import RetryRule

_RETRYABLE_STATUS = frozenset({408, 409, 425, 429})
_MAX_RETRY_AFTER = timedelta(minutes=10)
_MAX_CAUSES_BYTES = 128 * 1024
_SHOWN_BYTES = 1_500
_SHOWN_TYPE_BYTES = 200
_SHOWN_FRAMES = 2


def to_application_error(
    error: Exception,
    failure: SuperstepFailure,
    *,
    executor_failed: bool,
    failures: int = 1,
    rule: RetryRule,
    told: SuperstepFailure | None = None,
) -> ApplicationError:
    """Wrap what a superstep raised.

    Args:
        error: The exception, of the framework or of an executor.
        failure: Carries the events emitted before; completed here with the exception's type and arguments.
        executor_failed: Whether an executor raised it.
        failures: Attempts in which an executor failed, with this one.
        rule: What holds for the executor.
        told: How the process has told of it in which it was raised, where that is another: whose classes count.
    """
    if told is None:
        failure.error_module, failure.error_type = class_names(type(error))
        failure.message = text_of(error)
        failure.error_args, failure.error_data = parts_of(error)
    else:
        for name in ("error_module", "error_type", "message", "error_args", "error_data"):
            setattr(failure, name, getattr(told, name))
    # Another worker may know what this one does not.
    elsewhere = isinstance(error, NewerReleaseError)
    final = not elsewhere and (not executor_failed or failures >= rule.max_attempts or not is_retryable(error))
    if final:
        return ApplicationError(failure.message, failure, type=_plain_name(failure), non_retryable=True)
    wait = retry_after(error)
    return RepeatedAttemptError(error, failure, rule.wait(failures) if wait is None else wait)


class RepeatedAttemptError(ApplicationError):
    """What an attempt reports that is repeated: the server shows it meanwhile, and nobody reads more of it.

    The server keeps 4 KB of it. Where it is larger, its traceback and causes included, what is shown is the server's
    own "Failure exceeds size limit", with the error somewhere inside. So it is the text, and where it was raised.

    Args:
        raised: What the executor raised.
        failure: What it comes to.
        wait: Until the next attempt.
    """

    def __init__(self, raised: Exception, failure: SuperstepFailure, wait: timedelta) -> None:
        super().__init__(failure.message, failure, type=_plain_name(failure), next_retry_delay=wait)
        self._where = traceback.format_tb(native(raised, "__traceback__"))[-_SHOWN_FRAMES:]

    @property
    def failure(self) -> Failure:
        """What goes to the server. The worker's log has the error as it is, with its causes."""
        where = _cut("".join(self._where), _SHOWN_BYTES)
        failure = Failure(message=_cut(self.message, _SHOWN_BYTES), stack_trace=where)
        info = failure.application_failure_info
        info.type = _cut(self.type or "", _SHOWN_TYPE_BYTES)
        if self.next_retry_delay is not None:
            info.next_retry_delay.FromTimedelta(self.next_retry_delay)
        return failure


def _plain_name(failure: SuperstepFailure) -> str:
    return failure.error_type.rpartition(".")[2]


def _cut(text: str, size: int) -> str:
    data = text.encode()
    return text if len(data) <= size else f"{data[:size].decode(errors='ignore')} ..."


def cause_of(error: Exception) -> Exception | None:
    """Return an error as the cause of what is reported; None where its causes would not fit.

    Temporal writes a cause with all its causes, whatever their size: a report that it refuses would leave the superstep
    running until its timeout. And it reads them, as the worker's log does, by their own code: one that has any there is
    replaced by a copy that says the same.
    """
    causes = list(causes_of(error))
    following = read(causes[-1], "__cause__") or (
        None if read(causes[-1], "__suppress_context__") else read(causes[-1], "__context__")
    )
    texts = [text_of(cause) for cause in causes]
    size = sum(len(text.encode()) for text in texts)
    if following is not None or len(causes) > MAX_CAUSES or size > _MAX_CAUSES_BYTES:
        return None
    if all(is_told_as_it_is(cause) and str(cause) == text for cause, text in zip(causes, texts, strict=True)):
        return error
    copies = [_copy(cause, text) for cause, text in zip(causes, texts, strict=True)]
    for copy, cause in pairwise(copies):
        copy.__cause__ = cause
    return copies[0]


def _copy(error: BaseException, text: str) -> Exception:
    module, name = class_names(type(error))
    cls = type(name.rpartition(".")[2], (Exception,), {"__module__": module, "__qualname__": name})
    copy: Exception = cls(text)
    return copy.with_traceback(native(error, "__traceback__"))


def is_retryable(error: BaseException) -> bool:
    """Tell whether another attempt could succeed where an executor raised `error`."""
    for cause in causes_of(error):
        if isinstance(cause, DurableWorkflowError):
            return False
        status = _status(cause)
        if status is not None and 400 <= status < 500:
            return status in _RETRYABLE_STATUS
    return True


def retry_after(error: BaseException) -> timedelta | None:
    """Return the wait a model's server asked for (`Retry-After`, in seconds or as a date), at most 10 minutes."""
    for cause in causes_of(error):
        for holder in (read(cause, "response"), cause):
            seconds = _seconds(read(holder, "headers"))
            if seconds is not None:
                return timedelta(seconds=min(max(seconds, 0.0), _MAX_RETRY_AFTER.total_seconds()))
    return None


def _seconds(headers: Any) -> float | None:
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = _header(headers, name)
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


def _header(headers: Any, wanted: str) -> str:
    try:
        if isinstance(headers, Mapping):
            return next((str(value) for name, value in headers.items() if str(name).lower() == wanted), "")
    except BaseException:  # noqa: S110 - the mapping is anybody's code, and may raise what ends a program.
        pass
    return ""


def _status(error: BaseException) -> int | None:
    """Return the HTTP status in an error, under the names that model and HTTP clients give it."""
    holders = (error, read(error, "response"))
    for value in (read(holder, name) for holder in holders for name in ("status_code", "status")):
        if isinstance(value, int) and not isinstance(value, bool):
            return int(value)
    return None
