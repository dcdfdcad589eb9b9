"""Wire models: everything that crosses between client, workflow and activity, as JSON.

Rules: fields are only ever added, with a default; a name once released keeps its meaning. So releases can meet, as a
reader ignores fields that it does not know. It may also meet values that it does not know (of `state`, `mode`, `kind`,
`type`, `on_deadline`): these are annotated `Known | str`, and a reader shows them, or takes the run for one that goes
on. Only who acts on such a value refuses it, in words: the workflow at a run's start (`start.py`) and when a superstep
has ended, the activity when one begins. What an older reader must not misread has a greater version: `Versioned`.

A model that derives from `Framed` may carry one binary `frame`; the data converter puts it beside the JSON (in the
payload's metadata), so that the JSON stays readable in the Temporal Web UI and the frame costs no base64.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import to_json

from .exported import exported
from .value_limits import MAX_ID

WORKFLOW_TYPE = "AgentFrameworkWorkflow"
SUPERSTEP_ACTIVITY = "superstep"
RESPOND_SIGNAL = "respond"
CANCEL_SIGNAL = "cancel_requests"
RETRY_SIGNAL = "retry"
MESSAGE_UPDATE = "message"
EVENTS_QUERY = "events"
STATUS_QUERY = "status"
PENDING_REQUESTS_QUERY = "pending_requests"
REFUSED_FAILURE = "agent_framework_temporal.NotSealed"
"""Type of a failure that somebody has reported who has no key; its text says so."""
MAX_SECONDS = 10 * 366 * 24 * 3600.0
"""The longest duration anybody may ask for: longer ones do not fit what Temporal computes with."""
MAX_ATTEMPTS = 1_000_000
MAX_NAME = 1_000
"""Characters of a name, a workflow id, a key: what runs carry in each step."""
REFUSED_SUMMARY = "refused outcome of superstep "
"""How the summary of the timer begins that a run waits for before a superstep runs again; its id follows."""

Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]
HeartbeatSeconds = Annotated[float, Field(ge=1, le=MAX_SECONDS, allow_inf_nan=False)]
"""A busy worker needs a second to send one."""
Factor = Annotated[float, Field(ge=1, le=MAX_ATTEMPTS, allow_inf_nan=False)]
Attempts = Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)]
Count = Annotated[int, Field(ge=1, le=2**53)]
Trace = Annotated[str, Field(max_length=64)]
Name = Annotated[str, Field(max_length=MAX_NAME)]
RunState: TypeAlias = Literal["running", "waiting", "paused", "idle", "failed"]
RunMode: TypeAlias = Literal["message", "responses", "cancel", "resume", "continue"]
StepMode: TypeAlias = Literal["message", "responses", "cancel", "resume", "continue", "store", "upgrade"]
StepState: TypeAlias = Literal["running", "waiting", "idle"]
DeadlineAction: TypeAlias = Literal["fail", "cancel", "default"]

VERSION = 1
"""Of the wire models; see `Versioned`."""


class NewerVersionError(Exception):
    """What was read is of a release whose meaning this one cannot know."""


def json_bytes(value: Any) -> int:
    """Return the size of a value as JSON in bytes, which limits count: a character takes up to six of them."""
    return len(to_json(value))


class WireModel(BaseModel):
    """A model that ignores fields of a newer release and leaves out what is unset, to keep histories small."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())
    _left_out: ClassVar[tuple[Any, ...]] = (None,)
    sealed_as: ClassVar[frozenset[str] | None] = None
    """Names of the models it may be read from where payloads are sealed; its own where there is none."""

    @model_serializer(mode="wrap")
    def _without_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        left_out = self._left_out
        return {key: value for key, value in handler(self).items() if value not in left_out}


class Versioned(WireModel):
    """A model that says what its reader must know.

    `VERSION` goes up when a reader that does not know of a change would do the wrong thing: when a field or a value
    changes what others mean. It does not for fields and values that may be ignored. An older message is read as what it
    is; a newer one is refused, so that a worker leaves it to one that is upgraded, and a caller is told.
    """

    version: int = VERSION

    @field_validator("version")
    @classmethod
    def _not_newer(cls, version: int) -> int:
        if version > VERSION:
            raise NewerVersionError(
                f"A {cls.__name__.lstrip('_')} of version {version} was written by a newer release of "
                f"agent-framework-temporal; this one reads up to version {VERSION}. Upgrade it here."
            )
        return version


