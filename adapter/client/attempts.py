"""The attempts of a thread's running superstep, as the server knows them: no worker is asked, and no history read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from agent_framework import UsageDetails
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client
from temporalio.converter import ActivitySerializationContext
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.exported import exported
from ...workflows.messages import SUPERSTEP_ACTIVITY, Calls, LiveWindow
from ..checkpoints.history import UnreadableError, decode, failure_text, of_superstep
from ..errors import NotSealedError
from ..temporal.server import describe_run, is_of_namespace, rpc_errors
from .usage_details import usage_details

_TOO_LARGE = "Failure exceeds size limit."
_STATES: dict[int, Literal["running", "waiting", "cancelling"]] = {
    PendingActivityState.PENDING_ACTIVITY_STATE_STARTED: "running",
    PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED: "cancelling",
}


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class SuperstepAttempt:
    """Which attempt of a superstep runs or is to run next, and what ended those before it."""

    attempt: int
    """From 1."""
    state: Literal["running", "waiting", "cancelling"]
    """`waiting`: for a worker, or for its time to come."""
    failures: int
    """Attempts before this one in which an executor failed."""
    worker_losses: int
    """The others before it: their worker was lost, or never began them."""
    last_failure: str | None
    """What ended the last one."""
    worker: str | None
    """Identity of the worker that runs it, or had the last one."""
    started_at: datetime | None
    """Of a running one."""
    next_at: datetime | None
    """When a waiting one is due."""
    calls_made: Mapping[str, int] = field(default_factory=dict)
    """By kind (`chat`, `tool`, `once`, `step`): what a running one has called itself so far."""
    calls_taken: Mapping[str, int] = field(default_factory=dict)
    """By kind, and `executor`: what it did not do again, as the journal had it from an attempt before."""
    usage: UsageDetails = field(default_factory=UsageDetails)
    """Tokens that it has spent so far, where chat clients report them."""
    waits_for: Mapping[str, str] = field(default_factory=dict)
    """Executor id -> its own task queue, on which its invocation waits in vain, as no worker polls it."""


async def superstep_attempt(client: Client, thread_id: str) -> SuperstepAttempt | None:
    """Return which attempt of a superstep a thread is at; None where no superstep runs. One round trip."""
    with rpc_errors(client, f"look up thread {thread_id!r}", thread_id):
        try:
            found = await describe_run(client, thread_id)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND or is_of_namespace(error):
                raise
            return None
    return await attempt_of(client, thread_id, found.raw.pending_activities)


async def attempt_of(client: Client, thread_id: str, pending: Iterable[PendingActivityInfo]) -> SuperstepAttempt | None:
    """Return the superstep's attempt among a run's pending activities, of which a description tells."""
    place = of_superstep(client, thread_id)
    for activity in pending:
        if activity.activity_type.name != SUPERSTEP_ACTIVITY:
            continue
        window = await live_window(client, thread_id, [activity])
        # A failed attempt says so with its last heartbeat, for the one after it.
        failures = (window.failures or 0) if window is not None else 0
        failed = activity.HasField("last_failure")
        calls = (window.calls if window is not None and window.attempt == activity.attempt else None) or Calls()
        state = _STATES.get(activity.state, "waiting")
        return SuperstepAttempt(
            attempt=activity.attempt,
            state=state,
            failures=failures,
            worker_losses=max(activity.attempt - 1 - failures, 0),
            last_failure=await _failure(client, activity.last_failure, place) if failed else None,
            worker=activity.last_worker_identity or None,
            started_at=activity.last_started_time.ToDatetime(tzinfo=UTC) if state == "running" else None,
            next_at=activity.scheduled_time.ToDatetime(tzinfo=UTC) if activity.HasField("scheduled_time") else None,
            calls_made=calls.made,
            calls_taken=calls.taken,
            usage=usage_details(calls.spent) if calls.spent is not None else UsageDetails(),
            waits_for=(window.waits if window is not None and window.attempt == activity.attempt else None) or {},
        )
    return None


async def live_window(client: Client, thread_id: str, pending: Iterable[PendingActivityInfo]) -> LiveWindow | None:
    """Return what the superstep among a run's pending activities has told with its last heartbeat."""
    for activity in pending:
        if activity.activity_type.name == SUPERSTEP_ACTIVITY and activity.heartbeat_details.payloads:
            with contextlib.suppress(NotSealedError, UnreadableError):  # Somebody else's; nothing is known then.
                payload = activity.heartbeat_details.payloads[0]
                window: LiveWindow = await decode(client, payload, LiveWindow, of_superstep(client, thread_id))
                return window
    return None


async def _failure(client: Client, failure: Failure, place: ActivitySerializationContext) -> str:
    try:
        return await failure_text(client, _told(failure), place)
    except NotSealedError as error:
        return str(error)


def _told(failure: Failure) -> Failure:
    """Return what an attempt has failed with; the server keeps a large one, shortened, as the cause of its own."""
    return failure.cause if failure.HasField("cause") and failure.message == _TOO_LARGE else failure
