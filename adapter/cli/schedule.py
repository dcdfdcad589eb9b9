"""The commands below `schedule`: threads that Temporal begins at fixed times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from temporalio.client import (
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
)

from ..client.schedule import ScheduleInfo, SchedulePolicies, schedule_errors, schedules, update_schedule
from ..commands.exit_codes import UsageError
from ..errors import DurableWorkflowError
from .command import Session, TaskQueue, Workflow
from .lookup import Target, facade, read_json
from .options import Options, read_duration, read_options
from .run import Data
from .text import duration

_OVERLAPS = {policy.name.lower().replace("_", "-"): policy for policy in ScheduleOverlapPolicy}

ScheduleId = Annotated[str, typer.Argument(metavar="SCHEDULE", help="Name of the schedule.", show_default=False)]
Message = Annotated[str | None, typer.Argument(help="The message as text.", show_default=False)]
Cron = Annotated[
    list[str] | None, typer.Option(metavar="FIELDS", help="Cron expression, e.g. '0 3 * * *'; can be repeated.")
]
Every = Annotated[
    list[str] | None, typer.Option(metavar="DURATION", help="Interval, e.g. 15m, 6h, 1d; can be repeated.")
]
TimeZone = Annotated[
    str | None, typer.Option(metavar="NAME", help="Time zone of --cron, e.g. Europe/Berlin; defaults to UTC.")
]
Overlap = Annotated[
    str | None,
    typer.Option(
        metavar="POLICY",
        help=f"What to do while one of its threads is running or waiting: {', '.join(_OVERLAPS)}.",
        autocompletion=lambda incomplete: [name for name in _OVERLAPS if name.startswith(incomplete)],
    ),
]
Catchup = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="How late it may start threads missed in an outage; defaults to a year."),
]
PauseOnFailure = Annotated[
    bool | None,
    typer.Option("--pause-on-failure/--no-pause-on-failure", help="Pause the schedule when one of its threads fails."),
]
Note = Annotated[str | None, typer.Option(metavar="TEXT", help="A note for other people.")]
ThreadTags = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag for each thread.")]


async def create(
    session: Session,
    schedule: ScheduleId,
    message: Message = None,
    *,
    workflow: Workflow = None,
    task_queue: TaskQueue = None,
    data: Data = None,
    cron: Cron = None,
    every: Every = None,
    time_zone: TimeZone = None,
    overlap: Overlap = None,
    catchup: Catchup = None,
    pause_on_failure: PauseOnFailure = None,
    paused: Annotated[bool, typer.Option("--paused", help="Create it paused.")] = False,
    note: Note = None,
    actions: Annotated[int | None, typer.Option(min=1, metavar="N", help="Start only this many threads.")] = None,
    option: Options = None,
    tag: ThreadTags = None,
) -> None:
    """Create a schedule that starts a new thread with a message each time."""
    given = _message(message, data)
    if given is None:
        raise UsageError("give the message: as text, or as JSON with --data")
    when = _spec(cron, every, time_zone)
    if when is None:
        raise UsageError("give a time: --cron '0 3 * * *' or --every 6h")
    target = await _target(session, workflow, task_queue, option)
    try:
        await target.durable.schedule(
            schedule,
            given,
            when,
            overlap=_overlap(overlap) or ScheduleOverlapPolicy.ALLOW_ALL,
            catchup_window=_duration(catchup, "--catchup"),
            pause_on_failure=bool(pause_on_failure),
            state=ScheduleState(
                note=note, paused=paused, limited_actions=actions is not None, remaining_actions=actions or 0
            ),
            tags=tag or (),
        )
    except ValueError as error:
        raise _usage(error) from error
    await _say(session, schedule, "created")


async def list_(
    session: Session,
    *,
    workflow: Annotated[
        str | None, typer.Option("--workflow", "-w", metavar="NAME", help="Only schedules of this workflow.")
    ] = None,
) -> None:
    """List the schedules that start threads. A new one shows up after a second."""
    found = [info async for info in schedules(await session.client(), workflow)]
    session.output.json([_listed(info) for info in found])
    if not found:
        session.output.line("No schedules.")
        return
    rows = [
        [
            "paused" if info.paused else "active",
            _time(info.next_at[0]) if info.next_at and not info.paused else "",
            info.workflow_name or "",
            info.recent_threads[-1] if info.recent_threads else "",
            info.schedule_id,
        ]
        for info in found
    ]
    session.output.table(["state", "next", "workflow", "last thread", "schedule"], rows, keep=True)


async def show(session: Session, schedule: ScheduleId) -> None:
    """Show when a schedule runs, what it has started, and its overlap policy."""
    with schedule_errors(await session.client(), "describe", schedule):
        found = await (await _handle(session, schedule)).describe()
    action, policy, state = found.schedule.action, found.schedule.policy, found.schedule.state
    told = _described(found)
    session.output.json(told)
    session.output.facts(
        [
            ("schedule", schedule),
            ("state", "paused" if state.paused else "active"),
            ("note", state.note or ""),
            ("left", str(state.remaining_actions) if state.limited_actions else ""),
            ("when", "; ".join(told["when"])),
            ("next", _time(found.info.next_action_times[0]) if found.info.next_action_times else ""),
            ("overlap", told["overlap"]),
            ("on failure", "pauses" if policy.pause_on_failure else ""),
            ("task queue", action.task_queue if isinstance(action, ScheduleActionStartWorkflow) else ""),
            ("begun", f"{found.info.num_actions}, {found.info.num_actions_skipped_overlap} skipped"),
            ("running", ", ".join(told["running_threads"])),
        ]
    )
    for thread in told["recent_threads"]:
        session.output.facts([("thread", thread)])


async def pause(session: Session, schedule: ScheduleId, *, note: Note = None) -> None:
    """Stop starting threads until `unpause`."""
    with schedule_errors(await session.client(), "pause", schedule):
        await (await _handle(session, schedule)).pause(note=note)
    await _say(session, schedule, "paused")


async def unpause(session: Session, schedule: ScheduleId, *, note: Note = None) -> None:
    """Resume a paused schedule. Missed starts are not made up."""
    with schedule_errors(await session.client(), "continue", schedule):
        await (await _handle(session, schedule)).unpause(note=note)
    await _say(session, schedule, "unpaused")


async def trigger(session: Session, schedule: ScheduleId, *, overlap: Overlap = None) -> None:
    """Start a thread now, even if the schedule is paused."""
    with schedule_errors(await session.client(), "trigger", schedule):
        await (await _handle(session, schedule)).trigger(overlap=_overlap(overlap))
    await _say(session, schedule, "triggered")


async def update(
    session: Session,
    schedule: ScheduleId,
    message: Message = None,
    *,
    workflow: Workflow = None,
    task_queue: TaskQueue = None,
    data: Data = None,
    cron: Cron = None,
    every: Every = None,
    time_zone: TimeZone = None,
    overlap: Overlap = None,
    catchup: Catchup = None,
    pause_on_failure: PauseOnFailure = None,
    option: Options = None,
    tag: ThreadTags = None,
) -> None:
    """Change a schedule's times, policies or message. Anything omitted stays."""
    given = _message(message, data)
    if given is None and (option or tag or task_queue):
        raise UsageError("options, tags and the task queue belong to the message: give the message as well")
    when = _spec(cron, every, time_zone)
    policies = SchedulePolicies(_overlap(overlap), _duration(catchup, "--catchup"), pause_on_failure)
    client = await session.client()
    try:
        if given is None:
            await update_schedule(client, schedule, None, when, policies)
        else:
            queue = task_queue or await _task_queue(session, schedule)
            target = await _target(session, workflow, queue, option)
            await target.durable.update_schedule(
                schedule,
                given,
                when,
                overlap=policies.overlap,
                catchup_window=policies.catchup_window,
                pause_on_failure=policies.pause_on_failure,
                tags=tag or (),
            )
    except ValueError as error:
        raise _usage(error) from error
    await _say(session, schedule, "updated")


