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
)
from pydantic_core import to_json

from .exported import exported

WORKFLOW_TYPE = "AgentFrameworkWorkflow"
SUPERSTEP_ACTIVITY = "superstep"
RESPOND_SIGNAL = "respond"
CANCEL_SIGNAL = "cancel_requests"
RETRY_SIGNAL = "retry"
EVENTS_QUERY = "events"
STATUS_QUERY = "status"
PENDING_REQUESTS_QUERY = "pending_requests"

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

    thread_id: str
    run_id: str
    checkpoint_id: str


class CheckpointFacts(WireModel):
    """What is known of a checkpoint without decoding it."""

    checkpoint_id: str
    previous_checkpoint_id: str | None = None
    base_checkpoint_id: str | None = None
    """The checkpoint the frame is a patch against; None for a keyframe."""
    superstep: int
    digest: str
    """BLAKE2b of the raw checkpoint, 16 bytes as hexadecimal."""
    size_bytes: int
    """Raw size."""
    frame_bytes: int
    """Size in history."""
    graph_hash: str
    timestamp: str


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
    """Set where `data` was left out: its size in the frame. The typed object is in the superstep's frame."""
    payload: int | None = None
    """Index of the typed data in the superstep's frame."""
    responder: str | None = None
    call_id: str | None = None
    error: str | None = None


class RefusedAnswer(WireModel):
    """An answer that did not fit the declared type, so that its request still waits."""

    at: str
    responder: str | None = None
    error: str


@exported
class PendingRequest(WireModel):
    """A request_info that waits for its response."""

    request_id: str
    thread_id: str
    executor_id: str
    asked_at: str
    request: Any = None
    request_type: str
    response_type: str
    request_schema: dict[str, Any] | None = None
    response_schema: dict[str, Any] | None = None
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
    responder: str | None = None
    call_id: str | None = None
    received_at: str | None = None


class RespondSignal(WireModel):
    """The JSON of signal `respond`: `{"request_id": ..., "response": ..., "responder"?: ...}`."""

    model_config = ConfigDict(extra="ignore", strict=True)

    request_id: str = Field(min_length=1, max_length=512)
    response: Any = None
    responder: str | None = Field(default=None, max_length=512)
    type: str | None = Field(default=None, max_length=512)
    """Python type name of the response, set by the facade."""
    call_id: str | None = Field(default=None, max_length=128)
    """Set by the facade: names the call that is told of a rejection, and makes unknown ids an error, not an early
    answer."""
    streaming: bool | None = None
    """Whether agents emit updates in the supersteps that follow; unset: as in the supersteps before."""
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

    request_ids: list[Annotated[str, Field(min_length=1, max_length=512)]] = Field(max_length=1_000)
    responder: str | None = Field(default=None, max_length=512)
    call_id: str | None = Field(default=None, max_length=128)
    """See `RespondSignal.call_id`."""
    function_invocation_kwargs: Value | None = None
    client_kwargs: Value | None = None


class RespondReceipt(WireModel):
    """Result of update `respond`: what was taken, not yet what came of it."""

    queued: list[str] = Field(default_factory=list)
    """Ids of pending requests; the answers are delivered with the next supersteps."""
    early: list[str] = Field(default_factory=list)
    """Ids of requests that are not asked (yet); the answers wait for them."""


class RequestRule(WireModel):
    """When to remind of a request and what to do about it at last; durations in seconds."""

    remind_after: float | None = None
    deadline: float | None = None
    on_deadline: DeadlineAction | str = "fail"
    default: Value | None = None


class ExecutorRule(WireModel):
    """What differs for one executor from the options of its run; durations in seconds."""

    timeout: float | None = None
    """Of one invocation."""
    heartbeat_timeout: float | None = None
    max_attempts: int | None = None
    retry_initial_interval: float | None = None
    retry_backoff: float | None = None
    retry_maximum_interval: float | None = None


