"""What an executor can learn of its invocation, above all a key that makes its side effects happen once.

A superstep whose worker is lost, or in which another executor fails, runs again, and whatever its executors did outside
the workflow is done again. A key that is the same each time lets the other side tell: a payment service's idempotency
key, a unique column, a message id.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from agent_framework import RunContext, Workflow, WorkflowContext

from ..adapter.framework.internals import invocation_path, running_step
from ..workflows.exported import exported

_KEY_BYTES = 16
"""As many as a UUID has; services limit the length of keys."""


@exported
@dataclass(frozen=True, slots=True)
class Superstep:
    """The superstep an executor runs in."""

    workflow_name: str
    """Name of the framework workflow."""
    thread_id: str
    """Temporal workflow id of the thread."""
    message_run_id: str
    """Which message of the thread is being worked on: the Temporal run id of the run that message began."""
    superstep: int
    """Number of the superstep; it begins at 1 with each message."""
    attempt: int
    """Attempt of the superstep, from 1; lost workers count."""


_current: ContextVar[tuple[Workflow, Superstep] | None] = ContextVar("agent_framework_temporal_superstep", default=None)
_done_again: ContextVar[Superstep | None] = ContextVar("agent_framework_temporal_done_again", default=None)
"""The superstep whose invocation is done again in a later one: what it does has the keys it had."""
_in_process: weakref.WeakKeyDictionary[WorkflowContext[Any, Any] | RunContext, str] = weakref.WeakKeyDictionary()


@exported
def current_superstep() -> Superstep | None:
    """Return the superstep the calling executor, agent or tool runs in; None in process. No round trip."""
    found = _current.get()
    return found[1] if found is not None else None


@exported
def idempotency_key(ctx: WorkflowContext[Any, Any] | RunContext, *parts: str | int) -> str:
    """Return a key for a side effect of this invocation: the same in each attempt, another for any other invocation.

    It is made of the thread, the turn, the superstep, the executor, and who sent the message or which request is
    answered. It stays the same when the superstep is tried again, on whichever worker, also in another run of the
    thread that resumes after a failure; a fork of a checkpoint is another thread and has keys of its own. In process,
    where nothing is tried again, each invocation has a new one. No round trip.

    Args:
        ctx: The context the handler was given; of a functional workflow the `RunContext`, for the step that runs.
        *parts: What tells two effects apart. Needed for a second effect of one invocation, and for messages that one
            executor sends to another several times in one superstep: `idempotency_key(ctx, order.id)`.

    Returns:
        32 hexadecimal digits.

    Raises:
        ValueError: In a workflow that an executor runs by itself, which has no place in the durable one.
    """
    found = _current.get()
    if found is None:
        place: list[Any] = [_in_process.setdefault(ctx, uuid.uuid4().hex)]
    else:
        workflow, step = found[0], superstep_of_keys() or found[1]
        if isinstance(ctx, RunContext):
            place = [step.thread_id, step.message_run_id, workflow.name, running_step()]
            return _digest([*place, parts])
        path = invocation_path(workflow, ctx)
        if not path:
            raise ValueError(
                f"This executor is not part of workflow {step.workflow_name!r}: another executor runs its workflow on "
                "its own. Create the key in that executor and pass it on, or make the workflow a sub-workflow "
                "(`WorkflowExecutor`)."
            )
        place = [
            step.thread_id,
            step.message_run_id,
            step.superstep,
            path,
            sorted(ctx.source_executor_ids),
            ctx.request_id,
        ]
    return _digest([*place, parts])


def _digest(place: list[Any]) -> str:
    return hashlib.blake2b(json.dumps(place).encode(), digest_size=_KEY_BYTES).hexdigest()


def superstep_of_keys() -> Superstep | None:
    """Return the superstep whose keys the calling executor has: an earlier one where it is done again."""
    return _done_again.get() or current_superstep()


@contextmanager
def done_again(superstep: Superstep | None) -> Iterator[None]:
    """Let what runs in this context have the keys of an earlier superstep."""
    token = _done_again.set(superstep)
    try:
        yield
    finally:
        _done_again.reset(token)


@contextmanager
def in_superstep(workflow: Workflow, superstep: Superstep) -> Iterator[None]:
    """Let what runs in this context know its superstep."""
    token = _current.set((workflow, superstep))
    try:
        yield
    finally:
        _current.reset(token)


def started(number: int) -> None:
    """Note which superstep the framework begins; what it starts from now on sees it."""
    found = _current.get()
    if found is not None:
        _current.set((found[0], dataclasses.replace(found[1], superstep=number)))