async def delete(session: Session, schedule: ScheduleId) -> None:
    """Delete a schedule. Threads it has started are not affected."""
    with schedule_errors(await session.client(), "delete", schedule):
        await (await _handle(session, schedule)).delete()
    await _say(session, schedule, "deleted")


def _message(message: str | None, data: str | None) -> Any:
    if message is not None and data is not None:
        raise UsageError("give the message once: as text, or as JSON with --data")
    return message if data is None else read_json(data)


def _spec(cron: Sequence[str] | None, every: Sequence[str] | None, time_zone: str | None) -> ScheduleSpec | None:
    if time_zone is not None and not cron:
        raise UsageError("--time-zone needs --cron")
    if not cron and not every:
        return None
    intervals = [ScheduleIntervalSpec(every=read_duration(text, "--every")) for text in every or ()]
    return ScheduleSpec(cron_expressions=list(cron or ()), intervals=intervals, time_zone_name=time_zone)


def _overlap(name: str | None) -> ScheduleOverlapPolicy | None:
    if name is not None and name not in _OVERLAPS:
        raise UsageError(f"--overlap: there is no policy {name!r}; the policies are {', '.join(_OVERLAPS)}")
    return None if name is None else _OVERLAPS[name]


def _duration(text: str | None, flag: str) -> timedelta | None:
    return None if text is None else read_duration(text, flag)


