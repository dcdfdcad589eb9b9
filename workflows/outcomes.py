"""The outcome of a superstep as the workflow takes it: from whoever polls the task queue, so it is checked first.

An outcome that nobody with a key has sealed for this superstep, or that answers another one, does not count: it is as
if the attempt had been lost, and the superstep runs again. A decode error raised into the SDK would fail the workflow
task instead, for ever.
"""

from __future__ import annotations

import logging
from typing import Any, get_args

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError

from . import limits
from .messages import (
    NOT_REPORTED,
    REFUSED_FAILURE,
    NewerVersionError,
    SuperstepFailure,
    SuperstepInput,
    SuperstepResult,
    SuperstepState,
)

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
_MAX_TEXT = 1_000


class RefusedOutcomeError(Exception):
    """The outcome of a superstep is not taken.

    Args:
        message: Why.
        again: Whether another attempt may do better.
    """

    def __init__(self, message: str, *, again: bool = True) -> None:
        super().__init__(message[:_MAX_TEXT])
        self.again = again


class NoOutcomeError(RefusedOutcomeError):
    """An activity was completed with what no superstep returns: by hand, and so for good."""

    def __init__(self) -> None:
        super().__init__(NOT_REPORTED, again=False)


def read_result(given: Any, step: SuperstepInput) -> SuperstepResult:
    """Decode and check the result of a superstep.

    Raises:
        NewerVersionError: When only a worker of a newer release can act on it: the workflow task fails, and is tried
            again until one takes it.
        RefusedOutcomeError: When it is not taken.
    """
    if not isinstance(given, RawValue):
        raise RefusedOutcomeError("It was reported as done, without a result.")
    try:
        result = workflow.payload_converter().from_payload(given.payload, SuperstepResult)
    except NewerVersionError:
        raise
    except ValidationError:
        raise NoOutcomeError from None  # Its text repeats what was given.
    except Exception as error:  # The bytes may be anybody's, and so may the key's name on them.
        raise RefusedOutcomeError(str(error)) from error
    if not isinstance(result, SuperstepResult):
        raise RefusedOutcomeError("Its result is none of a superstep.")
    told = result.upgrade is not None or result.takes is not None
    if result.checkpoint is None and not result.rejected and not told:
        raise NoOutcomeError
    _check_answers(result.answers, step)
    if result.state not in get_args(SuperstepState):
        raise NewerVersionError(
            f"A superstep has ended in state {result.state!r}, as only a newer release of agent-framework-temporal can "
            "act on. Upgrade this worker; another one may go on with the run."
        )
    return result


def check_failure(error: ActivityError, step: SuperstepInput) -> None:
    """Check that the failure of a superstep was reported by a worker of ours, as far as can be told.

    Raises:
        RefusedOutcomeError: When it is not taken.
    """
    cause = error.cause
    if not isinstance(cause, ApplicationError):
        return
    if cause.type == REFUSED_FAILURE:
        raise RefusedOutcomeError(cause.message) from error
    failure = superstep_failure(cause)
    if failure is not None:
        _check_answers(failure.answers, step)


def superstep_failure(error: ApplicationError) -> SuperstepFailure | None:
    """Return what a failed attempt has reported; None for an error raised before the activity's own code."""
    if not error.details or not isinstance(error.details[0], dict) or error.details[0].get("kind") != "failure":
        return None
    try:
        return SuperstepFailure.model_validate(error.details[0])
    except ValidationError:
        return None


def note_refused(number: int, error: RefusedOutcomeError) -> float | None:
    """Log a refused outcome.

    Args:
        number: How many of this superstep's have been refused, from 1.
        error: Why the last one was.

    Returns:
        Seconds until the superstep runs again; None when it does not.
    """
    again = error.again and number < limits.MAX_REFUSED_OUTCOMES
    if not workflow.unsafe.is_replaying():
        _LOGGER.warning(
            "The outcome of a superstep of thread %r is refused: %s %s",
            workflow.info().workflow_id,
            error,
            "It runs again." if again else "The run fails.",
        )
    if not again:
        return None
    return (
        0.0
        if number <= limits.REFUSED_AT_ONCE
        else min(2.0 ** (number - limits.REFUSED_AT_ONCE - 1), limits.LONGEST_PAUSE)
    )


def _check_answers(answers: str | None, step: SuperstepInput) -> None:
    if answers != step.superstep_id:
        raise RefusedOutcomeError(
            f"It answers superstep {answers!r} and not {step.superstep_id!r}: somebody has copied it from there."
        )
