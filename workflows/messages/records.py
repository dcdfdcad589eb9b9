"""What many messages carry: references to checkpoints, values, entries of the event log, pending requests."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from ..exported import exported
from ..value_limits import MAX_ID
from .base import Name, WireModel

DeadlineAction: TypeAlias = Literal["fail", "cancel", "default"]

Breakpoints: TypeAlias = Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=100)]
"""Executor ids, or patterns of them as a shell has them: before whom a run pauses."""


class CheckpointRef(WireModel):
    """Where a checkpoint lies: a Temporal workflow id, a run of it, and the framework's checkpoint id."""

    thread_id: Name
    run_id: Name
    checkpoint_id: Name
    digest: str | None = None
    """See `CheckpointFacts.digest`: says which bytes are meant, so that nothing else is ever taken for them. Without it
    they are read from history, never from a cache."""


class JournalRef(WireModel):
    """Where the journal of a superstep that failed for good lies: in the last failure of a run of this thread."""

    run_id: Name
    superstep_id: Name | None = None
    """Left out where the run has ended with that failure."""


class TokenCounts(WireModel):
    """Tokens as chat clients report them."""

    input: int = 0
    output: int = 0
    total: int = 0


class Calls(WireModel):
    """What a superstep has called, and what it took from its journal instead."""

    _left_out: ClassVar[tuple[Any, ...]] = (None, {})
    made: dict[str, int] = Field(default_factory=dict)
    """By kind (`chat`, `tool`, `once`, `step`): done in this attempt."""
    taken: dict[str, int] = Field(default_factory=dict)
    """By kind, and `executor`: taken from the journal in this attempt, as it had finished in one before."""
    spent: TokenCounts | None = None
    """Tokens of this attempt."""
    tokens: dict[str, TokenCounts] = Field(default_factory=dict)
    """By executor: tokens of the superstep, with those of its earlier attempts."""
    dropped: int | None = None
    """Entries that had no room."""


class CheckpointFacts(WireModel):
    """What is known of a checkpoint without decoding it."""

    checkpoint_id: Name
    previous_checkpoint_id: Name | None = None
    base_checkpoint_id: Name | None = None
    """The checkpoint the frame is a patch against; None for a keyframe."""
    superstep: int
    digest: Name
    """BLAKE2b of the raw checkpoint, 16 bytes as hexadecimal."""
    size_bytes: int
    """Raw size."""
    frame_bytes: int
    """Size in history."""
    graph_hash: Name
    timestamp: Name


class EditFacts(WireModel):
    """Who has edited the checkpoint that a run begins from, and when."""

    by: str = Field(min_length=1, max_length=MAX_ID)
    at: Name
    previous_run_id: Name | None = None
    """The run of the same thread that it goes on from; None where the thread begins with it."""


class RunStartFacts(WireModel):
    """The checkpoint a run enters with (its message or responses in flight); it lies in the first superstep's frame."""

    checkpoint_id: str
    previous_checkpoint_id: str | None = None
    superstep: int
    digest: str
    size_bytes: int
    timestamp: str


class BetweenFacts(WireModel):
    """A checkpoint between the one a superstep began from and its last, in whose frame it lies.

    Each follows the one before it; the first the entry, where there is one.
    """

    checkpoint_id: str
    previous_checkpoint_id: str | None = None
    """Of the first alone, where there is no entry."""
    superstep: int
    digest: str
    size_bytes: int
    timestamp: str
    kind: str | None = None
    """As of `CheckpointInfo`; left out where it is `superstep`."""


class Value(WireModel):
    """A value as JSON, with the Python type it had, if the sender knows one (`module:qualname`)."""

    value: Any = None
    type: str | None = None
    typed: str | None = None
    """The value as the facade of this package writes it where JSON would change it; `value` is then for people."""


class ErrorDetails(WireModel):
    """The framework's `WorkflowErrorDetails`."""

    error_type: str
    message: str
    traceback: str | None = None
    executor_id: str | None = None
    extra: dict[str, Any] | None = None


