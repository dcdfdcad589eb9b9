"""What callers send to a run that is open, by signals and updates, and what they are told of it at once."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, Field

from ..value_limits import MAX_ID
from .base import FairnessKey, FairnessWeight, Framed, Name, PriorityKey, Trace, Versioned, WireModel
from .records import Breakpoints, CheckpointFacts, EditFacts, PauseReason, Value

WhenRunning: TypeAlias = Literal["reject", "enqueue", "interrupt", "rollback"]
"""What becomes of a message to a thread that runs."""


class RespondSignal(WireModel):
    """The JSON of signal `respond`: `{"request_id": ..., "response": ..., "responder"?: ...}`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", strict=True)

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

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", strict=True)

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
    """The JSON of update `message`, and of the signal: `{"message": ..., "when_running"?: ..., "message_id"?: ...}`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", strict=True)

    message: Any
    type: str | None = Field(default=None, max_length=MAX_ID)
    """Python type name of the message, set by the facade."""
    typed: str | None = None
    """See `Value.typed`."""
    call_id: str | None = Field(default=None, max_length=128)
    """Set by the facade: names the call, whose events begin with the superstep that takes the message."""
    when_running: WhenRunning | str | None = None
    """Left out, an update is taken by a run that waits for answers and by no other; a signal is as with `enqueue`."""
    message_id: str | None = Field(default=None, min_length=1, max_length=128)
    """Names it for `status` and `withdraw`, and is taken once; made up where it is left out."""
    waits: bool | None = None
    """Whether it stays in the queue while requests wait for answers."""
    responder: str | None = Field(default=None, max_length=MAX_ID)
    """Who sent it, for people."""
    received_at: str | None = None
    """Set by the workflow."""
    priority: PriorityKey | None = None
    """Of the run's activities from this message's turn on; as before where it is left out."""
    fairness_key: FairnessKey | None = None
    fairness_weight: FairnessWeight | None = None
    streaming: bool = False
    own_storage: bool = False
    """See `RunInput.own_storage`."""
    trace: Trace | None = None
    """See `RunInput.trace`."""
    function_invocation_kwargs: Value | None = None
    client_kwargs: Value | None = None


class MessageReceipt(WireModel):
    """Result of update `message`: it was taken, and is what the run does next, or waits in the queue."""

    pending: list[str] = Field(default_factory=list)
    """Ids of the requests that wait on."""
    message_id: str | None = None
    """Of a message with `when_running`."""
    position: int | None = None
    """How many come before it, of a message with `when_running`."""


class WithdrawSignal(WireModel):
    """The JSON of signal and update `withdraw`: `{"message_id": ..., "responder"?: ...}`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", strict=True)

    message_id: str = Field(min_length=1, max_length=128)
    responder: str | None = Field(default=None, max_length=MAX_ID)


class PauseSignal(WireModel):
    """The JSON of signal and update `pause`, and of `continue`; all of it may be left out."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", strict=True)

    reason: str | None = Field(default=None, max_length=1_000)
    responder: str | None = Field(default=None, max_length=MAX_ID)


class BreakpointsSignal(WireModel):
    """The JSON of signal and update `breakpoints`, which takes the place of those before: `{"executors": [...]}`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", strict=True)

    executors: Breakpoints


class SteeringReceipt(WireModel):
    """Result of the updates `withdraw`, `pause`, `continue` and `breakpoints`: how the run stands after it."""

    _left_out: ClassVar[tuple[Any, ...]] = (None,)
    queued: list[str] = Field(default_factory=list)
    """Ids of the messages in the queue."""
    pause: PauseReason | None = None
    breakpoints: list[str] = Field(default_factory=list)


class EditUpdate(Framed, Versioned):
    """Update `edit`, to a run that waits for answers: its frame holds an edited checkpoint to go on from."""

    seen_checkpoint_id: Name
    """The checkpoint at which the run was seen to wait: at another it does not take the edit."""
    facts: CheckpointFacts
    edited: EditFacts
    """Without `previous_run_id`, which the run itself says."""
    streaming: bool = False
