"""A superstep: what the workflow gives to the activity, what it reports meanwhile, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from .base import Journalled, Versioned, WireModel
from .records import (
    BetweenFacts,
    Calls,
    CheckpointFacts,
    CheckpointRef,
    JournalRef,
    LoggedEvent,
    MessageFacts,
    PendingRequest,
    RunStartFacts,
    Value,
)
from .run import ExecutorRule, ToolRule

SuperstepMode: TypeAlias = Literal[
    "message", "responses", "cancel", "resume", "continue", "store", "upgrade", "describe"
]
SuperstepState: TypeAlias = Literal["running", "waiting", "idle"]


class ResponseInput(WireModel):
    """One response on its way to a superstep."""

    request_id: str
    response: Any = None
    type: str | None = None
    typed: str | None = None
    """See `Value.typed`."""
    responder: str | None = None
    call_id: str | None = None
    received_at: str | None = None


class MessageInput(Value):
    """A message that came while requests waited, on its way to a superstep."""

    message_run_id: str
    """Set by the workflow: names the message within the thread, as a run's id names the one that it began with."""
    call_id: str | None = None
    message_id: str | None = None
    """Of a message that came through the queue: where it fits none of the start executor's types, it is refused with an
    error of its own."""


class BurstRule(WireModel):
    """That an activity may go on with the supersteps after its first: a burst."""

    seconds: float
    """No superstep begins later."""
    supersteps: int | None = None
    """How many it may run; left out where nothing but time limits them."""
    breakpoints: list[str] | None = None
    """It ends before a superstep that may run one of these."""


class SuperstepInput(Versioned):
    """Argument of the superstep activity: references, never state."""

    _left_out: ClassVar[tuple[Any, ...]] = (None, [], {})
    workflow_name: str
    mode: SuperstepMode | str
    """`message`, `responses`, `cancel`, `resume` begin a run of the framework workflow; `continue` is its next
    superstep; `store` runs nothing and only stores `base` whole; `upgrade` only asks whether the current version of
    `deployment` takes the run over; `describe` only asks whom a message reaches first, see `MessageFacts`."""
    deployment: str | None = None
    superstep_id: str | None = None
    """Names this superstep within its thread; only an outcome that answers it is taken."""
    refused: str | None = None
    """The superstep that this one repeats, as its outcome was refused; readers skip that outcome."""
    base: CheckpointRef | None = None
    seeded: bool = False
    """Whether `base` lies in the run's own input, which nobody has checked yet."""
    graph_hash: str | None = None
    discard_in_flight: bool = False
    message: MessageInput | None = None
    """With `message`, where the message is not in the run's own input."""
    responses: list[ResponseInput] | None = None
    """With `cancel` the requests that are cancelled."""
    answered: list[str] = Field(default_factory=list)
    """Request ids the current run of the framework workflow was given responses for."""
    function_invocation_kwargs: Value | None = None
    """With `responses` and `message`; those of a run's own input are read from its start event."""
    client_kwargs: Value | None = None
    streaming: bool = False
    offset: int = 0
    max_attempts: int = 3
    max_worker_losses: int | None = None
    """After how many lost workers the superstep is given up; 10 where it is left out."""
    retry: ExecutorRule | None = None
    """The waits between attempts, where they are not the defaults."""
    executors: dict[str, ExecutorRule] | None = None
    tools: dict[str, ToolRule] | None = None
    journal: bool | None = None
    """False where nothing is kept of what finishes; left out where it is."""
    keep_journal: bool | None = None
    """Whether the journal is kept in history when the superstep is committed; left out where it is not."""
    begun_in: JournalRef | None = None
    """Where a superstep that failed for good has left its journal, which this one begins with."""
    burst: BurstRule | None = None
    """Left out where the activity runs one superstep."""
    begun: Literal["failed", "cut"] | str | None = None
    """See `SuperstepResult.begun`, of the burst that is named in `begun_in`."""
    timeout: float | None = None
    """Seconds an attempt may take."""
    idle_timeout: float | None = None
    """Seconds an invocation of any executor may show no progress; its own rule comes before it."""
    keyframe: bool = False
    """Store the checkpoint whole: a run's first, so that a thread outlives the retention of its earlier runs."""
    chain_length: int = 0
    """Patches since the last keyframe."""
    chain_bytes: int = 0
    """Their size in history."""
    pending_status: bool = False
    """Whether this run has already emitted IN_PROGRESS_PENDING_REQUESTS."""
    mirror: str | None = None
    own_storage: bool | None = None
    """See `RunInput.own_storage`; left out where it is not so."""
    trace: str | None = None
    """See `RunInput.trace`."""
    restores: bool | None = None
    """Of mode `responses`: whether the caller gave the checkpoint that they go to; left out where it is not so."""
    recount: bool | None = None
    """Whether the framework counts supersteps anew from here; left out where it is not so."""
    flaw: str | None = None
    """See `RunInput.flaw`."""
    cuts: Literal["interrupt", "rollback"] | str | None = None
    """With `message`: that it has ended the turn before it, and how; left out where that had ended by itself."""

    def following(self, base: CheckpointRef, told: Sequence[LoggedEvent]) -> SuperstepInput:
        """Return the input of the superstep that follows within a burst.

        Args:
            base: The checkpoint that this one has come to.
            told: The events that this one has told.
        """
        begun = any(record.state == "IN_PROGRESS_PENDING_REQUESTS" for record in told)
        changed = {
            "mode": "continue",
            "base": base,
            "keyframe": False,
            "seeded": False,
            "message": None,
            "responses": None,
            "function_invocation_kwargs": None,
            "client_kwargs": None,
            "discard_in_flight": False,
            "cuts": None,
            "restores": None,
            "recount": None,
            "begun": None,
            "begun_in": None,
            "offset": self.offset + len(told),
            "pending_status": self.pending_status or begun,
        }
        return self.model_copy(update=changed)