class Framed(WireModel):
    """A model with one binary attachment, at most one frame of a few kilobytes to a payload's limit."""

    _frame: bytes = PrivateAttr(default=b"")

    @property
    def frame(self) -> bytes:
        """The attachment; empty where the reader's converter does not know about frames."""
        return self._frame

    def with_frame(self, frame: bytes) -> Any:
        """Attach `frame` and return self."""
        self._frame = frame
        return self


class CheckpointRef(WireModel):
    """Where a checkpoint lies: a Temporal workflow id, a run of it, and the framework's checkpoint id."""

    thread_id: Name
    run_id: Name
    checkpoint_id: Name
    digest: str | None = None
    """See `CheckpointFacts.digest`: says which bytes are meant, so that nothing else is ever taken for them. Without it
    they are read from history, never from a cache."""


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


class EntryFacts(WireModel):
    """The checkpoint a run enters with (its message or responses in flight); it lies in the first superstep's frame."""

    checkpoint_id: str
    previous_checkpoint_id: str | None = None
    superstep: int
    digest: str
    size_bytes: int
    timestamp: str


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


class EventRecord(WireModel):
    """One entry of a thread's durable event log.

    `type` is a framework event type, or one of ours: the audit trail of requests, `response_accepted`,
    `response_rejected`, `request_cancelled`, `request_reminder` and `request_expired`, and of mirrors, `mirror_behind`
    and `mirror_caught_up` (`data` is the mirror's name, `error` why it does not take checkpoints). Ours have no
    `origin`, by which readers tell them, also those of a newer release: the facade does not yield them as events.
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
class RefusedAnswer(WireModel):
    """An answer that did not fit the declared type, so that its request still waits."""

    at: str
    responder: str | None = None
    error: str


@exported
class PendingRequest(WireModel):
    """A request_info that waits for its response."""

    request_id: str
    thread_id: str = ""
    """Left out where it goes without saying: in a superstep's result and a run's input."""
    executor_id: str
    asked_at: str
    request: Any = None
    request_bytes: int | None = None
    """Set where `request` was left out, or holds words for what no reader of JSON takes: its size."""
    readable: int | None = None
    """Index of a request that was left out in the frame of the superstep that tells of it."""
    request_type: str
    response_type: str
    request_schema: dict[str, Any] | None = None
    response_schema: dict[str, Any] | None = None
    """Left out where the answer of a query has no room to repeat it: of the requests with the same `response_schema_id`
    the first has it."""
    request_schema_id: str | None = None
    response_schema_id: str | None = None
    workflow_name: str | None = None
    errors: list[RefusedAnswer] | None = None
    """The last answers that were refused."""
    remind_at: str | None = None
    reminded_at: str | None = None
    deadline: str | None = None
    on_deadline: DeadlineAction | str | None = None
    expired_at: str | None = None


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


class RespondSignal(WireModel):
    """The JSON of signal `respond`: `{"request_id": ..., "response": ..., "responder"?: ...}`."""

    model_config = ConfigDict(extra="ignore", strict=True)

    request_id: str = Field(min_length=1, max_length=MAX_ID)
    response: Any = None
    responder: str | None = Field(default=None, max_length=MAX_ID)
    type: str | None = Field(default=None, max_length=MAX_ID)
    """Python type name of the response, set by the facade."""
    typed: str | None = None
    """See `Value.typed`."""
    call_id: str | None = Field(default=None, max_length=128)
    """Set by the facade: names the call that is told of a rejection, and makes unknown ids an error, not an early
    answer."""
    streaming: bool | None = None
    """Whether agents emit updates in the supersteps that follow; unset: as in the supersteps before."""
    own_storage: bool | None = None
    """See `RunInput.own_storage`; unset: as in the supersteps before."""
    trace: Trace | None = None
    """See `RunInput.trace`."""
    function_invocation_kwargs: Value | None = None
    client_kwargs: Value | None = None
    received_at: str | None = None
    """Set by the workflow, as are the next two; what a sender writes there is dropped."""
    cancel: bool = False
    """The request is cancelled instead of answered."""
    checked: bool = False
    """The answer came as an update, so it fits the response schema."""


class CancelSignal(WireModel):
    """The JSON of signal `cancel_requests`: `{"request_ids": [...], "responder"?: ...}`."""

    model_config = ConfigDict(extra="ignore", strict=True)

    request_ids: list[Annotated[str, Field(min_length=1, max_length=MAX_ID)]] = Field(max_length=1_000)
    responder: str | None = Field(default=None, max_length=MAX_ID)
    call_id: str | None = Field(default=None, max_length=128)
    """See `RespondSignal.call_id`."""
    own_storage: bool | None = None
    """See `RespondSignal.own_storage`."""
    trace: Trace | None = None
    """See `RunInput.trace`."""
    function_invocation_kwargs: Value | None = None
    client_kwargs: Value | None = None


class RespondReceipt(WireModel):
    """Result of update `respond`: what was taken, not yet what came of it."""

    queued: list[str] = Field(default_factory=list)
    """Ids of pending requests; the answers are delivered with the next supersteps."""
    early: list[str] = Field(default_factory=list)
    """Ids of requests that are not asked (yet); the answers wait for them."""


class MessageUpdate(WireModel):
    """The JSON of update `message`, to a run that waits for answers: `{"message": ...}`."""

    model_config = ConfigDict(extra="ignore", strict=True)

    message: Any
    type: str | None = Field(default=None, max_length=MAX_ID)
    """Python type name of the message, set by the facade."""
    typed: str | None = None
    """See `Value.typed`."""
    call_id: str | None = Field(default=None, max_length=128)
    """Set by the facade: names the call, whose events begin with the superstep that takes the message."""
    streaming: bool = False
    own_storage: bool = False
    """See `RunInput.own_storage`."""
    trace: Trace | None = None
    """See `RunInput.trace`."""
    function_invocation_kwargs: Value | None = None
    client_kwargs: Value | None = None


class MessageInput(Value):
    """A message that came while requests waited, on its way to a superstep."""

    turn: str
    """Set by the workflow: names the message within the thread, as a run's id names the one that it began with."""
    call_id: str | None = None


