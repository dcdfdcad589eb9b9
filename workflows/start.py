"""What a start may say: anybody who may write to the namespace can start this workflow, with any input.

The one place where a start is read. What is not in this table is refused: the run ends at once, as failed, before it
does anything, and the worker's log names the thread and the field.

| field | who may set it, and to what |
|---|---|
| `workflow_name` | anybody: a workflow that the worker hosts |
| `mode` | anybody, but `continue`, which only a run that the server continues as new has |
| `message` | anybody, with mode `message`; held to the types of the start executor |
| `responses` | anybody, with `responses` and `cancel`; held to the types of the requests that wait in `base` |
| `streaming`, `function_invocation_kwargs`, `client_kwargs` | anybody |
| `base`, `graph_hash` | anybody: a checkpoint that history holds, of the same workflow and graph, with its digest * |
| `base_facts`, frame | anybody, with `resume`, `responses`, `cancel`: a checkpoint of one's own; under an id of ours
                        what history, or the run's mirror, holds under it * |
| `discard_in_flight` | anybody, with a `base` in the thread itself, and `message`, `responses` or `cancel` |
| `next_offset` | anybody: not below where the run of `base` has ended *, nor beyond `MAX_OFFSET` |
| `options` | anybody, but rules for executors that there are *, and search attributes that the run was started with |
| `continued` | only a run itself, when it continues as new: it names the run that the server says was before |
| `received_at`, `checked` of a response | nobody; the workflow sets them |

* What only history, or the worker, can tell is looked up by the run's first superstep (`activities/start_check.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from .failure import run_error, start_refusal
from .messages import WORKFLOW_TYPE, RunInput, json_bytes
from .requests.answers import MAX_QUEUED_BYTES
from .requests.signals import places
from .search_attributes import STATE
from .unreadable import LASTING, UNREADABLE, why_unreadable

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
NO_START = RawValue(Payload())
"""Stands for the argument of a start that has none."""
MAX_OFFSET = 10**12
"""A thread that writes a thousand events a second gets there in thirty years."""
MAX_OPTIONS_BYTES = 64 * 1024
"""Options travel with each run of a thread, beside what that run hands on."""
_ENCRYPTED = b"binary/encrypted"
_MAX_TEXT = 512
_OF_MODE = {
    "message": {"message"},
    "responses": {"responses", "base"},
    "cancel": {"responses", "base"},
    "resume": {"base"},
    "continue": {"continued", "base"},
}
_ONLY_OF_MODE = ("message", "responses", "continued")
_FROM_FRAME = ("resume", "responses", "cancel")
_DISCARDING = ("message", "responses", "cancel")


def read_start(start: RawValue) -> tuple[RunInput, ApplicationError | None]:
    """Return the input of this run; where it is refused an empty one, and what the run has to end with.

    Returns:
        What it is and, where it cannot be used, what ends the run.

    Raises:
        Exception: When this worker lacks the key of a run that another has continued: the workflow task fails, and is
            tried again until a worker takes it that has the key.
    """
    try:
        return _read(start), None
    except _Refusal as refusal:
        info = workflow.info()
        text = f"`{refusal.field}`: {refusal}"
        if not workflow.unsafe.is_replaying():
            _LOGGER.warning("The start of thread %r, run %r, is refused: %s", info.workflow_id, info.run_id, text)
        failure = start_refusal(f"The start of thread {info.workflow_id!r} is refused: {text}")
        # Raised by the run, not while the workflow is made: the SDK would complain of a coroutine it never awaited.
        return RunInput(workflow_name="", mode="message"), run_error(failure, None, None, 0)


class _Refusal(Exception):
    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def _read(start: RawValue) -> RunInput:
    reason = why_unreadable([start])
    if reason is not None:
        if start.payload.metadata[UNREADABLE] != LASTING:
            # Another worker may have the key, or the storage is back: the workflow task is tried again.
            raise RuntimeError(f"What the run is started with cannot be read: {reason}")
        raise _Refusal("input", reason)
    try:
        run_input: Any = workflow.payload_converter().from_payload(start.payload, RunInput)
    except ValidationError as error:
        first, *more = places(error)
        field, _, text = first.partition(": ")
        raise _Refusal(field, "; ".join([text, *more])) from error
    except Exception as error:  # What the bytes of a stranger raise is any type.
        if workflow.info().continued_run_id is not None and _waits_for_key(error, start):
            raise
        text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise _Refusal("input", text) from error
    if not isinstance(run_input, RunInput):
        raise _Refusal("input", f"it is no input of workflow type {WORKFLOW_TYPE}.")
    for field, text in _mistakes(run_input):
        raise _Refusal(field, text)
    return run_input


def _waits_for_key(error: Exception, start: RawValue) -> bool:
    """Tell whether a worker with another key could open what this one cannot."""
    # One without any keys does not know the encoding, which is a KeyError.
    unknown = isinstance(error, KeyError) and start.payload.metadata.get("encoding") == _ENCRYPTED
    return unknown or bool(getattr(error, "waits_for_key", False))


def _mistakes(start: RunInput) -> Iterator[tuple[str, str]]:
    info = workflow.info()
    given = {field for field in (*_ONLY_OF_MODE, "base") if getattr(start, field) is not None}
    needed = _OF_MODE[start.mode]
    if start.version != RunInput.model_fields["version"].default:
        yield "version", f"{start.version} is not known to this worker."
    if not 1 <= len(start.workflow_name) <= _MAX_TEXT:
        yield "workflow_name", f"it must have 1 to {_MAX_TEXT} characters."
    for field in sorted(needed - given):
        yield field, f"mode {start.mode!r} needs it."
    for field in _ONLY_OF_MODE:
        if field in given - needed:
            yield field, f"it does not go with mode {start.mode!r}."
    if start.continued is not None and start.continued.previous_run_id != info.continued_run_id:
        yield "continued", "the server did not continue this run from the one it names."
    for answer in start.responses or []:
        if answer.received_at is not None or answer.checked:
            yield "responses", "`received_at` and `checked` are the workflow's to set."
        if answer.cancel is not (start.mode == "cancel"):
            yield "responses", f"`cancel` does not go with mode {start.mode!r}."
    if not 0 <= start.next_offset <= MAX_OFFSET:
        yield "next_offset", f"it must be 0 to {MAX_OFFSET:,}."
    yield from _size_mistakes(start)
    if start.options.search_attributes and info.typed_search_attributes.get(STATE) is None:
        # A run that upserts what the namespace does not know is stuck, and a start that has it proves that it does.
        yield "options.search_attributes", "the run was started without them, so the namespace may not know them."
    yield from _base_mistakes(start)


def _size_mistakes(start: RunInput) -> Iterator[tuple[str, str]]:
    options = json_bytes(start.options)
    if options > MAX_OPTIONS_BYTES:
        yield "options", f"they take {options:,} bytes, over the {MAX_OPTIONS_BYTES:,} that travel with each run."
    answers = sum(map(json_bytes, start.responses or []))
    if answers > MAX_QUEUED_BYTES:
        yield "responses", f"they take {answers:,} bytes, over the {MAX_QUEUED_BYTES:,} that a run takes at once."


def _base_mistakes(start: RunInput) -> Iterator[tuple[str, str]]:
    base, facts = start.base, start.base_facts
    if (base is None) is not (start.graph_hash is None):
        yield "graph_hash", "it goes with `base`, and `base` with it."
    own = base is not None and base.thread_id == workflow.info().workflow_id
    if start.discard_in_flight and not (own and start.mode in _DISCARDING):
        yield "discard_in_flight", f"it needs a `base` in this thread, and a mode of {', '.join(_DISCARDING)}."
    if facts is None:
        if start.frame:
            yield "base_facts", "there is a frame, and they do not say what is in it."
        if base is not None and not (base.thread_id and base.run_id and base.checkpoint_id):
            yield "base", "it must name a thread, a run and a checkpoint."
        return
    if start.mode not in _FROM_FRAME:
        yield "base_facts", f"they do not go with mode {start.mode!r}."
    if not start.frame:
        yield "base_facts", "there is no frame that holds the checkpoint."
    if facts.base_checkpoint_id is not None:
        yield "base_facts", "the frame must hold the checkpoint whole."
    if not 1 <= len(facts.checkpoint_id) <= _MAX_TEXT:
        yield "base_facts", f"`checkpoint_id` must have 1 to {_MAX_TEXT} characters."
    if base is not None and (base.thread_id, base.run_id, base.checkpoint_id) != (
        workflow.info().workflow_id,
        "",
        facts.checkpoint_id,
    ):
        yield "base", "it must name this thread, no run, and the checkpoint of `base_facts`."
