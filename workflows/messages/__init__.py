"""Wire models: everything that crosses between client, workflow and activity, as JSON.

- `names`: The names on the wire: of the workflow, its activity, signals and queries. Each keeps its meaning for ever.
- `base`: What all messages are made of: JSON that leaves out what is unset, bounds, a binary attachment.
- `records`: What many messages carry: references to checkpoints, values, entries of the event log, pending requests.
- `signals`: What callers send to a run that is open, by signals and updates, and what they are told of it at once.
- `run`: A run as it is started and as it ends: read by the workflow, by callers, and by the next run of the thread.
- `superstep`: A superstep: what the workflow gives to the activity, what it reports meanwhile, and what comes of it.
- `queries`: Answers of the workflow's queries.

Rules: fields are only ever added, with a default; a name once released keeps its meaning. So releases can meet, as a
reader ignores fields that it does not know. It may also meet values that it does not know (of `state`, `mode`, `kind`,
`type`, `on_deadline`): these are annotated `Known | str`, and a reader shows them, or takes the run for one that goes
on. Only who acts on such a value refuses it, in words: the workflow at a run's start (`start.py`) and when a superstep
has ended, the activity when one begins. What an older reader must not misread has a greater version: `Versioned`.

A model that derives from `Framed` may carry one binary `frame`; the data converter puts it beside the JSON (in the
payload's metadata), so that the JSON stays readable in the Temporal Web UI and the frame costs no base64.
"""

from __future__ import annotations

from .base import (
    MAX_ATTEMPTS,
    MAX_NAME,
    MAX_SECONDS,
    VERSION,
    Attempts,
    Count,
    Factor,
    Framed,
    HeartbeatSeconds,
    Journalled,
    JournalPart,
    Name,
    NewerVersionError,
    Seconds,
    Trace,
    Versioned,
    WireModel,
    json_bytes,
)
from .names import (
    CANCEL_SIGNAL,
    EDIT_UPDATE,
    EVENTS_QUERY,
    MESSAGE_UPDATE,
    NOT_REPORTED,
    PENDING_REQUESTS_QUERY,
    REFUSED_FAILURE,
    REFUSED_SUMMARY,
    RESPOND_SIGNAL,
    RETRY_SIGNAL,
    STATUS_QUERY,
    SUPERSTEP_ACTIVITY,
    WORKFLOW_TYPE,
)
from .queries import EventPage, RunState, RunStatus
from .records import (
    BetweenFacts,
    Calls,
    CheckpointFacts,
    CheckpointRef,
    DeadlineAction,
    EditFacts,
    ErrorDetails,
    JournalRef,
    LoggedEvent,
    PendingRequest,
    RefusedResponse,
    RunStartFacts,
    TokenCounts,
    Value,
)
from .run import (
    ContinuedRun,
    ExecutorRule,
    InDoubt,
    IterationsPer,
    RequestRule,
    RunFailure,
    RunInput,
    RunMode,
    RunOptions,
    RunResult,
    ToolRule,
)
from .signals import CancelSignal, EditUpdate, MessageReceipt, MessageUpdate, RespondReceipt, RespondSignal
from .superstep import (
    LiveWindow,
    MessageInput,
    OverdueSuperstep,
    ResponseInput,
    SuperstepFailure,
    SuperstepInput,
    SuperstepMode,
    SuperstepOutcome,
    SuperstepResult,
    SuperstepState,
)

__all__ = [
    "CANCEL_SIGNAL",
    "EDIT_UPDATE",
    "EVENTS_QUERY",
    "MAX_ATTEMPTS",
    "MAX_NAME",
    "MAX_SECONDS",
    "MESSAGE_UPDATE",
    "NOT_REPORTED",
    "PENDING_REQUESTS_QUERY",
    "REFUSED_FAILURE",
    "REFUSED_SUMMARY",
    "RESPOND_SIGNAL",
    "RETRY_SIGNAL",
    "STATUS_QUERY",
    "SUPERSTEP_ACTIVITY",
    "VERSION",
    "WORKFLOW_TYPE",
    "Attempts",
    "BetweenFacts",
    "Calls",
    "CancelSignal",
    "CheckpointFacts",
    "CheckpointRef",
    "ContinuedRun",
    "Count",
    "DeadlineAction",
    "EditFacts",
    "EditUpdate",
    "ErrorDetails",
    "EventPage",
    "ExecutorRule",
    "Factor",
    "Framed",
    "HeartbeatSeconds",
    "InDoubt",
    "IterationsPer",
    "JournalPart",
    "JournalRef",
    "Journalled",
    "LiveWindow",
    "LoggedEvent",
    "MessageInput",
    "MessageReceipt",
    "MessageUpdate",
    "Name",
    "NewerVersionError",
    "OverdueSuperstep",
    "PendingRequest",
    "RefusedResponse",
    "RequestRule",
    "RespondReceipt",
    "RespondSignal",
    "ResponseInput",
    "RunFailure",
    "RunInput",
    "RunMode",
    "RunOptions",
    "RunResult",
    "RunStartFacts",
    "RunState",
    "RunStatus",
    "Seconds",
    "SuperstepFailure",
    "SuperstepInput",
    "SuperstepMode",
    "SuperstepOutcome",
    "SuperstepResult",
    "SuperstepState",
    "TokenCounts",
    "ToolRule",
    "Trace",
    "Value",
    "Versioned",
    "WireModel",
    "json_bytes",
]
