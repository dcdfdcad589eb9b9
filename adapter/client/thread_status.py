"""Where a thread stands, as JSON: state, superstep, pending requests, failure, attempts, what it has cost."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from temporalio.client import Client

from ...workflows.messages import PendingRequest
from ..checkpoints.thread import read_standing
from ..errors import DurableWorkflowError, NoWorkerError
from ..temporal.client import has_worker
from ..temporal.server import rpc_errors
from .attempts import SuperstepAttempt
from .event_json import usage_json
from .failure_facts import failure_of
from .queries import ThreadQueries
from .thread_facts import WORKER_TIMEOUT, ThreadFacts
from .usage import RunUsage, read_usage


@dataclass(frozen=True, slots=True)
class ThreadStatus:
    """Where a thread stands."""

    facts: ThreadFacts
    found: dict[str, Any]
    """As JSON, but for what it has cost."""
    requests: list[PendingRequest]
    """What it waits for."""
    usage: RunUsage | None
    """What its latest run has cost, as far as that is known."""

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        return {**self.found, **usage_json(self.usage)}


async def thread_status(client: Client, facts: ThreadFacts) -> ThreadStatus:
    """Return where a thread stands; a worker is asked where there is one, and is not needed.

    Args:
        client: A client with our payload converter.
        facts: The thread.
    """
    found: dict[str, Any] = {
        "thread_id": facts.thread_id,
        "workflow": facts.workflow_name,
        "state": facts.shown_state or "open",
        "run_id": facts.run_id,
        "task_queue": facts.task_queue,
        "started_at": facts.started_at.isoformat(),
        "closed_at": facts.closed_at.isoformat() if facts.closed_at else None,
        "history_events": facts.history_events,
        "history_bytes": facts.history_bytes,
        "worker": await thread_has_worker(client, facts),
        "attempt": _attempt(facts.attempt),
        "failure": None,
        "pending_requests": [],
        "priority": facts.priority.priority_key,
        "fairness_key": facts.priority.fairness_key,
        "fairness_weight": facts.priority.fairness_weight,
    }
    requests: list[PendingRequest] = []
    if not facts.is_open:
        standing = await read_standing(client, facts.thread_id, facts.workflow_name, seen_run_id=None)
        checkpoint = standing.checkpoint.checkpoint_id if standing.checkpoint else None
        found |= {"state": standing.state, "checkpoint_id": checkpoint}
    elif facts.paused:
        found["state"] = "paused by an operator"
    elif found["worker"]:
        try:
            requests = await _ask(client, facts, found)
        except NoWorkerError:  # The poll of one that has gone is remembered for a while.
            found["worker"] = False
    is_paused = found["state"] == "paused" and found.get("pause") is None  # Else it is well, and held.
    if not facts.is_open or is_paused or (facts.attempt is None and not found["worker"]):
        found["failure"] = await failure_of(client, facts)
        if facts.is_open and found["failure"] is not None:
            found["state"] = "paused"
    found |= lasted(_since(facts, found, requests), datetime.now(UTC))
    usage = await _usage(client, facts, answers=bool(found["worker"]) and not facts.paused)
    return ThreadStatus(facts, found, requests, usage)


async def _usage(client: Client, facts: ThreadFacts, *, answers: bool) -> RunUsage | None:
    queries = ThreadQueries(client, facts.task_queue, WORKER_TIMEOUT) if answers else None
    try:
        return await read_usage(client, facts.thread_id, facts.workflow_name, queries=queries)
    except DurableWorkflowError:  # It says where the thread stands all the same.
        return None


def _since(facts: ThreadFacts, found: dict[str, Any], requests: list[PendingRequest]) -> datetime | None:
    """Return since when a thread is in its state, as far as that is known."""
    if not facts.is_open:
        return facts.closed_at
    if facts.attempt is not None:
        return facts.in_state_since or facts.attempt.started_at
    asked = [time for request in requests if (time := moment(request.asked_at)) is not None]
    failed = moment(found["failure"]["at"]) if found["failure"] is not None else None
    return facts.in_state_since or failed or max(asked, default=None)


async def thread_has_worker(client: Client, facts: ThreadFacts) -> bool:
    """Tell whether a worker polls a thread's task queue; one round trip."""
    with rpc_errors(client, f"look for workers on task queue {facts.task_queue!r}"):
        return await has_worker(client, facts.task_queue)


async def _ask(client: Client, facts: ThreadFacts, found: dict[str, Any]) -> list[PendingRequest]:
    queries = ThreadQueries(client, facts.task_queue, WORKER_TIMEOUT)
    live = await queries.status(facts.thread_id, facts.run_id)
    found |= {
        "state": live.state,
        "superstep": live.superstep,
        "executors": live.executors,
        "checkpoint_id": live.checkpoint.checkpoint_id if live.checkpoint else None,
        "queued_messages": [message.model_dump() for message in live.queued_messages or ()],
        "refused_messages": [message.model_dump() for message in live.refused_messages or ()],
        "pause": live.pause.model_dump() if live.pause is not None else None,
        "breakpoints": live.breakpoints or [],
    }
    if live.priority or live.fairness_key or live.fairness_weight:
        found |= {name: getattr(live, name) for name in ("priority", "fairness_key", "fairness_weight")}
    requests = await queries.pending_requests(facts.thread_id) if live.pending_requests else []
    found["pending_requests"] = [request.model_dump() for request in requests]
    return requests


def _attempt(attempt: SuperstepAttempt | None) -> dict[str, Any] | None:
    if attempt is None:
        return None
    found = dataclasses.asdict(attempt)
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items()}


def lasted(since: datetime | None, until: datetime) -> dict[str, Any]:
    """Return since when, and for how many seconds, for a program."""
    seconds = None if since is None else max(0.0, (until - since).total_seconds())
    return {"since": since.isoformat() if since is not None else None, "seconds": seconds}


def moment(text: str | None) -> datetime | None:
    """Return the time that a text of another process says; None where it says none."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
