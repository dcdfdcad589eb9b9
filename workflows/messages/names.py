"""The names on the wire: of the workflow, its activity, signals and queries. Each keeps its meaning for ever."""

from __future__ import annotations

WORKFLOW_TYPE = "AgentFrameworkWorkflow"
SUPERSTEP_ACTIVITY = "superstep"
RESPOND_SIGNAL = "respond"
CANCEL_SIGNAL = "cancel_requests"
RETRY_SIGNAL = "retry"
MESSAGE_UPDATE = "message"
"""Of the signal, too."""
EDIT_UPDATE = "edit"
WITHDRAW_SIGNAL = "withdraw"
"""Of the update, too; so are the next three."""
PAUSE_SIGNAL = "pause"
CONTINUE_SIGNAL = "continue"
BREAKPOINTS_SIGNAL = "breakpoints"
EVENTS_QUERY = "events"
STATUS_QUERY = "status"
PENDING_REQUESTS_QUERY = "pending_requests"
REFUSED_FAILURE = "agent_framework_temporal.NotSealed"
"""Type of a failure that somebody has reported who has no key; its text says so."""
REFUSED_SUMMARY = "refused outcome of superstep "
"""How the summary of the timer begins that a run waits for before a superstep runs again; its id follows."""
NOT_REPORTED = (
    "The activity was completed with a result that no superstep of a worker of ours returns: by hand, perhaps "
    "(`temporal activity complete`). To end a superstep by hand fail it with a reason (`temporal activity fail`)."
)
