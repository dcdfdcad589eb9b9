"""Commands about a thread that do not follow it: `status`, `checkpoints`, `retry` and `cancel`."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from temporalio.client import WorkflowUpdateFailedError

from ...workflows.display import one_line
from ..advice import Advice, Step, Way
from ..checkpoints.lineage import CheckpointInfo
from ..client.response_update import cancel_requests
from ..client.thread_facts import existing_thread
from ..client.thread_status import ThreadStatus, moment, thread_has_worker, thread_status
from ..commands.exit_codes import NotFoundError
from ..errors import NoWorkerError
from .advice import recorded_text
from .command import Session, Thread
from .failures import attempt_lines, failure_lines, failure_text, lasted_text
from .lookup import facade
from .respond import login, rejection
from .text import elapsed, short, size, usage_facts


async def status(session: Session, thread: Thread) -> None:
    """Show where a thread stands: state, superstep, pending requests, size."""
    client = await session.client()
    told = await thread_status(client, await existing_thread(client, thread))
    session.output.json(told.as_json())
    _show(session, told)


def _steering_lines(session: Session, thread_id: str, found: dict[str, Any]) -> list[tuple[str, str]]:
    """Say what holds a run, and which messages wait for their turn."""
    lines: list[tuple[str, str]] = []
    pause = found.get("pause")
    if pause is not None:
        names = ", ".join(pause.get("executors") or ())
        why = f"breakpoint before {names}" if pause["kind"] == "breakpoint" else "asked for"
        by = f" by {pause['responder']}" if pause.get("responder") else ""
        lines.append(("paused", f"{why}{by}{': ' + pause['reason'] if pause.get('reason') else ''}"))
        lines.append(("continue with", session.again("continue", thread_id)))
    if found.get("breakpoints"):
        lines.append(("breakpoints", ", ".join(found["breakpoints"])))
    for message in found.get("queued_messages", ()):
        lines.append(("queued", f"{message['message_id']} ({message['when_running']}): {short(message['message'])}"))
    for message in found.get("refused_messages", ()):
        lines.append(("not run", f"{message['message_id']}: {short(message['error'])}"))
    return lines


def _show(session: Session, told: ThreadStatus) -> None:
    facts, found, requests, usage = told.facts, told.found, told.requests, told.usage
    output, now = session.output, datetime.now(UTC)
    until = facts.closed_at or now
    state = found["state"]
    if facts.is_open and not facts.paused and not found["worker"]:
        state = f"{state}; no worker answers on task queue {facts.task_queue!r}"
    output.facts(
        [
            ("thread", facts.thread_id),
            ("workflow", facts.workflow_name),
            ("state", state),
            ("superstep", str(found.get("superstep", ""))),
            ("executors", ", ".join(found.get("executors", ())) if state == "running" else ""),
            ("since", lasted_text(found)),
            *_steering_lines(session, facts.thread_id, found),
            *attempt_lines(facts.attempt, now),
            *failure_lines(found["failure"]),
            ("run", facts.run_id),
            ("began", f"{facts.started_at:%Y-%m-%d %H:%M:%S} UTC, {elapsed(facts.started_at, until)}"),
            ("task queue", facts.task_queue),
            ("priority", _priority_text(found)),
            ("history", f"{facts.history_events} events, {size(facts.history_bytes)}"),
            ("checkpoint", found.get("checkpoint_id") or ""),
            *usage_facts(usage),
        ]
    )
    if facts.paused:
        output.wrapped(facts.paused)
    if found["failure"] is not None:
        output.quoted(recorded_text(session, failure_text(found["failure"]), facts.thread_id))
        output.facts([("resume with", session.again("resume", facts.thread_id))])
    for request in requests:
        output.heading(f"{request.executor_id} asks, request {request.request_id}")
        output.quoted(short(request.request))
        asked, deadline = moment(request.asked_at), moment(request.deadline)
        output.facts(
            [
                ("asked", f"{elapsed(asked, now)} ago"),
                ("deadline", f"{deadline:%Y-%m-%d %H:%M:%S} UTC, then {request.on_deadline}" if deadline else ""),
                ("refused", request.errors[-1].error if request.errors else ""),
                ("answer with", session.again("respond", facts.thread_id, request.request_id)),
            ]
        )


def _priority_text(found: dict[str, Any]) -> str:
    weight = found["fairness_weight"]
    said = [
        "" if found["priority"] is None else str(found["priority"]),
        "" if found["fairness_key"] is None else f"fairness key {found['fairness_key']!r}",
        "" if weight is None else f"weight {weight:g}",
    ]
    return ", ".join(filter(None, said))


async def checkpoints(session: Session, thread: Thread) -> None:
    """List a thread's checkpoints, oldest first. Needs no worker."""
    facts = await existing_thread(await session.client(), thread)
    target = await facade(session, workflow=None, task_queue=None, thread=facts)
    found = await target.durable.checkpoints(thread)
    session.output.json(
        [
            {
                "checkpoint_id": info.checkpoint_id,
                "previous_checkpoint_id": info.previous_checkpoint_id,
                "run_id": info.run_id,
                "superstep": info.superstep,
                "timestamp": info.timestamp.isoformat(),
                "kind": info.kind,
                "state": info.state,
                "size_bytes": info.size_bytes,
                "history_bytes": info.history_bytes,
                "edited_by": info.edited_by,
                "edited_at": info.edited_at.isoformat() if info.edited_at is not None else None,
            }
            for info in found
        ]
    )
    rows = [[str(info.superstep), _kind(info), info.state, size(info.size_bytes), info.checkpoint_id] for info in found]
    session.output.table(["step", "kind", "state", "size", "checkpoint"], rows, keep=True)