class LoggedEvent(WireModel):
    """One entry of a thread's durable event log.

    `type` is a framework event type, or one of ours: the audit of requests, `response_accepted`,
    `response_rejected`, `request_cancelled`, `request_reminder` and `request_expired`, of mirrors, `mirror_behind`
    and `mirror_caught_up` (`data` is the mirror's name, `error` why it does not take checkpoints), and of messages,
    `turn_interrupt`, `turn_rollback` and `message_refused` (`data` is the message's id, `error` why it is not run).
    Ours have no `origin`, by which readers tell them, also those of a newer release: the facade does not yield them as
    events.
    """

    offset: int
    type: str
    superstep: int | None = None
    attempt: int | None = None
    at: str | None = None
    origin: str | None = None
    executor_id: str | None = None
    iteration: int | None = None
    state: str | None = None
    request_id: str | None = None
    source_executor_id: str | None = None
    request_type: str | None = None
    response_type: str | None = None
    details: ErrorDetails | None = None
    data: Any = None
    """The event's data as readable JSON; left out where it is large and only repeats messages."""
    data_type: str | None = None
    event_class: str | None = None
    """Set for an event of a subclass of the framework's `WorkflowEvent`."""
    data_bytes: int | None = None
    """Set where `data` was left out, or holds words for what no reader of JSON takes: its size. The typed object is in
    the superstep's frame."""
    payload: int | None = None
    """Index of the typed data in the superstep's frame."""
    readable: int | None = None
    """Index of `data` in the superstep's frame, where it is too large for the record."""
    responder: str | None = None
    call_id: str | None = None
    error: str | None = None


@exported
class RefusedResponse(WireModel):
    """An answer that did not fit the declared type, so that its request still waits."""

    at: str
    """When it came, ISO 8601."""
    responder: str | None = None
    """Who sent it, as they say."""
    error: str
    """Why it was refused."""


@exported
class PendingRequest(WireModel):
    """A request_info that waits for its response."""

    request_id: str
    """What a response names."""
    thread_id: str = ""
    """Temporal workflow id; left out of a superstep's result and a run's input, which belong to one thread."""
    executor_id: str
    """Who asks; of a sub-workflow's request, the executor that holds the sub-workflow."""
    asked_at: str
    """When, ISO 8601."""
    request: Any = None
    """The request's data as JSON."""
    request_bytes: int | None = None
    """Set where `request` was left out, or holds words for what no reader of JSON takes: its size."""
    readable: int | None = None
    """Index of a request that was left out in the frame of the superstep that tells of it."""
    request_type: str
    """Its Python type, `module:Class`."""
    response_type: str
    """The Python type of the response."""
    request_schema: dict[str, Any] | None = None
    """JSON Schema of the request's type; None for a type that has none."""
    response_schema: dict[str, Any] | None = None
    """Left out where the answer of a query has no room to repeat it: of the requests with the same `response_schema_id`
    the first has it."""
    request_schema_id: str | None = None
    """The same for requests that share a schema."""
    response_schema_id: str | None = None
    """The same for requests whose responses share a schema."""
    workflow_name: str | None = None
    """Name of the framework workflow."""
    errors: list[RefusedResponse] | None = None
    """The last answers that were refused."""
    remind_at: str | None = None
    """When its reminder is due."""
    reminded_at: str | None = None
    """When it was reminded of."""
    deadline: str | None = None
    """When it has to be answered."""
    on_deadline: DeadlineAction | str | None = None
    """What happens at the deadline."""
    expired_at: str | None = None
    """When its deadline passed."""


@exported
class PauseReason(WireModel):
    """Why a healthy run is held before its next superstep, or will be."""

    kind: Literal["asked", "breakpoint"] | str = "asked"
    """Somebody asked for it, or the run is at a breakpoint."""
    at: str | None = None
    """Since when, ISO 8601."""
    reason: str | None = None
    """What the one who paused it said."""
    responder: str | None = None
    """Who paused it."""
    executors: list[str] | None = None
    """At a breakpoint: whom the next superstep may run."""


@exported
class QueuedMessage(WireModel):
    """A message that waits for its turn."""

    message_id: str
    """What `withdraw` takes."""
    received_at: str
    """When it came, ISO 8601."""
    when_running: str
    """What it does to the turn before it."""
    message: str
    """The beginning of its JSON, for people."""
    bytes: int
    """Size of its JSON."""
    responder: str | None = None
    """Who sent it, as they say."""


@exported
class RefusedMessage(WireModel):
    """A message that was taken and is not run: it was withdrawn, or fits none of the start executor's types."""

    message_id: str
    """Its id."""
    error: str
    """Why it is not run."""
    at: str | None = None
    """When it was refused, ISO 8601."""
    cut: str | None = None
    """How another message has cut it off before its first superstep began; left out where none has."""


class MessageFacts(WireModel):
    """Whom a message reaches first, and what that takes; see the options of a run of the same names."""

    start_executor: Name | None = None
    message_schema: dict[str, Any] | None = None


class TurnStart(WireModel):
    """The checkpoint that a turn has begun with: none of a new thread."""

    base: CheckpointRef | None = None
    graph_hash: str | None = None
