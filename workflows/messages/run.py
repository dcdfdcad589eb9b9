"""A run as it is started and as it ends: read by the workflow, by callers, and by the next run of the thread."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from .base import (
    Attempts,
    Count,
    Factor,
    FairnessKey,
    FairnessWeight,
    Framed,
    HeartbeatSeconds,
    Name,
    PriorityKey,
    Seconds,
    Trace,
    Versioned,
    WireModel,
)
from .records import (
    Breakpoints,
    Calls,
    CheckpointFacts,
    CheckpointRef,
    DeadlineAction,
    EditFacts,
    JournalRef,
    LoggedEvent,
    PauseReason,
    PendingRequest,
    RefusedMessage,
    TurnStart,
    Value,
)
from .signals import MessageUpdate, RespondSignal

InDoubt: TypeAlias = Literal["again", "error", "ask"]
"""Run it again, with the same idempotency key; report an error to the model, or fail; ask a person."""
IterationsPer: TypeAlias = Literal["message", "answer"]
RunMode: TypeAlias = Literal["message", "responses", "cancel", "resume", "continue"]


class RequestRule(WireModel):
    """When to remind of a request and what to do about it at last; durations in seconds."""

    remind_after: Seconds | None = None
    deadline: Seconds | None = None
    on_deadline: DeadlineAction | str = "fail"
    default: Value | None = None


class ExecutorRule(WireModel):
    """What differs for one executor from the options of its run; durations in seconds."""

    timeout: Seconds | None = None
    """Of one invocation."""
    idle_timeout: Seconds | None = None
    """For so long one invocation may show no progress; the run's where it is left out."""
    heartbeat_timeout: HeartbeatSeconds | None = None
    max_attempts: Attempts | None = None
    retry_initial_interval: Seconds | None = None
    retry_backoff: Factor | None = None
    retry_maximum_interval: Seconds | None = None
    journal: bool | None = None
    """Whether its calls are kept in the superstep's journal; so where it is left out."""
    in_doubt: InDoubt | str | None = None
    """What becomes of an invocation, and of its tools' calls, whose end nobody knows; `again` where it is left out."""
    task_queue: Name | None = None
    """Where its invocations run, as activities of their own; in the superstep where it is left out."""
    worker_timeout: Seconds | None = None
    """How long one of those may wait for a worker of that queue; for ever where it is left out."""
    priority: PriorityKey | None = None
    """Of those among the tasks of that queue."""


class ToolRule(WireModel):
    """What differs for one tool, by its name."""

    journal: bool | None = None
    in_doubt: InDoubt | str | None = None


class RunOptions(WireModel):
    """Options of a run that the workflow acts on; all durations in seconds.

    Bounded: with a value that Temporal refuses, the run would be stuck at its first step.
    """

    superstep_timeout: Seconds = 24 * 3600.0
    heartbeat_timeout: HeartbeatSeconds = 10.0
    max_attempts: Attempts = 3
    max_worker_losses: Attempts = 10
    retry_initial_interval: Seconds = 1.0
    retry_backoff: Factor = 2.0
    retry_maximum_interval: Seconds = 60.0
    history_bytes_per_run: Count = 4_000_000
    supersteps_per_run: Count | None = None
    idle_timeout: Seconds | None = None
    """For so long an invocation of any executor may show no progress; no bound where it is left out."""
    priority: PriorityKey | None = None
    """Of the run's activities: 1 comes first. What the server gives a workflow where it is left out."""
    fairness_key: FairnessKey | None = None
    """Among activities of one priority those with different keys take turns."""
    fairness_weight: FairnessWeight | None = None
    """Of its turns, how large the key's share is."""
    mirror: Name | None = None
    """Name of the worker's mirror that takes a copy of each checkpoint."""
    requests: dict[str, RequestRule] = Field(default_factory=dict)
    """By request id, executor id, or request type; `*` is for all others."""
    executors: dict[str, ExecutorRule] = Field(default_factory=dict)
    """By executor id, or a pattern of ids: see `rule_of`."""
    tools: dict[str, ToolRule] | None = None
    """By name."""
    journal: bool | None = None
    """Whether supersteps keep what has finished in them for their next attempts; so where it is left out."""
    keep_journal: bool | None = None
    """Whether a committed superstep's journal goes into history with its result; not where it is left out."""
    pause_on_failure: bool = False
    """Stay open after a failure and wait for signal `retry`."""
    iterations_per: IterationsPer | str = "message"
    """From where the framework counts supersteps up to its `max_iterations`."""
    breakpoints: Breakpoints | None = None
    """Pause before supersteps that may run one of these; those of the run's messages, where it continues as new."""
    burst: Seconds | None = None
    """For how long one activity may go on with the next superstep; each has its own where it is left out."""
    start_executor: Name | None = None
    """Whom a message reaches first, for `breakpoints`; where it is left out, the worker tells."""
    message_schema: dict[str, Any] | None = None
    """JSON Schema of what it takes, for messages that come while the run is open; left out where the worker alone can
    tell what fits."""
    search_attributes: bool = False
    """Whether the run shows where it stands in our search attributes, if it was started with them."""

    @model_validator(mode="after")
    def _check_intervals(self) -> RunOptions:
        if self.retry_maximum_interval < self.retry_initial_interval:
            raise ValueError("`retry_maximum_interval` must not be shorter than `retry_initial_interval`")
        return self