def _kind(info: CheckpointInfo) -> str:
    if info.edited_by is None or info.edited_at is None:
        return info.kind
    return f"{info.kind} by {one_line(info.edited_by, 40)} at {info.edited_at:%Y-%m-%d %H:%M}"


async def retry(session: Session, thread: Thread) -> None:
    """Retry the step at which a run has paused. Then follow it with `stream`."""
    facts = await existing_thread(await session.client(), thread)
    target = await facade(session, workflow=None, task_queue=None, thread=facts)
    await target.durable.retry(target.durable.checkpoint(thread))
    session.output.json({"thread_id": thread, "retried": True})
    session.output.line(f"{thread} tries again. Follow it: {session.again('stream', thread)}")


async def cancel(
    session: Session,
    thread: Thread,
    *,
    request: Annotated[
        list[str] | None,
        typer.Option("--request", "-r", metavar="ID", help="Cancel only this pending request; can be repeated."),
    ] = None,
    responder: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who cancels the request, for the audit log.")
    ] = None,
) -> None:
    """Cancel a thread's run, or some of its pending requests. Its last checkpoint stays valid."""
    client = await session.client()
    facts = await existing_thread(client, thread)
    if not request:
        target = await facade(session, workflow=None, task_queue=None, thread=facts)
        await target.durable.cancel(target.durable.checkpoint(thread))
        session.output.json({"thread_id": thread, "cancelled": "run"})
        session.output.line(f"Requested cancellation of {thread}.")
        return
    if not facts.is_open:
        raise NotFoundError(f"Thread {thread!r} has no open run, so no request of it can be cancelled.")
    if not await thread_has_worker(client, facts):
        raise NoWorkerError(
            Advice(
                f"No worker polls task queue {facts.task_queue!r}, and one has to cancel the request. Start one: ",
                Step(Way.START_WORKER, facts.task_queue),
                ".",
            )
        )
    try:
        receipt = await cancel_requests(client, thread, request, responder or login())
    except WorkflowUpdateFailedError as error:
        raise rejection(error) from error
    session.output.json({"thread_id": thread, "cancelled": receipt.queued})
    session.output.line(f"Cancelled: {', '.join(receipt.queued)}")


_ACTIONS = {
    "workflow_started": "runs started",
    "workflow_reset": "resets",
    "schedule": "by a schedule",
    "activity_started": "supersteps",
    "activity_retried": "their retries",
    "timer_started": "timers",
    "signal": "signals",
    "update": "updates",
    "search_attributes_upserted": "attributes",
    "options_updated": "options changed",
}


async def cost(session: Session, thread: Thread) -> None:
    """Show what a thread has cost: Temporal Cloud actions, history events and bytes. Needs no worker."""
    facts = await existing_thread(await session.client(), thread)
    target = await facade(session, workflow=None, task_queue=None, thread=facts)
    found = await target.durable.cost(thread)
    session.output.json(
        {
            "thread_id": thread,
            "actions": found.actions,
            "total_actions": found.total_actions,
            "heartbeats": found.heartbeats,
            "history_events": found.history_events,
            "history_bytes": found.history_bytes,
            "runs": [dataclasses.asdict(run) for run in found.runs],
        }
    )
    beats = "unknown, as it streamed" if found.heartbeats is None else f"about {found.heartbeats}"
    session.output.facts(
        [
            ("thread", thread),
            ("workflow", facts.workflow_name),
            ("actions", f"{found.total_actions}, without heartbeats and queries"),
            *((label, str(found.actions.get(name, "") or "")) for name, label in _ACTIONS.items()),
            ("heartbeats", beats),
            ("runs", str(len(found.runs))),
            ("history", f"{found.history_events} events, {size(found.history_bytes)}"),
        ]
    )
