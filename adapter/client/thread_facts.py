"""What the server knows of a thread, whichever workflow it is of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.client import Client
from temporalio.common import Priority

from ...workflows.messages import WORKFLOW_TYPE
from ...workflows.search_attributes import SINCE, STATE
from ..advice import Advice, Step, Way
from ..checkpoints.thread import latest_run
from ..errors import NotSealedError, ThreadNotFoundError
from ..temporal.labels import attributes_of, priority_in
from ..temporal.server import rpc_errors
from .attempts import SuperstepAttempt, attempt_of

WORKER_TIMEOUT = timedelta(seconds=10)
"""How long a worker may take to answer a query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadFacts:
    """What the server knows of a thread's latest run; one round trip, no worker."""

    thread_id: str
    workflow_name: str
    run_id: str
    task_queue: str
    is_open: bool
    """Whether it runs or waits, or is paused."""
    paused: str | None
    """Set when an operator has paused it: what to do about it."""
    started_at: datetime
    closed_at: datetime | None
    history_events: int
    history_bytes: int
    shown_state: str | None = None
    """What an open one shows as its state in the search attributes."""
    in_state_since: datetime | None = None
    """Since when it is in its state; where it shows search attributes."""
    attempt: SuperstepAttempt | None = None
    """Of the superstep that runs, if one does."""
    priority: Priority = Priority.default
    """What its run was started with; a message to it may have brought another."""


async def find_thread(client: Client, thread_id: str) -> ThreadFacts | None:
    """Look a thread up; None when there is none.

    Raises:
        ThreadNotFoundError: When the workflow id is that of something else.
        NotSealedError: When it is sealed, and this process has no key for it.
    """
    with rpc_errors(client, f"look up thread {thread_id!r}"):
        found = (await latest_run(client, thread_id, end=False)).description
    if found is None:
        return None
    info = found.info
    try:
        name = await found.workflow_name() if info.type.name == WORKFLOW_TYPE else None
    except KeyError as error:  # The SDK's, of an encoding that nothing here decodes.
        raise NotSealedError(
            Advice(
                f"Thread {thread_id!r} cannot be read ({error.args[0]}): it is sealed, or encoded by a codec that this "
                "process does not have. Give it the keys: ",
                Step(Way.KEYS),
                ".",
            )
        ) from error
    if name is None:
        raise ThreadNotFoundError(
            f"{thread_id!r} is a Temporal workflow of type {info.type.name!r}, not a thread of a framework workflow."
        )
    return ThreadFacts(
        thread_id=thread_id,
        workflow_name=name,
        run_id=found.run_id,
        task_queue=info.task_queue,
        is_open=found.is_open,
        paused=str(found.paused()) if found.is_paused else None,
        started_at=info.start_time.ToDatetime(UTC),
        closed_at=info.close_time.ToDatetime(UTC) if info.HasField("close_time") else None,
        history_events=info.history_length,
        history_bytes=info.history_size_bytes,
        shown_state=attributes_of(info).get(STATE) if found.is_open else None,
        in_state_since=attributes_of(info).get(SINCE),
        attempt=await attempt_of(client, thread_id, found.raw.pending_activities),
        priority=priority_in(info),
    )


async def existing_thread(client: Client, thread_id: str) -> ThreadFacts:
    """Look a thread up that must be there.

    Raises:
        ThreadNotFoundError: When it is not.
    """
    found = await find_thread(client, thread_id)
    if found is None:
        raise ThreadNotFoundError(
            f"There is no thread {thread_id!r} in namespace {client.namespace!r}. Check its id and the namespace; a "
            "thread disappears when its history is past the namespace's retention."
        )
    return found
