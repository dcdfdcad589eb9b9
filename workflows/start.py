"""What a run is started with: decoded by us, so that what cannot be used ends the run and is not tried for ever.

The SDK would decode a typed argument before any code of ours runs, and fail the workflow task when it cannot: the run
would neither begin nor end.
"""

from __future__ import annotations

import logging
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from .claims import unknown_value, wrong_claim
from .failure import start_refusal
from .flaws import input_flaw
from .messages import WORKFLOW_TYPE, NewerVersionError, RunInput
from .requests.signals import WHOLE, places
from .unreadable import LASTING, UNREADABLE, is_sealed, waits_for_key, why_unreadable

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
NO_START = RawValue(Payload())
"""Stands for the argument of a start that has none."""
INVALID_START = "InvalidStart"
"""Type of the error that a run ends with which was started with what cannot be used."""


def read_start(argument: RawValue) -> tuple[RunInput, ApplicationError | None]:
    """Decode and check what a run is started with.

    Returns:
        What it is and, where it cannot be used, what ends the run.

    Raises:
        Exception: When this worker lacks the key of a run that another has continued, or cannot act on what a newer
            release has handed on: the workflow task fails, and is tried again until a worker takes it that can.
    """
    unreadable = None if is_sealed(argument) else why_unreadable([argument])
    if unreadable is not None:
        if argument.payload.metadata[UNREADABLE] != LASTING:
            # Another worker may have the key, or the storage is back: the workflow task is tried again.
            raise RuntimeError(f"What the run is started with cannot be read: {unreadable}")
        return _refused("input", unreadable)
    try:
        run_input: Any = workflow.payload_converter().from_payload(argument.payload, RunInput)
    except ValidationError as error:
        first, *more = places(error)
        field, _, reason = first.partition(": ")
        return _refused("input" if field == WHOLE else field, "; ".join([reason, *more]) + ".")
    except NewerVersionError as error:
        if workflow.info().continued_run_id is not None:
            raise
        return _refused("version", f"{error} Upgrade workers before those who start runs.")
    except Exception as error:  # What the bytes of a stranger raise is any type.
        if workflow.info().continued_run_id is not None and is_sealed(argument) and waits_for_key(error):
            raise
        return _refused("input", str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}")
    if not isinstance(run_input, RunInput):
        return _refused("input", f"it is no input of workflow type {WORKFLOW_TYPE}.")
    flaw = input_flaw(run_input)
    if flaw is not None:
        return _refused("input", flaw)
    unknown = unknown_value(run_input)
    if unknown is not None:
        field, reason = unknown
        if workflow.info().continued_run_id is not None:
            raise NewerVersionError(f"A newer release has handed on `{field}`: {reason} Upgrade this worker.")
        return _refused(field, f"{reason} Correct it, or upgrade the worker.")
    wrong = wrong_claim(run_input)
    return (run_input, None) if wrong is None else _refused(*wrong)


def _refused(field: str, reason: str) -> tuple[RunInput, ApplicationError]:
    info = workflow.info()
    if not workflow.unsafe.is_replaying():
        _LOGGER.warning(
            "The start of thread %r, run %r, is refused: `%s`: %s", info.workflow_id, info.run_id, field, reason
        )
    message = (
        f"The run cannot start: `{field}`: {reason} Start runs with `DurableWorkflow`, which checks what it sends."
    )
    nothing = RunInput(workflow_name="", mode="message")  # Signals that came with the start are taken all the same.
    return nothing, ApplicationError(message, start_refusal(message), type=INVALID_START, non_retryable=True)
