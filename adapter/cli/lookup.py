"""What a command line names: a thread, the facade of its workflow, and data given as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent_framework import Workflow
from temporalio.client import Client
from temporalio.common import Priority

from ...workflows.messages import WORKFLOW_TYPE
from ...workflows.search_attributes import SINCE, STATE
from ..checkpoints.thread import latest_run
from ..client.attempts import SuperstepAttempt, attempt_of
from ..client.durable_workflow import DurableWorkflow
from ..client.options import OptionArguments
from ..commands.exit_codes import UsageError
from ..commands.references import load_workflow
from ..errors import ThreadNotFoundError
from ..framework.definition import build
from ..temporal.labels import attributes_of, priority_in
from ..temporal.server import rpc_errors
from .command import Session
from .graph_text import graph_order

DEFAULT_TASK_QUEUE = "agent-framework"
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
    """
    with rpc_errors(client, f"look up thread {thread_id!r}"):
        found = (await latest_run(client, thread_id, end=False)).description
    if found is None:
        return None
    info = found.info
    name = await found.workflow_name() if info.type.name == WORKFLOW_TYPE else None
    if name is None:
        raise ThreadNotFoundError(
            f"{thread_id!r} is a Temporal workflow of type {info.type.name!r}, no thread of a framework workflow."
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
            "thread is gone when its history is past the namespace's retention."
        )
    return found


@dataclass(frozen=True, slots=True)
class Target:
    """The facade of a thread's workflow, and what is known of the workflow."""

    durable: DurableWorkflow
    workflow: Workflow | None = None
    """Its definition, if the command line says where that is."""

    @property
    def executor_ids(self) -> list[str]:
        """Ids of its executors in the order of the graph; empty where only its name is known."""
        return [] if self.workflow is None else graph_order(self.workflow)


async def facade(
    session: Session,
    *,
    workflow: str | None,
    task_queue: str | None,
    thread: ThreadFacts | None,
    options: OptionArguments | None = None,
) -> Target:
    """Return the facade of a thread's workflow.

    Args:
        session: The call.
        workflow: A name or `module:attr`; by default the thread's name.
        task_queue: By default the thread's.
        thread: The thread, if there is one.
        options: Of the runs it starts.

    Raises:
        UsageError: When nothing says which workflow it is.
        BadReferenceError: When it cannot be imported.
        HostingError: When it cannot be hosted.
    """
    queue = task_queue or (thread.task_queue if thread is not None else DEFAULT_TASK_QUEUE)
    name = workflow or (thread.workflow_name if thread is not None else None)
    if name is None:
        raise UsageError("say which workflow: --workflow NAME, or --workflow package.module:attr")
    client = await session.client()
    # A module is imported for the person who names it, never for a thread: who started that chose its name.
    if workflow is None or ":" not in workflow:
        return Target(DurableWorkflow(name, client=client, task_queue=queue, **(options or {})))
    built = await build(load_workflow(name))
    return Target(DurableWorkflow(built, client=client, task_queue=queue, **(options or {})), built)


def read_responses(text: str) -> dict[str, Any]:
    """Return responses by request id from a flag; see `read_json`.

    Raises:
        UsageError: When it is no JSON object.
    """
    found = read_json(text, "--responses")
    if not isinstance(found, dict):
        raise UsageError('--responses takes a JSON object by request id, as in {"request-1": {"approved": true}}')
    return found


def read_json(text: str, flag: str = "--data") -> Any:
    """Return the JSON of a flag: itself, `@FILE`, or `-` for standard input.

    Raises:
        UsageError: When it cannot be read or is no JSON.
    """
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise UsageError(f"{flag} {text}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        hint = "a text goes in quotes, as in '\"text\"'" if flag == "--data" else "it must be JSON"
        raise UsageError(f"{flag}: this is no JSON ({error}); {hint}") from error
