"""Why a thread failed or is paused, for `status`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..client.attempts import SuperstepAttempt
from .text import duration, elapsed


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


def lasted_text(found: dict[str, Any]) -> str:
    """Return it for a person."""
    since = datetime.fromisoformat(found["since"]).astimezone(UTC) if found["since"] else None
    if since is None:
        return ""
    return f"{since:%Y-%m-%d %H:%M:%S} UTC, for {duration(timedelta(seconds=found['seconds']))}"
