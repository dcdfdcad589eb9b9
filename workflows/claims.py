"""What a start may say: anybody who may write to the namespace can start this workflow, with any input.

What is not in this table is refused: the run ends at once, as failed, before it does anything, and the worker's log
names the thread and the field.

| field | who may set it, and to what |
|---|---|
| `workflow_name` | anybody: a workflow that the worker hosts |
| `mode` | anybody, but `continue`, which only a run that the server continues as new has |
| `message` | anybody, with mode `message`; held to the types of the start executor |
| `responses` | anybody, with `responses` and `cancel`; held to the types of the requests that wait in `base` |
| `streaming`, `own_storage`, `trace`, `function_invocation_kwargs`, `client_kwargs` | anybody |
| `base`, `graph_hash` | anybody: a checkpoint that history holds, of the same workflow and graph, with its digest * |
| `base_facts`, frame | anybody, with `resume`, `responses`, `cancel`: a checkpoint of one's own; under an id of ours
                        what history, or the run's mirror, holds under it * |
| `edited` | anybody, with `base_facts`: a name and a time of their own choice |
| `discard_in_flight` | anybody, with a `base` in the thread itself, and `message`, `responses` or `cancel` |
| `journal` | anybody, with `resume`: a run of this thread, whose entries count where they name what runs again |
| `next_offset` | anybody: not below where the run of `base` has ended *, nor beyond `MAX_OFFSET` |
| `options` | anybody, but rules for executors that there are *, and search attributes that the run was started with |
| `continued` | only a run itself, when it continues as new: it names the run that the server says was before |
| `received_at`, `checked` of a response | nobody; the workflow sets them |

* What only history, or the worker, can tell is looked up by the run's first superstep (`activities/start_check.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import get_args

from temporalio import workflow

from . import limits
from .messages import CheckpointFacts, DeadlineAction, EditFacts, IterationsPer, RunInput, RunMode, json_bytes
from .search_attributes import STATE
from .value_limits import MAX_ID

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


def wrong_claim(start: RunInput) -> tuple[str, str] | None:
    """Return a field of a start that says what it may not, and what is wrong with it; None where all is well."""
    return next(_mistakes(start), None)


def unknown_value(start: RunInput) -> tuple[str, str] | None:
    """Return a field of a start whose value only a newer release can act on, and what is wrong with it."""
    wanted: list[tuple[str, str | None, tuple[str, ...]]] = [("mode", start.mode, get_args(RunMode))]
    wanted.append(("options.iterations_per", start.options.iterations_per, get_args(IterationsPer)))
    for name, rule in start.options.requests.items():
        wanted.append((f"options.requests.{name[:100]}.on_deadline", rule.on_deadline, get_args(DeadlineAction)))
    for request in start.continued.pending if start.continued is not None else ():
        field = f"continued.pending.{request.request_id[:100]}.on_deadline"
        wanted.append((field, request.on_deadline, get_args(DeadlineAction)))
    for field, value, known in wanted:
        if value is not None and value not in known:
            names = ", ".join(map(repr, known))
            return field, f"{value[:100]!r} is none of those that this release knows: {names}."
    return None


def wrong_edit(facts: CheckpointFacts, edited: EditFacts) -> str | None:
    """Say what is wrong with what is said of an edited checkpoint, which readers rely on; None where all is well."""
    for text in (facts.timestamp, edited.at):
        try:
            datetime.fromisoformat(text)
        except ValueError:
            return f"{text[:100]!r} is no time."
    if facts.base_checkpoint_id is not None:
        return "the frame must hold the checkpoint whole."
    return None if 1 <= len(facts.checkpoint_id) <= MAX_ID else f"its id must have 1 to {MAX_ID} characters."


def _mistakes(start: RunInput) -> Iterator[tuple[str, str]]:
    info = workflow.info()
    given = {field for field in (*_ONLY_OF_MODE, "base") if getattr(start, field) is not None}
    needed = _OF_MODE[start.mode]
    if not 1 <= len(start.workflow_name) <= MAX_ID:
        yield "workflow_name", f"it must have 1 to {MAX_ID} characters."
    for field in sorted(needed - given):
        yield field, f"mode {start.mode!r} needs it."
    for field in _ONLY_OF_MODE:
        if field in given - needed:
            yield field, f"it does not go with mode {start.mode!r}."
    if start.journal is not None and start.mode != "resume":
        yield "journal", f"it does not go with mode {start.mode!r}."
    if start.continued is not None and start.continued.previous_run_id != info.continued_run_id:
        yield "continued", "the server did not continue this run from the one it names."
    for answer in start.responses or []:
        if answer.received_at is not None or answer.checked:
            yield "responses", "`received_at` and `checked` are the workflow's to set."
        if answer.cancel is not (start.mode == "cancel"):
            yield "responses", f"`cancel` does not go with mode {start.mode!r}."
    if not 0 <= start.next_offset <= limits.MAX_OFFSET:
        yield "next_offset", f"it must be 0 to {limits.MAX_OFFSET:,}."
    yield from _edit_mistakes(start)
    yield from _option_mistakes(start)
    yield from _base_mistakes(start)


def _edit_mistakes(start: RunInput) -> Iterator[tuple[str, str]]:
    if start.edited is None:
        return
    if start.base_facts is None:
        yield "edited", "it needs the `base_facts` of the checkpoint that was edited."
        return
    wrong = wrong_edit(start.base_facts, start.edited)
    if wrong is not None:
        yield "edited", wrong


def _option_mistakes(start: RunInput) -> Iterator[tuple[str, str]]:
    options = json_bytes(start.options)
    if options > limits.MAX_OPTIONS_BYTES:
        yield (
            "options",
            f"they take {options:,} bytes, over the {limits.MAX_OPTIONS_BYTES:,} that travel with each run.",
        )
    answers = sum(map(json_bytes, start.responses or []))
    if answers > limits.MAX_QUEUED_BYTES:
        yield (
            "responses",
            f"they take {answers:,} bytes, over the {limits.MAX_QUEUED_BYTES:,} that a run takes at once.",
        )
    if start.options.search_attributes and workflow.info().typed_search_attributes.get(STATE) is None:
        # A run that upserts what the namespace does not know is stuck, and a start that has it proves that it does.
        yield "options.search_attributes", "the run was started without them, so the namespace may not know them."


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
    if not 1 <= len(facts.checkpoint_id) <= MAX_ID:
        yield "base_facts", f"`checkpoint_id` must have 1 to {MAX_ID} characters."
    if base is not None and (base.thread_id, base.run_id, base.checkpoint_id) != (
        workflow.info().workflow_id,
        "",
        facts.checkpoint_id,
    ):
        yield "base", "it must name this thread, no run, and the checkpoint of `base_facts`."
