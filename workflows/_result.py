"""The result of a superstep's activity, which need not be one: an operator can complete an activity by hand."""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import RawValue

from ._messages import NOT_REPORTED, SuperstepResult, is_reported


class BadResultError(Exception):
    """What an activity was completed with is no result of a superstep."""


def read_result(raw: RawValue) -> SuperstepResult:
    """Decode a result here, as the SDK fails the workflow task for ever over one that it cannot.

    Raises:
        BadResultError: When no superstep has made it.
    """
    try:
        result = workflow.payload_converter().from_payload(raw.payload, SuperstepResult)
    except (ValueError, RuntimeError, KeyError, NotImplementedError, RecursionError) as error:
        raise BadResultError(f"{NOT_REPORTED} ({type(error).__name__})") from None  # Its text repeats what was given.
    if not isinstance(result, SuperstepResult) or not is_reported(result) or not _says_something(result):
        raise BadResultError(NOT_REPORTED)
    return result


def _says_something(result: SuperstepResult) -> bool:
    return result.checkpoint is not None or bool(result.rejected) or result.upgrade is not None