class RunOptions(WireModel):
    """Options of a run that the workflow acts on; all durations in seconds."""

    superstep_timeout: float = 24 * 3600.0
    heartbeat_timeout: float = 10.0
    max_attempts: int = 3
    retry_initial_interval: float = 1.0
    retry_backoff: float = 2.0
    retry_maximum_interval: float = 60.0
    history_bytes_per_run: int = 4_000_000
    supersteps_per_run: int | None = None
    mirror: str | None = None
    """Name of the worker's mirror that takes a copy of each checkpoint."""
    requests: dict[str, RequestRule] = Field(default_factory=dict)
    """By request id, executor id, or request type; `*` is for all others."""
    executors: dict[str, ExecutorRule] = Field(default_factory=dict)
    """By executor id."""
    pause_on_failure: bool = False
    """Stay open after a failure and wait for signal `retry`."""
    search_attributes: bool = False
    """Whether the namespace knows our search attributes; a run that upserts one it does not know is stuck."""


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
    queued: list[list[RespondSignal]] = Field(default_factory=list)
    early: list[RespondSignal] = Field(default_factory=list)
    answered: list[str] = Field(default_factory=list)
    outputs: list[Any] = Field(default_factory=list)
    events: list[EventRecord] = Field(default_factory=list)
    """The newest of the event log, for readers that are a little behind; the older are in the history before."""


class RunInput(Framed, Versioned):
    """Argument of the generic workflow: one run of a thread."""

    workflow_name: str
    mode: RunMode | str
    """`message`: a new message for the start executor; `responses`: to requests pending in `base`; `cancel`: requests
    pending in `base`; `resume`: go on from `base` as it stands; `continue`: continued as new in the middle."""
    continued: ContinuedRun | None = None
    """Only with `continue`."""
    message: Value | None = None
    responses: list[RespondSignal] | None = Field(default=None, min_length=1)
    base: CheckpointRef | None = None
    """Last checkpoint of the thread (or of another thread, for a fork)."""
    base_facts: CheckpointFacts | None = None
    """Set when the base checkpoint itself is the frame of this input (it came from another storage)."""
    graph_hash: str | None = None
    discard_in_flight: bool = False
    """Drop the messages in flight in `base`: the failed superstep has used them up, as it does in process."""
    streaming: bool = False
    function_invocation_kwargs: Value | None = None
    client_kwargs: Value | None = None
    next_offset: int = 0
    options: RunOptions = Field(default_factory=RunOptions)


class SuperstepInput(Versioned):
    """Argument of the superstep activity: references, never state."""

    _left_out: ClassVar[tuple[Any, ...]] = (None, [], {})
    workflow_name: str
    mode: StepMode | str
    """`message`, `responses`, `cancel`, `resume` begin a run of the framework workflow; `continue` is its next
    superstep; `store` runs nothing and only stores `base` whole; `upgrade` only asks whether the current version of
    `deployment` takes the run over."""
    deployment: str | None = None
    base: CheckpointRef | None = None
    graph_hash: str | None = None
    discard_in_flight: bool = False
    responses: list[ResponseInput] | None = None
    """With `cancel` the requests that are cancelled."""
    answered: list[str] = Field(default_factory=list)
    """Request ids the current run of the framework workflow was given responses for."""
    function_invocation_kwargs: Value | None = None
    """Only with `responses`; those of a message are read from the run's start event."""
    client_kwargs: Value | None = None
    streaming: bool = False
    offset: int = 0
    max_attempts: int = 3
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


class SuperstepOutcome(Framed, Versioned):
    """What both a committed and a failed superstep tell: its event records, typed payloads in the frame."""

    _left_out: ClassVar[tuple[Any, ...]] = (None, [], {})
    events: list[EventRecord] = Field(default_factory=list)
    attempt: int = 1
    checkpoint: CheckpointFacts | None = None
    """The newest checkpoint the framework saved. Of a committed superstep None only when every response was rejected,
    so that nothing ran. Of a failed one the checkpoint the run had entered with, if that was its first superstep."""
    rejected: dict[str, str] = Field(default_factory=dict)
    """request id -> why its response was refused."""


class LiveWindow(Framed):
    """Heartbeat details of a running superstep: its newest events, numbered as they will be if this attempt commits."""

    attempt: int
    offset: int | None = None
    """The superstep's `SuperstepInput.offset`: says which one it is, as a reader may not have seen it begin yet."""
    failures: int | None = None
    """Attempts before this one in which an executor failed; in the others the worker was lost."""
    events: list[EventRecord] = Field(default_factory=list)


class SuperstepResult(SuperstepOutcome):
    """Result of the superstep activity. The frame holds the checkpoint (a patch or a keyframe) and event payloads."""

    kind: Literal["superstep"] | str = "superstep"
    state: StepState | str
    entry: EntryFacts | None = None
    pending: list[PendingRequest] = Field(default_factory=list)
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
    message: str = ""


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
    failure: ErrorDetails | None = None
    """Of a paused run: what its last superstep failed with."""
