"""The commands `threads` and `threads delete`: what threads there are, and getting rid of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, cast

import typer

from ..client.deletion import delete_thread, delete_threads
from ..client.thread_facts import existing_thread
from ..client.threads import ListedState, ThreadFilter, ThreadInfo, thread_info, threads
from ..commands.exit_codes import RefusedError, UsageError
from .command import Session
from .options import read_duration
from .text import elapsed

_STATES = ("open", "running", "waiting", "paused", "idle", "failed", "cancelled", "terminated", "timed_out")
_KEPT = "Copies in a mirror or external storage are not deleted. The server completes the deletion in the background."

OfWorkflow = Annotated[
    str | None, typer.Option("--workflow", "-w", metavar="NAME", help="Only threads of this workflow.")
]
States = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        metavar="STATE",
        help=f"Only threads in this state, or these: {', '.join(_STATES)}.",
        autocompletion=lambda incomplete: [state for state in _STATES if state.startswith(incomplete)],
    ),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="In their current state since this time or later: 2h ago, or an ISO time."),
]
OlderThan = Annotated[
    str | None, typer.Option(metavar="DURATION", help="In their current state for longer than this: 30d, 12h, 5m.")
]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="TAG", help="Only threads with this tag; can be repeated.")
]
Query = Annotated[
    str | None,
    typer.Option(metavar="QUERY", help="An additional Temporal list filter, e.g. on your own search attributes."),
]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="List at most this many.")]


async def threads_(
    session: Session,
    *,
    workflow: OfWorkflow = None,
    state: States = None,
    since: Since = None,
    older_than: OlderThan = None,
    tag: Tags = None,
    query: Query = None,
    limit: Limit = 100,
) -> None:
    """List the threads of the namespace: open ones first, then the most recently closed."""
    filters = _filters(workflow, state, since, older_than, tag, query, limit)
    found = [info async for info in threads(await session.client(), **filters)]
    session.output.json([_json(info) for info in found])
    _show(session, found)
    if not found:
        session.output.line("No threads found.")
    elif len(found) == limit:
        session.output.wrapped(f"Showing the first {limit}; use --limit for more.", style="dim")


async def delete(
    session: Session,
    thread: Annotated[
        list[str] | None, typer.Argument(metavar="THREAD", help="Threads to delete.", show_default=False)
    ] = None,
    *,
    workflow: OfWorkflow = None,
    state: States = None,
    since: Since = None,
    older_than: OlderThan = None,
    tag: Tags = None,
    query: Query = None,
    limit: Limit = None,
    terminate: Annotated[
        bool, typer.Option("--terminate", help="Also delete threads that are running, waiting or paused.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete them; without it, only list them.")] = False,
) -> None:
    """Delete threads with their histories, checkpoints and events, by id or by filter."""
    filters = _filters(workflow, state, since, older_than, tag, query, limit)
    narrows = any(value for name, value in filters.items() if name != "limit")
    if bool(thread) is narrows:
        raise UsageError("say which threads: by their ids, or by --state, --older-than, --workflow, --tag or --query")
    found: list[ThreadInfo] = []
    if thread:
        found = await _named(session, thread, terminate=terminate, yes=yes)
    else:
        client = await session.client()
        async for info in delete_threads(client, dry_run=not yes, terminate=terminate, **filters):
            found.append(info)
    session.output.json({"deleted": yes, "threads": [_json(info) for info in found]})
    _show(session, found)
    many = f"{len(found)} thread{'' if len(found) == 1 else 's'}"
    if not found:
        session.output.line("No threads found.")
    elif yes:
        session.output.wrapped(f"Deleted {many}. {_KEPT}")
    else:
        session.output.wrapped(f"Nothing was deleted: with --yes, {many} would be, with all checkpoints. {_KEPT}")


async def _named(session: Session, names: list[str], *, terminate: bool, yes: bool) -> list[ThreadInfo]:
    client = await session.client()
    facts = [await existing_thread(client, name) for name in dict.fromkeys(names)]
    for each in facts:
        if each.is_open and not terminate:
            raise RefusedError(
                f"thread {each.thread_id!r} has an open run: it runs, waits or is paused. End it with "
                f"`{session.again('cancel', each.thread_id)}`, or delete it with --terminate"
            )
    found: list[ThreadInfo] = []
    for each in facts:
        info = await thread_info(client, each.thread_id)
        if yes:
            await delete_thread(client, each.thread_id, each.workflow_name, each.run_id, terminate=terminate)
        if info is not None:
            found.append(info)
    return found


def _filters(
    workflow: str | None,
    state: list[str] | None,
    since: str | None,
    older_than: str | None,
    tags: list[str] | None,
    query: str | None,
    limit: int | None,
) -> ThreadFilter:
    for name in state or ():
        if name not in _STATES:
            raise UsageError(f"--state: there is no state {name!r}; the states are {', '.join(_STATES)}")
    return ThreadFilter(
        workflow_name=workflow,
        state=cast("list[ListedState] | None", state or None),
        since=_moment(since),
        older_than=read_duration(older_than, "--older-than") if older_than is not None else None,
        tags=tags or [],
        query=query,
        limit=limit,
    )


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC) - read_duration(text.removesuffix(" ago"), "--since")
    return time if time.tzinfo is not None else time.astimezone()


def _json(info: ThreadInfo) -> dict[str, Any]:
    return {
        "thread_id": info.thread_id,
        "workflow": info.workflow_name,
        "run_id": info.run_id,
        "state": info.state,
        "since": info.since.isoformat(),
        "started_at": info.started_at.isoformat(),
        "pending_requests": info.pending_requests,
        "failure": info.failure,
        "tags": list(info.tags),
        "search_attributes": {pair.key.name: _plain(pair.value) for pair in info.search_attributes},
        "task_queue": info.task_queue,
        "history_events": info.history_events,
        "history_bytes": info.history_bytes,
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _show(session: Session, found: list[ThreadInfo]) -> None:
    if not found or session.output.as_json:
        return
    now = datetime.now(UTC)
    rows = [
        [info.state, elapsed(info.since, now), info.workflow_name, ", ".join(info.tags), info.thread_id]
        for info in found
    ]
    session.output.table(["state", "since", "workflow", "tags", "thread"], rows, keep=True)
    for info in found:
        if info.failure:
            session.output.line(f"{info.thread_id} {info.state}:")
            session.output.quoted(info.failure[:400])
