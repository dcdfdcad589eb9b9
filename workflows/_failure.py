"""How often a superstep is tried, and what one that failed for good has told, or can be said where it could not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError

from ._messages import (
    CheckpointRef,
    ErrorDetails,
    EventRecord,
    RunFailure,
    RunOptions,
    SuperstepFailure,
    is_reported,
)
from ._result import BadResultError

MAX_WORKER_LOSSES = 100
"""Attempts of one superstep beyond `max_attempts`: a lost worker is not the executor's failure."""


_DEFAULTS = RunOptions()
_WAITS = ("retry_initial_interval", "retry_backoff", "retry_maximum_interval")


def retry_policy(options: RunOptions) -> RetryPolicy:
    """Return the policy of superstep activities, as the server applies it to lost workers.

    When an executor fails its activity says itself whether and when there is another attempt.
    """
    attempts = [options.max_attempts, *(rule.max_attempts or 1 for rule in options.executors.values())]
    return RetryPolicy(
        initial_interval=timedelta(seconds=options.retry_initial_interval),
        backoff_coefficient=options.retry_backoff,
        maximum_interval=timedelta(seconds=options.retry_maximum_interval),
        maximum_attempts=max(attempts) + MAX_WORKER_LOSSES,
    )


def executor_rules(options: RunOptions) -> dict[str, Any]:
    """Return the fields of a superstep's input that say how its executors are tried; none by default."""
    changed = {name for name in _WAITS if getattr(options, name) != getattr(_DEFAULTS, name)}
    return {
        "retry": {name: getattr(options, name) for name in changed} or None,
        "executors": options.executors or None,
    }


def heartbeat_timeout(options: RunOptions, executors: list[str] | None) -> timedelta:
    """Return how long the worker of a superstep may be silent.

    Args:
        options: Of the run.
        executors: Those the superstep may invoke; None where that is not known.
    """
    names = options.executors if executors is None else executors
    rules = [options.executors[name] for name in names if name in options.executors]
    plain = executors is None or len(rules) < len(executors)  # Some have no rule of their own.
    seconds = [rule.heartbeat_timeout or options.heartbeat_timeout for rule in rules]
    return timedelta(seconds=max([*seconds, *([options.heartbeat_timeout] if plain or not seconds else [])]))


def failure_of(error: ActivityError | BadResultError) -> SuperstepFailure:
    """Return what the last attempt reported, or what can be said of an attempt that reported nothing."""
    if isinstance(error, BadResultError):
        return _failed("agent_framework_temporal.adapter._errors", "RunFailedError", str(error))
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.details:
        try:
            failure = SuperstepFailure.model_validate(cause.details[0])
            if is_reported(failure):
                return failure
        except ValidationError:
            pass  # Raised before the activity's own code, or an operator's: its message is all there is.
    if isinstance(cause, TimeoutError):
        message = f"Superstep timed out ({cause.type.name if cause.type else 'unknown'}): {cause.message}"
        name = "TimeoutError"
    else:
        message = getattr(cause, "message", None) or str(cause or error)
        name = getattr(cause, "type", None) or ""
        if not name:  # Failed by hand, perhaps: `temporal activity fail` gives a reason and no type.
            return _failed("agent_framework_temporal.adapter._errors", "RunFailedError", message)
    return _failed("builtins", name, message)


def run_error(
    failure: SuperstepFailure, checkpoint: CheckpointRef | None, graph_hash: str | None, next_offset: int
) -> ApplicationError:
    """Return what a run ends with; its detail is a `RunFailure`.

    Args:
        failure: Of its last superstep.
        checkpoint: The last good one.
        graph_hash: Of the graph it was made by.
        next_offset: Of the event log.
    """
    return ApplicationError(
        failure.message,
        RunFailure(
            checkpoint=checkpoint,
            graph_hash=graph_hash,
            next_offset=next_offset,
            in_flight=failure.in_flight,
            error_module=failure.error_module,
            error_type=failure.error_type,
            error_args=failure.error_args,
            message=failure.message,
        ),
        type=failure.error_type,
        non_retryable=True,
    )


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
