"""How often a superstep is tried, and what one that failed for good has told, or can be said where it could not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError

from . import limits
from .executor_rules import rule_of
from .messages import (
    Calls,
    CheckpointRef,
    ErrorDetails,
    LiveWindow,
    LoggedEvent,
    RunFailure,
    RunOptions,
    SuperstepFailure,
    SuperstepInput,
)
from .outcomes import NoOutcomeError, RefusedOutcomeError, superstep_failure

OUR_ERRORS = "agent_framework_temporal"
START_REFUSED = "StartRefusedError"
MESSAGE_REFUSED = "MessageRefusedError"
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
        maximum_interval=max(timedelta(seconds=options.retry_maximum_interval), limits.LONGEST_WAIT),
        # The activity counts failures of executors and lost workers itself, each to its own bound.
        maximum_attempts=max(attempts) + options.max_worker_losses + limits.MAX_NOT_BEGUN,
    )


def retry_rules(options: RunOptions) -> dict[str, Any]:
    """Return the fields of a superstep's input that say how its executors are tried; none by default."""
    changed = {name for name in _WAITS if getattr(options, name) != getattr(_DEFAULTS, name)}
    return {
        "max_worker_losses": _unless_default(options, "max_worker_losses"),
        "retry": {name: getattr(options, name) for name in changed} or None,
        "idle_timeout": options.idle_timeout,
        "executors": options.executors or None,
        "tools": options.tools or None,
        "journal": options.journal,
        "keep_journal": options.keep_journal,
    }


def _unless_default(options: RunOptions, name: str) -> Any:
    value = getattr(options, name)
    return value if value != getattr(_DEFAULTS, name) else None


def heartbeat_timeout(options: RunOptions, executors: list[str] | None) -> timedelta:
    """Return how long the worker of a superstep may be silent.

    Args:
        options: Of the run.
        executors: Those the superstep may invoke; None where that is not known.
    """
    names = options.executors if executors is None else executors
    rules = [rule for name in names if (rule := rule_of(options.executors, name)) is not None]
    plain = executors is None or len(rules) < len(executors)  # Some have no rule of their own.
    seconds = [rule.heartbeat_timeout or options.heartbeat_timeout for rule in rules]
    return timedelta(seconds=max([*seconds, *([options.heartbeat_timeout] if plain or not seconds else [])]))


def failure_of(error: ActivityError | RefusedOutcomeError, step: SuperstepInput) -> SuperstepFailure:
    """Return what the last attempt reported, or what can be said of an attempt that reported nothing."""
    failure = _failure_of(error)
    if isinstance(error.__cause__, TimeoutError) and failure.calls is None:
        failure.calls = _calls_beaten(error.__cause__, step)
    return failure


def _calls_beaten(error: TimeoutError, step: SuperstepInput) -> Calls | None:
    """Return what a superstep had called by its last heartbeat."""
    if not error.last_heartbeat_details or not isinstance(error.last_heartbeat_details[0], dict):
        return None
    try:
        window = LiveWindow.model_validate(error.last_heartbeat_details[0])
    except ValidationError:
        return None
    return window.calls if window.answers == step.superstep_id else None


def _failure_of(error: ActivityError | RefusedOutcomeError) -> SuperstepFailure:
    if isinstance(error, NoOutcomeError):
        return _failed(OUR_ERRORS, "RunFailedError", str(error))
    if isinstance(error, RefusedOutcomeError):
        return _failed(OUR_ERRORS, "NotSealedError", f"The outcome of a superstep is refused: {error}")
    cause = error.cause
    if isinstance(cause, ApplicationError):
        reported = superstep_failure(cause)
        if reported is not None:
            return reported
    if isinstance(cause, TimeoutError):
        message = f"Superstep timed out ({cause.type.name if cause.type else 'unknown'}): {cause.message}"
        name = "TimeoutError"
    else:
        message = getattr(cause, "message", None) or str(cause or error)
        name = getattr(cause, "type", None) or ""
        if not name:  # Failed by hand, perhaps: `temporal activity fail` gives a reason and no type.
            return _failed(OUR_ERRORS, "RunFailedError", message)
    return _failed("builtins", name, message)


def run_error(
    failure: SuperstepFailure,
    checkpoint: CheckpointRef | None,
    graph_hash: str | None,
    next_offset: int,
    calls: Calls | None = None,
) -> ApplicationError:
    """Return what a run ends with; its detail is a `RunFailure`.

    Args:
        failure: Of its last superstep.
        checkpoint: The last good one.
        graph_hash: Of the graph it was made by.
        next_offset: Of the event log.
        calls: What the run has called.
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
            error_data=failure.error_data,
            message=failure.message,
            calls=calls,
        ),
        type=failure.error_type,
        non_retryable=True,
    )


def expiry_of(message: str) -> SuperstepFailure:
    """Return the failure of a run whose request nobody has answered by its deadline."""
    return _failed(OUR_ERRORS, "RequestExpiredError", message)


def cut_off(superstep_id: str | None) -> SuperstepFailure:
    """Return the failure of a superstep that another message has cut off, of which nobody is told as of a failure."""
    return SuperstepFailure(
        answers=superstep_id,
        journalled=True,
        error_module=OUR_ERRORS,
        error_type="RunInterruptedError",
        message="Another message has cut off the turn.",
    )


def refuses_message(failure: SuperstepFailure) -> bool:
    """Tell whether the worker has refused the message of a superstep, so that nothing ran."""
    refused = (failure.error_module, failure.error_type) == (OUR_ERRORS, MESSAGE_REFUSED)
    return refused and failure.checkpoint is None


def start_refusal(message: str) -> RunFailure:
    """Return what a run whose start is refused ends with: it has come nowhere, whatever it was started with."""
    return RunFailure(error_module=OUR_ERRORS, error_type=START_REFUSED, error_args=[message], message=message)


def refuses_start(failure: SuperstepFailure | RunFailure) -> bool:
    """Tell whether a run failed because its start was refused: it is then no part of its thread."""
    return (failure.error_module, failure.error_type) == (OUR_ERRORS, START_REFUSED)


def _failed(module: str, name: str, message: str) -> SuperstepFailure:
    details = ErrorDetails(error_type=name, message=message)
    return SuperstepFailure(
        error_module=module,
        error_type=name,
        error_args=[message],
        message=message,
        events=[
            LoggedEvent(offset=0, type="failed", origin="FRAMEWORK", details=details),
            LoggedEvent(offset=0, type="status", origin="FRAMEWORK", state="FAILED"),
        ],
    )
