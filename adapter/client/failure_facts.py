"""Why a thread failed or is paused."""

from __future__ import annotations

from typing import Any

from temporalio.client import Client

from ...workflows.messages import SuperstepFailure
from ..checkpoints.history import Closed, last_failure
from ..checkpoints.thread import closed_run
from ..errors import CheckpointNotFoundError, NotSealedError
from .thread_facts import ThreadFacts


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
