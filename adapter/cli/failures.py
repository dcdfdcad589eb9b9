"""Why a thread failed or is paused, for `status`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import Client

from ...workflows.messages import SuperstepFailure
from ..checkpoints.history import Closed, last_failure
from ..checkpoints.thread import closed_run
from ..client.attempts import SuperstepAttempt
from ..errors import CheckpointNotFoundError, NotSealedError
from .lookup import ThreadFacts
from .text import duration, elapsed


async def failure_of(client: Client, facts: ThreadFacts) -> dict[str, Any] | None:
    """Return what a thread's run has failed with, or is paused for; None where it has not. Needs no worker.

    Costs one round trip for a run that is over, and another for each 200 events back to its last superstep.
    """
    closed = None if facts.is_open else await closed_run(client, facts.thread_id, facts.run_id)
    if closed is not None and closed.state in ("idle", "continued"):
        return None
    try:
        failed = await last_failure(client, facts.thread_id, facts.run_id)
    except (CheckpointNotFoundError, NotSealedError):
        failed = None
    if closed is None:
        return None if failed is None else _of_superstep(failed)
    if closed.failure is None:
        return _nothing() | {"message": _how(closed)}
    found = _nothing() if failed is None else _of_superstep(failed)
    return found | {"error_type": closed.failure.error_type, "message": closed.failure.message}


def _how(closed: Closed) -> str:
    ended = {"cancelled": "it was cancelled", "terminated": "it was terminated", "timed_out": "its time ran out"}
    how = ended.get(closed.state, "it failed")
    return f"{how}: {closed.message}" if closed.message else how


def _nothing() -> dict[str, Any]:
    return {"error_type": None, "message": "", "executor_id": None, "superstep": None, "at": None}


def _of_superstep(failed: SuperstepFailure) -> dict[str, Any]:
    told = [record for record in failed.events if record.details is not None]
    executor = next((record.executor_id for record in reversed(told) if record.executor_id), None)
    inner = [record.details.executor_id for record in told if record.details is not None]
    return {
        "error_type": failed.error_type,
        "message": failed.message,
        "executor_id": executor or next((name for name in reversed(inner) if name), None),
        "superstep": next((record.superstep for record in reversed(told) if record.superstep is not None), None),
        "at": told[-1].at if told else None,
    }


def failure_lines(failure: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Return where a failure was; what it says is quoted."""
    if failure is None:
        return []
    executor = failure["executor_id"]
    where = [f"superstep {failure['superstep']}" if failure["superstep"] is not None else ""]
    where.append(f"executor {executor}" if executor else "")
    return [("failed in", ", ".join(filter(None, where)))]


def failure_text(failure: dict[str, Any]) -> str:
    """Return what a failure says, of whoever has raised it."""
    kind, message = failure["error_type"], str(failure["message"])[:2000]
    return f"{kind}: {message}" if kind else message


def attempt_lines(attempt: SuperstepAttempt | None, now: datetime) -> list[tuple[str, str]]:
    """Say which attempt runs, on which worker and for how long; what there was before it; when the next one is due."""
    if attempt is None:
        return []
    said = f"{attempt.attempt} {attempt.state}"
    if attempt.started_at is not None:
        said += f" for {elapsed(attempt.started_at, now)}"
    if attempt.state == "waiting" and attempt.next_at is not None and attempt.next_at > now:
        said += f", due in {elapsed(now, attempt.next_at)}"
    if attempt.attempt > 1:
        said += f"; before it {attempt.failures} failed, {attempt.worker_losses} lost their worker"
    return [
        ("attempt", said),
        ("worker" if attempt.state != "waiting" else "last worker", attempt.worker or ""),
        ("last failure", attempt.last_failure or ""),
        ("waits for", "; ".join(_waiting(name, queue) for name, queue in attempt.waits_for.items())),
    ]


def _waiting(executor_id: str, task_queue: str) -> str:
    return f"a worker of task queue {task_queue!r}, for executor {executor_id!r}: none polls it"


def lasted(since: datetime | None, until: datetime) -> dict[str, Any]:
    """Return since when, and for how many seconds, for a program."""
    seconds = None if since is None else max(0.0, (until - since).total_seconds())
    return {"since": since.isoformat() if since is not None else None, "seconds": seconds}


def lasted_text(found: dict[str, Any]) -> str:
    """Return it for a person."""
    since = datetime.fromisoformat(found["since"]).astimezone(UTC) if found["since"] else None
    if since is None:
        return ""
    return f"{since:%Y-%m-%d %H:%M:%S} UTC, for {duration(timedelta(seconds=found['seconds']))}"
