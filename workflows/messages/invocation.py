"""An executor's invocation that runs on a task queue of its own: what the superstep gives it, and what comes of it."""

from __future__ import annotations

from typing import ClassVar, Literal

from .base import Framed, Journalled, Versioned
from .records import Calls
from .superstep import SuperstepInput


class InvocationInput(Journalled, Versioned):
    """Argument of the invocation activity. The frame holds message, senders, and the states of workflow and executor.

    Its journal is what an invocation has left that had failed for good, where its superstep is retried.

    What runs is chosen by names alone, among the workflows that the worker hosts.
    """

    executor_id: str
    graph_hash: str
    """Of the superstep's workflow: both sides have to have the same."""
    invocation_id: str
    """Id of the activity, which its outcome repeats."""
    thread_id: str
    run_id: str
    activity_id: str
    """Of the superstep's activity: when that is over, nobody waits for this one any more."""
    message_run_id: str
    """See `MessageInput.message_run_id`."""
    superstep: int
    superstep_attempt: int
    """In which it was started; later ones may take its outcome."""
    step: SuperstepInput
    """The superstep's rules as far as they hold for this executor; its `superstep_id` is `invocation_id`."""


class InvocationResult(Framed, Versioned):
    """Result of the invocation activity. The frame holds what the executor did, in order, and its own state."""

    _left_out: ClassVar[tuple[object, ...]] = (None,)
    kind: Literal["invocation"] | str = "invocation"
    answers: str
    """`InvocationInput.invocation_id`."""
    attempt: int = 1
    calls: Calls | None = None
    """Left out where nothing was called."""