class SuperstepOutcome(Journalled, Versioned):
    """What both a committed and a failed superstep tell: its logged events, typed payloads in the frame."""

    _left_out: ClassVar[tuple[Any, ...]] = (None, [], {})
    answers: str | None = None
    """`SuperstepInput.superstep_id` of the superstep it is the outcome of."""
    events: list[LoggedEvent] = Field(default_factory=list)
    attempt: int = 1
    checkpoint: CheckpointFacts | None = None
    """The newest checkpoint the framework saved. Of a committed superstep None only when every response was rejected,
    so that nothing ran. Of a failed one the checkpoint the run had entered with, if that was its first superstep."""
    rejected: dict[str, str] = Field(default_factory=dict)
    """request id -> why its response was refused."""
    calls: Calls | None = None
    """Left out where nothing was called."""


class OverdueSuperstep(WireModel):
    """An attempt that took too long in a blocked event loop, which could not end it."""

    executor_id: str | None = None
    """Who took too long, or blocked the loop."""
    limited: bool = False
    """Whether the limit is the executor's own; else it is the superstep's."""
    seconds: float
    """The limit."""
    idle: bool | None = None
    """Whether it is that of a time without progress; left out where it is of the time in all."""


class LiveWindow(Journalled):
    """Heartbeat details of a running superstep: its newest events, numbered as they will be if this attempt commits."""

    answers: str | None = None
    """`SuperstepInput.superstep_id` of the superstep that beats."""
    attempt: int
    offset: int | None = None
    """The superstep's `SuperstepInput.offset`: says which one it is, as a reader may not have seen it begin yet."""
    failures: int | None = None
    """Attempts before this one in which an executor failed; in the others the worker was lost."""
    finished: int | None = None
    """Of a burst: events before this offset are of supersteps that have finished, and stand whatever becomes of the
    attempt."""
    begun: int | None = None
    """Attempts that have begun and whose worker did not stop in order; 1 where it is left out. The server counts those
    too that never began."""
    overdue: OverdueSuperstep | None = None
    """Of an attempt that was given up; it is one of `failures`."""
    waits: dict[str, str] | None = None
    """Executor id -> task queue that no worker polls, on which its invocation waits; left out where none does."""
    events: list[LoggedEvent] = Field(default_factory=list)
    calls: Calls | None = None


class SuperstepResult(SuperstepOutcome):
    """Result of the superstep activity. The frame holds the checkpoint (a patch or a keyframe) and event payloads.

    Its journal is there where the run's options ask for it: for people who run the superstep again to debug it.
    """

    kind: Literal["superstep"] | str = "superstep"
    state: SuperstepState | str
    entry: RunStartFacts | None = None
    between: list[BetweenFacts] = Field(default_factory=list)
    """Oldest first."""
    pending: list[PendingRequest] = Field(default_factory=list)
    schemas: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Of the pending requests, by the ids that these give."""
    next_executors: list[str] = Field(default_factory=list)
    upgrade: bool | None = None
    """Only of mode `upgrade`: whether the run may move."""
    begun: Literal["failed", "cut"] | str | None = None
    """Of a burst that ended as the superstep after its last had failed, or was cut off by the end of its worker: what
    there is of that one is in the journal, for the activity that goes on with it. Left out otherwise."""
    takes: MessageFacts | None = None
    """Of mode `describe`, and of the first superstep of a run whose start does not say so."""


class SuperstepFailure(SuperstepOutcome):
    """Detail of the error a failed attempt raises; its journal is what the superstep begins with when it is retried."""

    kind: Literal["failure"] | str = "failure"
    graph_hash: str | None = None
    journalled: bool | None = None
    """Whether there is a journal; left out where there is none."""
    in_flight: bool = False
    """Whether the framework still held messages after the failure, so that it would refuse a new message."""
    error_module: str = "builtins"
    error_type: str = "Exception"
    error_args: list[Any] | None = None
    error_data: dict[str, Any] | None = None
    """What rebuilds the error beside its arguments: attributes, members of a group, errors of a validation."""
    message: str = ""
