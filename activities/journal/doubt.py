"""What becomes of an executor's work that had begun when its worker was lost, so that nobody knows whether it was done.

Its beginning is noted before it begins, and the server has that. Where its end is not known, the next attempt does as
the rule says: it runs it again, fails, or asks a person. Who asks does so instead of running, so that nothing of the
invocation has been done; the message waits in the workflow's state, and the answer lets the executor run with it as if
it had just come, with the calls that had finished and the idempotency keys it had.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import uuid
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent_framework import Executor, Workflow, WorkflowContext, WorkflowExecutor
from temporalio import activity

from ...adapter.errors import InDoubtError
from ...adapter.framework.in_doubt import InDoubt
from ...adapter.framework.internals import (
    Handler,
    add_response_handler,
    can_ask,
    is_made_of_calls,
    message_parts,
    plain_handler,
    stand_for,
)
from ...adapter.framework.values import shown
from ..invocation import current_superstep, place_of, stands_for
from .journal import Beginning, Scope

_STATE = "_in_doubt:"
"""With the id of a request: what the workflow's state holds of an invocation until a person has answered."""
_SHOWN = 500
"""Characters of a message that a person is shown."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """An invocation that runs.

    Args:
        workflow: The hosted workflow.
        executor: Who runs; perhaps in a sub-workflow.
        scope: With its key.
        message: What it was given.
        sources: Who sent that.
    """

    workflow: Workflow
    executor: Executor
    scope: Scope
    message: Any
    sources: list[str]


_invocation: ContextVar[Invocation | None] = ContextVar("agent_framework_temporal_invocation", default=None)


@contextlib.contextmanager
def invoked(invocation: Invocation) -> Iterator[None]:
    """Let the handler that the body runs be treated by the rule for what is in doubt."""
    token = _invocation.set(invocation)
    try:
        yield
    finally:
        _invocation.reset(token)


def is_watched(invocation: Invocation) -> bool:
    """Tell whether the beginning of an invocation is noted; not of one that goes on from the calls it has made."""
    rule = invocation.scope.journal.rules.in_doubt(invocation.scope.executor_id)
    return rule != "again" and not is_made_of_calls(invocation.executor)


def beginning(name: str, rule: str) -> Beginning:
    """Return what a person is told of something that begins now, if its end is never known."""
    superstep = current_superstep()
    attempt = superstep.attempt if superstep is not None else 1
    return Beginning(name, rule == "ask", attempt, datetime.now(UTC).isoformat(timespec="seconds"))


def this_activity() -> str:
    """Return what names the activity; the same in each of its attempts."""
    if not activity.in_activity():
        return ""
    info = activity.info()
    return f"{info.workflow_run_id}/{info.activity_id}"


def is_given_up() -> bool:
    """Tell whether the task is being cancelled, so that what it raises says nothing of what it has done."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def handled(executor: Executor, handler: Handler, message: Any, context: WorkflowContext[Any, Any]) -> None:
    """Run a handler, unless it is in doubt whether that has been done."""
    invocation = _invocation.get()
    if invocation is None or invocation.executor is not executor:
        await handler(message, context)
        return
    journal, key = invocation.scope.journal, invocation.scope.key
    watched = is_watched(invocation)
    doubt = _doubt(invocation, watched=watched)
    if doubt is not None:
        if doubt.asks and can_ask(invocation.workflow, executor):
            await _ask(invocation, doubt, context)
            return
        await journal.withdraw("executor", key, executor.id, told_within=this_activity())
        raise in_doubt_error(invocation.scope.executor_id, doubt)
    if not watched:
        await handler(message, context)
        return
    rule = journal.rules.in_doubt(invocation.scope.executor_id)
    await journal.begin("executor", key, executor.id, durable=True, note=beginning("", rule))
    try:
        await handler(message, context)
    except Exception:
        if not is_given_up():
            await journal.withdraw("executor", key, executor.id)
        raise


def _doubt(invocation: Invocation, *, watched: bool) -> Beginning | None:
    """Return what is in doubt of an invocation: of its calls what a person is to be asked about, or the whole."""
    journal, key = invocation.scope.journal, invocation.scope.key
    if not isinstance(invocation.executor, WorkflowExecutor):
        for _, note in journal.in_doubt_below(key, "once"):
            if note.asks and can_ask(invocation.workflow, invocation.executor):
                return note
    if not watched or not journal.is_in_doubt("executor", key):
        return None
    if journal.was_told("executor", key, this_activity()):
        return None
    rule = journal.rules.in_doubt(invocation.scope.executor_id)
    note = journal.beginning("executor", key) or beginning("", rule)
    return Beginning("", rule == "ask", note.attempt, note.at)


async def _ask(invocation: Invocation, doubt: Beginning, context: WorkflowContext[Any, Any]) -> None:
    data, _ = message_parts(invocation.message)
    request_id = str(uuid.uuid4())
    kept = invocation.scope.journal.kept(invocation.scope.key)
    context.set_state(f"{_STATE}{request_id}", [invocation.message, invocation.sources, place_of(context), kept])
    path = invocation.scope.executor_id or invocation.executor.id
    question = InDoubt(
        executor_id=path,
        call=doubt.name or None,
        message=_shown(data),
        attempt=doubt.attempt,
        began=doubt.at,
        question=f"{known(path, doubt)} Answer true to run it again, false to let the run fail.",
    )
    await context.request_info(question, bool, request_id=request_id)


def add_answers(executor: Executor) -> None:
    """Let an executor take the answer to whether it may run again."""
    if not isinstance(executor, WorkflowExecutor):  # It passes on those of its executors.
        add_response_handler(executor, InDoubt, bool, functools.partial(_answered, executor))


async def _answered(executor: Executor, request: InDoubt, answer: bool, context: WorkflowContext[Any, Any]) -> None:
    key = f"{_STATE}{context.request_id}"
    found = context.get_state(key)
    if not answer or found is None:
        what = f"The call {request.call!r} of executor" if request.call else "Executor"
        why = "a person has said no" if not answer else "what it was given is not known any more"
        raise InDoubtError(
            f"{what} {request.executor_id!r} is not run again: {why}. Send the thread another message to go on without "
            "it, or one that makes up for it."
        )
    message, sources, place, calls = found
    context.state.delete(key)
    data, request_id = message_parts(message)
    stand_for(context, sources, request_id)
    stands_for(context, place)
    invocation = _invocation.get()
    if invocation is not None:
        await invocation.scope.journal.adopt(invocation.scope.key, calls)
    await plain_handler(executor, message)(data, context)


def known(path: str | None, doubt: Beginning) -> str:
    """Return what is known of what is in doubt, for people."""
    what = f"The call {doubt.name!r} of executor {path!r}" if doubt.name else f"Executor {path!r}"
    return (
        f"{what} had begun in attempt {doubt.attempt}, at {doubt.at}, when that attempt was lost: nobody knows whether "
        "it has done its work."
    )


def in_doubt_error(path: str | None, doubt: Beginning) -> InDoubtError:
    """Return the error that says what is in doubt, and what to do."""
    return InDoubtError(
        f"{known(path, doubt)} Look where it leaves its traces. If it has not, let the run go on (`retry`, or "
        "`run_stream(checkpoint=...)`): it runs again. If it has, send the thread a message that goes on from there."
    )


def _shown(value: Any) -> str:
    text = json.dumps(shown(value).data, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