class ContinuedRun(WireModel):
    """What a run hands to the one it continues as; every list is bounded where it grows."""

    previous_run_id: str
    waiting: bool = False
    superstep: int = 0
    executors: list[str] = Field(default_factory=list)
    pending_status: bool = False
    answering: list[str] = Field(default_factory=list)
    """Request ids the current run of the framework workflow was given responses for."""
    pending: list[PendingRequest] = Field(default_factory=list)
    schemas: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Of the pending requests, by the ids that these give."""
    queued: list[Annotated[list[RespondSignal], Field(fail_fast=True)]] = Field(default_factory=list)
    early: list[RespondSignal] = Field(default_factory=list)
    answered: list[str] = Field(default_factory=list)
    outputs: list[Any] = Field(default_factory=list)
    events: list[LoggedEvent] = Field(default_factory=list)
    """The newest of the event log, for readers that are a little behind; the older are in the history before."""
    calls: Calls | None = None
    """What was called up to here; left out where nothing was."""
    turn: TurnStart | None = None
    """What the turn that runs has begun with; left out between turns, and by a release that does not know of it."""
    ended: bool | None = None
    """Whether the last turn has ended, so that the first message of the queue is next."""
    messages: list[MessageUpdate] | None = None
    """The queue; left out where it is empty."""
    taken: list[str] | None = None
    """Ids of the last messages that were taken from it, so that none is taken twice."""
    refused: list[RefusedMessage] | None = None
    pause: PauseReason | None = None
    """What the run is held for, or will be before its next superstep."""


class RunInput(Framed, Versioned):
    """Argument of the generic workflow: one run of a thread."""

    workflow_name: Name
    mode: RunMode | str
    """`message`: a new message for the start executor; `responses`: to requests pending in `base`; `cancel`: requests
    pending in `base`; `resume`: go on from `base` as it stands; `continue`: continued as new in the middle."""
    continued: ContinuedRun | None = None
    """Only with `continue`."""
    message: Value | None = None
    responses: list[RespondSignal] | None = Field(default=None, min_length=1, fail_fast=True)
    base: CheckpointRef | None = None
    """Last checkpoint of the thread (or of another thread, for a fork)."""
    journal: JournalRef | None = None
    """With `resume`: where the superstep that failed has left its journal."""
    base_facts: CheckpointFacts | None = None
    """Set when the base checkpoint itself is the frame of this input (it came from another storage)."""
    edited: EditFacts | None = None
    """With `base_facts`: that they are of a checkpoint which a person has edited."""
    graph_hash: Name | None = None
    discard_in_flight: bool = False
    """Drop the messages in flight in `base`: the failed superstep has used them up, as it does in process."""
    streaming: bool = False
    own_storage: bool = False
    """Whether the caller keeps the checkpoints in a storage of their own, which takes the place of the one that the
    workflow was built with."""
    trace: Trace | None = None
    """The `traceparent` of the caller's span, below which the executors write theirs."""
    function_invocation_kwargs: Value | None = None
    client_kwargs: Value | None = None
    next_offset: int = Field(default=0, ge=0, le=2**53)
    options: RunOptions = Field(default_factory=RunOptions)

    @property
    def previous_run_id(self) -> str | None:
        """The run of the same thread that it went on from without a message: as new, or edited."""
        if self.continued is not None:
            return self.continued.previous_run_id
        return self.edited.previous_run_id if self.edited is not None else None

    flaw: str | None = None
    """Set where it is read: why it is not as it was sent, with words in place of what nobody can read."""


class RunResult(WireModel):
    """Result of a run that ended idle: where the thread stands, and its outputs as JSON."""

    state: Literal["idle"] | str = "idle"
    checkpoint: CheckpointRef
    graph_hash: str
    next_offset: int
    outputs: list[Any] = Field(default_factory=list)
    calls: Calls | None = None
    """What the run has called, with the runs it was continued from; left out where nothing was."""


class RunFailure(WireModel):
    """Detail of the error a failed run ends with: the last good checkpoint, to resume from."""

    checkpoint: CheckpointRef | None = None
    graph_hash: str | None = None
    next_offset: int = 0
    in_flight: bool = False
    """See `SuperstepFailure.in_flight`."""
    error_module: str = "builtins"
    error_type: str = "Exception"
    error_args: list[Any] | None = None
    error_data: dict[str, Any] | None = None
    """What rebuilds the error beside its arguments: attributes, members of a group, errors of a validation."""
    message: str = ""
    calls: Calls | None = None
    """As of `RunResult`: what was spent is spent."""