def _usage(error: ValueError) -> Exception:
    """Return what is wrong with flags; a refusal of ours that happens to be a ValueError stays what it is."""
    return error if isinstance(error, DurableWorkflowError) else UsageError(str(error))


async def _target(
    session: Session, workflow: str | None, task_queue: str | None, option: Sequence[str] | None
) -> Target:
    return await facade(session, workflow=workflow, task_queue=task_queue, thread=None, options=read_options(option))


async def _handle(session: Session, schedule_id: str) -> ScheduleHandle:
    return (await session.client()).get_schedule_handle(schedule_id)


async def _task_queue(session: Session, schedule_id: str) -> str | None:
    with schedule_errors(await session.client(), "change", schedule_id):
        action = (await (await _handle(session, schedule_id)).describe()).schedule.action
    return action.task_queue if isinstance(action, ScheduleActionStartWorkflow) else None


async def _say(session: Session, schedule_id: str, what: str) -> None:
    session.output.json({"schedule_id": schedule_id, "done": what})
    look = "" if what == "deleted" else f" See: {session.again('schedule show', schedule_id)}"
    session.output.line(f"Schedule {schedule_id} {what}.{look}")


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _listed(info: ScheduleInfo) -> dict[str, Any]:
    return {
        "schedule_id": info.schedule_id,
        "workflow": info.workflow_name,
        "paused": info.paused,
        "note": info.note,
        "when": _when(info.spec),
        "next_at": [time.isoformat() for time in info.next_at],
        "recent_threads": list(info.recent_threads),
    }


def _described(found: ScheduleDescription) -> dict[str, Any]:
    action, policy, state, info = found.schedule.action, found.schedule.policy, found.schedule.state, found.info
    return {
        "schedule_id": found.id,
        "paused": state.paused,
        "note": state.note,
        "actions_left": state.remaining_actions if state.limited_actions else None,
        "when": _when(found.schedule.spec),
        "next_at": [time.isoformat() for time in info.next_action_times],
        "overlap": policy.overlap.name.lower().replace("_", "-"),
        "catchup_seconds": policy.catchup_window.total_seconds() if policy.catchup_window is not None else None,
        "pause_on_failure": policy.pause_on_failure,
        "task_queue": action.task_queue if isinstance(action, ScheduleActionStartWorkflow) else None,
        "begun": info.num_actions,
        "skipped": info.num_actions_skipped_overlap,
        "missed": info.num_actions_missed_catchup_window,
        "recent_threads": _threads([taken.action for taken in info.recent_actions]),
        "running_threads": _threads(info.running_actions),
    }


def _threads(actions: Sequence[object]) -> list[str]:
    return [taken.workflow_id for taken in actions if isinstance(taken, ScheduleActionExecutionStartWorkflow)]


def _when(spec: ScheduleSpec) -> list[str]:
    """Say when a schedule acts; the server keeps cron fields as calendars."""
    zone = f" {spec.time_zone_name}" if spec.time_zone_name else ""
    cron = [*spec.cron_expressions, *map(_fields, spec.calendars)]
    return [*(f"{fields}{zone}" for fields in cron), *(f"every {duration(each.every)}" for each in spec.intervals)]


def _fields(calendar: ScheduleCalendarSpec) -> str:
    """Return a calendar as five cron fields, with a sixth in front for seconds and behind for years that it names."""
    fields = [
        _field(ranges, *limits)
        for ranges, limits in (
            (calendar.minute, (0, 59)),
            (calendar.hour, (0, 23)),
            (calendar.day_of_month, (1, 31)),
            (calendar.month, (1, 12)),
            (calendar.day_of_week, (0, 6)),
        )
    ]
    seconds, years = _field(calendar.second, 0, 59), _field(calendar.year, 0, 0)
    return " ".join([*([] if seconds == "0" else [seconds]), *fields, *([] if years == "*" else [years])])


def _field(ranges: Sequence[ScheduleRange], first: int, last: int) -> str:
    found: list[str] = []
    for each in ranges:
        whole = (each.start, each.end) == (first, last)
        span = "*" if whole else f"{each.start}-{each.end}" if each.end > each.start else str(each.start)
        found.append(f"{span}/{each.step}" if each.step > 1 else span)
    return ",".join(found) or "*"
