"""What a run is started with: decoded by us, so that what cannot be used ends the run and is not tried for ever.

The SDK would decode a typed argument before any code of ours runs, and fail the workflow task when it cannot: the run
would neither begin nor end.
"""

from __future__ import annotations

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from ._answers import MAX_QUEUED_BYTES
from ._messages import RunFailure, RunInput, json_bytes
from ._signals import places
from ._unreadable import LASTING, UNREADABLE, why_unreadable

INVALID_START = "InvalidStart"
"""Type of the error that a run ends with which was started with what cannot be used."""
MAX_OPTIONS_BYTES = 64 * 1024
"""Options travel with each run of a thread, beside what that run hands on."""
_NEEDS_BASE = ("responses", "cancel", "resume", "continue")


def read_start(argument: RawValue) -> tuple[RunInput, ApplicationError | None]:
    """Decode and check what a run is started with.

    Returns:
        What it is and, where it cannot be used, what ends the run.

    Raises:
        RuntimeError: When this worker cannot read it, or another has used it before: a worker of another version, with
            another key, or once the storage is back, may. The workflow task is tried again.
    """
    reason = why_unreadable([argument])
    if reason is not None:
        if argument.payload.metadata[UNREADABLE] != LASTING:
            raise RuntimeError(f"What the run is started with cannot be read: {reason}")
        return _refused(reason)
    try:
        (run_input,) = workflow.payload_converter().from_payloads([argument.payload], [RunInput])
    except ValidationError as error:
        return _refused("; ".join(places(error)))
    if not isinstance(run_input, RunInput):  # Of an encoding for which types mean nothing.
        return _refused("it is no JSON")
    wrong = _what_is_wrong(run_input)
    return (run_input, None) if wrong is None else _refused(wrong)


def _what_is_wrong(run_input: RunInput) -> str | None:
    """Return what no single field shows; each would fail a workflow task later, for ever."""
    options = json_bytes(run_input.options)
    if options > MAX_OPTIONS_BYTES:
        return f"its options take {options:,} bytes, over the {MAX_OPTIONS_BYTES:,} that travel with each run"
    if run_input.mode in _NEEDS_BASE and run_input.base is None and run_input.base_facts is None:
        return f"mode {run_input.mode!r} needs a checkpoint to go on from"
    answers = run_input.responses or []
    if run_input.mode in ("responses", "cancel") and not answers:
        return f"mode {run_input.mode!r} needs `responses`"
    size = sum(map(json_bytes, answers))
    if size > MAX_QUEUED_BYTES:
        return f"its responses take {size:,} bytes, over the {MAX_QUEUED_BYTES:,} that a run takes at once"
    return None


def _refused(reason: str) -> tuple[RunInput, ApplicationError]:
    message = f"The run cannot start: {reason}. Start runs with `DurableWorkflow`, which checks what it sends."
    if workflow.unsafe.is_replaying() or workflow.info().continued_run_id is not None:
        raise RuntimeError(message)  # A worker of another version has used it.
    failure = RunFailure(error_type="ValueError", error_args=[message], message=message)
    nothing = RunInput(workflow_name="", mode="message")  # Signals that came with the start are taken all the same.
    return nothing, ApplicationError(message, failure, type=INVALID_START, non_retryable=True)