class MessageReceipt(WireModel):
    """Result of update `message`: it was taken, and is what the run does next."""

    pending: list[str] = Field(default_factory=list)
    """Ids of the requests that wait on."""


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
    heartbeat_timeout: HeartbeatSeconds | None = None
    max_attempts: Attempts | None = None
    retry_initial_interval: Seconds | None = None
    retry_backoff: Factor | None = None
    retry_maximum_interval: Seconds | None = None


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
    mirror: Name | None = None
    """Name of the worker's mirror that takes a copy of each checkpoint."""
    requests: dict[str, RequestRule] = Field(default_factory=dict)
    """By request id, executor id, or request type; `*` is for all others."""
    executors: dict[str, ExecutorRule] = Field(default_factory=dict)
    """By executor id."""
    pause_on_failure: bool = False
    """Stay open after a failure and wait for signal `retry`."""
    iterations_per: Literal["message", "answer"] = "message"
    """From where the framework counts supersteps up to its `max_iterations`."""
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
    events: list[EventRecord] = Field(default_factory=list)
    """The newest of the event log, for readers that are a little behind; the older are in the history before."""


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
    base_facts: CheckpointFacts | None = None
    """Set when the base checkpoint itself is the frame of this input (it came from another storage)."""
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
    flaw: str | None = None
    """Set where it is read: why it is not as it was sent, with words in place of what nobody can read."""


class SuperstepInput(Versioned):
    """Argument of the superstep activity: references, never state."""

    _left_out: ClassVar[tuple[Any, ...]] = (None, [], {})
    workflow_name: str
    mode: StepMode | str
    """`message`, `responses`, `cancel`, `resume` begin a run of the framework workflow; `continue` is its next
    superstep; `store` runs nothing and only stores `base` whole; `upgrade` only asks whether the current version of
    `deployment` takes the run over."""
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
    timeout: float | None = None
    """Seconds an attempt may take."""
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


