"""What becomes of work that had begun when its attempt was lost, so that nobody knows whether it was done.

Its beginning is noted before it begins, and the server has that. Where its end is not known, the next attempt does as
the rule says: it runs it again, fails, or asks a person.

Who is asked decides when nothing of the invocation has been done yet: the executor asks instead of running, and of a
sub-workflow the executor around it, whatever that does with requests of the child. What there is of the invocation
waits in the workflow's state: its message, and what had finished in it. Answered, the executor runs with that message
as if it had just come, takes what had finished, and has the idempotency keys it had.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import uuid
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import Any

from agent_framework import Executor, WorkflowContext
from temporalio import activity

from ...adapter.errors import InDoubtError
from ...adapter.framework.in_doubt import InDoubt
from ...adapter.framework.internals import (
    Handler,
    add_cancellation,
    add_response_handler,
    is_made_of_calls,
    message_parts,
    plain_handler,
    stand_for,
)
from ...adapter.framework.values import shown
from ..invocation import Superstep, current_superstep, done_again, superstep_of_keys
from .journal import Beginning, Journal, Place, Scope

_STATE = "_in_doubt:"
"""With the id of a request: what the workflow's state holds of an invocation until a person has answered."""
_SHOWN = 500
"""Characters of a message that a person is shown."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """An invocation that runs.

    Args:
        executor: Who runs; perhaps in a sub-workflow.
        scope: With its key.
        message: What it was given.
        sources: Who sent that.
        adopted: Called when there is more in the journal that it may take.
    """

    executor: Executor
    scope: Scope
    message: Any
    sources: list[str]
    adopted: Callable[[], None]

    @property
    def is_inner(self) -> bool:
        """Whether it is one of a sub-workflow."""
        return self.scope.is_inner


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


def beginning(scope: Scope, call: str, rule: str) -> Beginning:
    """Return what a person is told of something that begins now, if its end is never known."""
    superstep = current_superstep()
    attempt = superstep.attempt if superstep is not None else 1
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Beginning(scope.executor_id or "", call, rule == "ask", attempt, at)


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
    scope, journal = invocation.scope, invocation.scope.journal
    asked = None if scope.is_inner else journal.to_ask(scope)
    if asked is not None:
        await _ask(invocation, asked, context)
        return
    if not is_watched(invocation):
        await handler(message, context)
        return
    note, key = beginning(scope, "", journal.rules.in_doubt(scope.executor_id)), scope.key
    if journal.is_refused("executor", key):
        raise refused_error(scope, "")
    if journal.is_in_doubt("executor", key) and not journal.was_told("executor", key, this_activity()):
        await journal.withdraw("executor", key, executor.id, told_within=this_activity())
        raise in_doubt_error(journal.beginning("executor", key) or note)
    await journal.begin("executor", key, executor.id, durable=True, note=note)
    try:
        await handler(message, context)
    except Exception:
        if not is_given_up():
            await journal.withdraw("executor", key, executor.id, durable=True)
        raise


def is_watched_step(journal: Journal, name: str) -> bool:
    """Tell whether the beginning of a step of a functional workflow is noted."""
    return journal.rules.keeps(name) and journal.rules.in_doubt(name) != "again"


async def step_begins(scope: Scope) -> None:
    """Note that a step of a functional workflow is about to run.

    Nobody is asked here: the function runs anew with each answer.

    Raises:
        InDoubtError: It is in doubt whether it has run.
    """
    journal, key, name = scope.journal, scope.key, scope.executor_id or ""
    note = beginning(scope, "", "error")
    if journal.is_in_doubt("step", key) and not journal.was_told("step", key, this_activity()):
        await journal.withdraw("step", key, name, told_within=this_activity())
        raise in_doubt_error(journal.beginning("step", key) or note)
    await journal.begin("step", key, name, durable=True, note=note)


async def _ask(invocation: Invocation, asked: Place, context: WorkflowContext[Any, Any]) -> None:
    journal = invocation.scope.journal
    doubt = journal.beginning(*asked)
    assert doubt is not None  # noqa: S101 - for the type checker: it says whether to ask
    data, _ = message_parts(invocation.message)
    request_id = str(uuid.uuid4())
    superstep = superstep_of_keys()
    keys = None if superstep is None else list(astuple(superstep))
    kept = journal.kept(invocation.scope.key, asked)
    what = [asked[0], asked[1].removeprefix(invocation.scope.key)]
    context.set_state(f"{_STATE}{request_id}", [invocation.message, invocation.sources, keys, kept, what])
    question = InDoubt(
        executor_id=doubt.executor_id,
        call=doubt.call or None,
        message=_shown(data),
        attempt=doubt.attempt,
        began=doubt.at,
        question=f"{_known(doubt)} Answer true to run it again, false to go on without it.",
    )
    await context.request_info(question, bool, request_id=request_id)


def add_answers(executor: Executor) -> None:
    """Let an executor take the answer to whether it may run again."""
    add_response_handler(executor, InDoubt, bool, functools.partial(_answered, executor))
    add_cancellation(executor, _cancelled)


def _cancelled(request_id: str, context: WorkflowContext[Any, Any]) -> None:
    """Forget an invocation that nobody is asked about any more: it is not run again."""
    if context.get_state(f"{_STATE}{request_id}") is not None:
        context.state.delete(f"{_STATE}{request_id}")


async def _answered(executor: Executor, request: InDoubt, answer: bool, context: WorkflowContext[Any, Any]) -> None:
    name = f"{_STATE}{context.request_id}"
    found, invocation = context.get_state(name), _invocation.get()
    if found is None or invocation is None:
        raise InDoubtError(
            f"What executor {request.executor_id!r} was given is no longer known. Send the thread another message."
        )
    message, sources, keys, kept, (kind, place) = found
    context.state.delete(name)
    data, request_id = message_parts(message)
    stand_for(context, sources, request_id)
    scope = invocation.scope
    if not answer:
        if (kind, place) == ("executor", ""):
            raise refused_error(scope, "")
        scope.journal.refuse(kind, f"{scope.key}{place}")
    await scope.journal.adopt(scope.key, kept)
    invocation.adopted()
    with done_again(None if keys is None else Superstep(*keys)):
        await plain_handler(executor, message)(data, context)


def refused_error(scope: Scope, call: str) -> InDoubtError:
    """Return the error of something that a person has said is not to run again."""
    what = f"The call {call!r} of executor" if call else "Executor"
    return InDoubtError(
        f"{what} {scope.executor_id!r} is not run again: a person has said no. Send the thread another message to go "
        "on without it, or one that makes up for it."
    )


def in_doubt_error(doubt: Beginning) -> InDoubtError:
    """Return the error that says what is in doubt, and what to do."""
    return InDoubtError(
        f"{_known(doubt)} Check its effects. If it did not complete, retry or resume the thread, and it runs again. "
        "If it did, send the thread a message that continues from there."
    )


def _known(doubt: Beginning) -> str:
    what = f"The call {doubt.call!r} of executor" if doubt.call else "Executor"
    return (
        f"{what} {doubt.executor_id!r} had started in attempt {doubt.attempt}, at {doubt.at}, when that attempt was "
        "lost, so it is unknown whether it completed."
    )


def _shown(value: Any) -> str:
    text = json.dumps(shown(value).data, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