class SuperstepOutcome(Framed, Versioned):
    """What both a committed and a failed superstep tell: its event records, typed payloads in the frame."""

    _left_out: ClassVar[tuple[Any, ...]] = (None, [], {})
    answers: str | None = None
    """`SuperstepInput.superstep_id` of the superstep it is the outcome of."""
    events: list[EventRecord] = Field(default_factory=list)
    attempt: int = 1
    checkpoint: CheckpointFacts | None = None
    """The newest checkpoint the framework saved. Of a committed superstep None only when every response was rejected,
    so that nothing ran. Of a failed one the checkpoint the run had entered with, if that was its first superstep."""
    rejected: dict[str, str] = Field(default_factory=dict)
    """request id -> why its response was refused."""


class OverdueSuperstep(WireModel):
    """An attempt that took too long in a blocked event loop, which could not end it."""

    executor_id: str | None = None
    """Who took too long, or blocked the loop."""
    limited: bool = False
    """Whether the limit is the executor's own; else it is the superstep's."""
    seconds: float
    """The limit."""


class LiveWindow(Framed):
    """Heartbeat details of a running superstep: its newest events, numbered as they will be if this attempt commits."""

    answers: str | None = None
    """`SuperstepInput.superstep_id` of the superstep that beats."""
    attempt: int
    offset: int | None = None
    """The superstep's `SuperstepInput.offset`: says which one it is, as a reader may not have seen it begin yet."""
    failures: int | None = None
    """Attempts before this one in which an executor failed; in the others the worker was lost."""
    begun: int | None = None
    """Attempts that have begun and whose worker did not stop in order; 1 where it is left out. The server counts those
    too that never began."""
    overdue: OverdueSuperstep | None = None
    """Of an attempt that was given up; it is one of `failures`."""
    events: list[EventRecord] = Field(default_factory=list)


class SuperstepResult(SuperstepOutcome):
    """Result of the superstep activity. The frame holds the checkpoint (a patch or a keyframe) and event payloads."""

    kind: Literal["superstep"] | str = "superstep"
    state: StepState | str
    entry: EntryFacts | None = None
    pending: list[PendingRequest] = Field(default_factory=list)
    schemas: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Of the pending requests, by the ids that these give."""
    next_executors: list[str] = Field(default_factory=list)
    upgrade: bool | None = None
    """Only of mode `upgrade`: whether the run may move."""


class SuperstepFailure(SuperstepOutcome):
    """Detail of the error a failed attempt raises."""

    kind: Literal["failure"] | str = "failure"
    graph_hash: str | None = None
    in_flight: bool = False
    """Whether the framework still held messages after the failure, so that it would refuse a new message."""
    error_module: str = "builtins"
    error_type: str = "Exception"
    error_args: list[Any] | None = None
    error_data: dict[str, Any] | None = None
    """What rebuilds the error beside its arguments: attributes, members of a group, errors of a validation."""
    message: str = ""


NOT_REPORTED = (
    "The activity was completed with a result that no superstep of a worker of ours returns: by hand, perhaps "
    "(`temporal activity complete`). To end a superstep by hand fail it with a reason (`temporal activity fail`)."
)


class RunResult(WireModel):
    """Result of a run that ended idle: where the thread stands, and its outputs as JSON."""

    state: Literal["idle"] | str = "idle"
    checkpoint: CheckpointRef
    graph_hash: str
    next_offset: int
    outputs: list[Any] = Field(default_factory=list)


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


class EventPage(WireModel):
    """Answer of query `events`."""

    run_id: str
    state: RunState | str
    events: list[EventRecord]
    first_offset: int
    """Oldest offset still in the ring; older events are in history."""
    next_offset: int


class RunStatus(WireModel):
    """Answer of query `status`."""

    workflow_name: str
    thread_id: str
    run_id: str
    state: RunState | str
    superstep: int
    executors: list[str]
    checkpoint: CheckpointRef | None = None
    graph_hash: str | None = None
    next_offset: int
    pending_requests: list[str]
    attempts: int = 1
    """Attempts that the last committed superstep took. Those of a running one the server knows, not the workflow."""
    failure: ErrorDetails | None = None
    """Of a paused run: what its last superstep failed with."""
