"""The threads of a namespace: one entry each, its latest run, as the server lists it. No worker is asked."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias, TypedDict, Unpack, get_args

from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.client import Client
from temporalio.common import TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.exported import exported
from ...workflows.messages import WORKFLOW_TYPE
from ...workflows.search_attributes import PENDING_REQUESTS, SINCE, STATE, TAGS, WORKFLOW_NAME
from ..checkpoints.history import Closed
from ..checkpoints.thread import UNREADABLE, LatestRun, latest_run
from ..errors import DurableWorkflowError, SearchAttributesError
from ..logging import data_logger
from ..temporal.client import framed_client
from ..temporal.labels import attributes_of, labels_of
from ..temporal.search_attributes import all_names, use_search_attributes
from ..temporal.server import is_open_status, list_runs, rpc_errors, visibility_text, workflow_name_of

ListedState: TypeAlias = Literal[
    "open", "running", "waiting", "paused", "idle", "failed", "cancelled", "terminated", "timed_out"
]
_LOGGER = data_logger("agent_framework_temporal")
_AT_ONCE = 20
_STATUS: dict[int, ListedState] = {
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED: "idle",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED: "failed",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED: "cancelled",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED: "terminated",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: "timed_out",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED: "paused",
}
_TOLD: dict[str, ListedState] = {"running": "running", "waiting": "waiting", "paused": "paused"}
_NAMES: dict[ListedState, str] = {
    "idle": "Completed",
    "failed": "Failed",
    "cancelled": "Canceled",
    "terminated": "Terminated",
    "timed_out": "TimedOut",
}
"""What visibility calls them."""
_OVER = f"'ContinuedAsNew', {', '.join(repr(name) for name in _NAMES.values())}"
_OPEN = f"ExecutionStatus NOT IN ({_OVER})"
_PAUSED = f"ExecutionStatus NOT IN ('Running', {_OVER})"
"""By an operator; older servers do not know the word."""


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadInfo:
    """A thread as the server lists it: where its latest run stands."""

    thread_id: str
    """Temporal workflow id."""
    workflow_name: str
    """Name of the framework workflow."""
    run_id: str
    """Temporal run id of the latest run."""
    state: ListedState
    """`open` where it runs, waits or is paused, and shows no search attributes that say which."""
    since: datetime
    """Since when it is in that state; of an `open` one when its run began."""
    started_at: datetime
    """When its latest run began."""
    pending_requests: int | None
    """How many responses it waits for; None where it shows no search attributes."""
    failure: str | None
    """What it has failed with, or why it was terminated."""
    tags: tuple[str, ...]
    """See `DurableWorkflow.checkpoint`."""
    search_attributes: TypedSearchAttributes
    """Those that are not of this package."""
    task_queue: str
    """Where its latest run asks for a worker."""
    history_events: int
    """Of the latest run; 0 while it is open, as servers list it."""
    history_bytes: int
    """Of the latest run; 0 while it is open."""

    @property
    def is_open(self) -> bool:
        """Whether a run is open: it runs, waits or is paused."""
        return self.state in ("open", "running", "waiting", "paused")


@exported
class ThreadFilter(TypedDict, total=False):
    """Which threads are meant; what is left out does not matter. All conditions hold together."""

    workflow_name: str | None
    """Name of the framework workflow."""
    state: ListedState | Sequence[ListedState] | None
    """One state, or several; `open` is any of `running`, `waiting` and `paused`."""
    since: datetime | None
    """In its state since this time, or later."""
    older_than: timedelta | None
    """In its state for longer than this."""
    tags: Sequence[str]
    """Has all of them."""
    query: str | None
    """Beside that, a query as Temporal's visibility takes it, for search attributes of yours: `Customer = 'c-7'`."""
    limit: int | None
    """At most so many."""


@exported
async def threads(client: Client, **filters: Unpack[ThreadFilter]) -> AsyncIterator[ThreadInfo]:
    """Yield the threads of the client's namespace, open ones first, then those whose run has ended last.

    Costs a round trip for each 1,000 runs that the server lists, and for each thread whose run has ended two at most
    where there are filters or the run has not ended well: to see that no later run has begun. No worker is asked. What
    the server lists may be a second behind.

    Without our search attributes (`register_search_attributes`) it cannot be told whether an open run runs, waits or
    is paused, and tags and workflow are looked for in all there is.

    Args:
        client: A connected client.
        **filters: Arguments of `ThreadFilter`.

    Raises:
        SearchAttributesError: For a filter that needs our search attributes, where they are not registered.
        ValueError: For a filter that cannot work.
        DurableWorkflowError: When the server does not take `query`.
    """
    async for info in listed_threads(client, filters, []):
        yield info


async def listed_threads(client: Client, filters: ThreadFilter, left_out: list[str]) -> AsyncIterator[ThreadInfo]:
    """Yield threads as `threads` does, and note in `left_out` which cannot be read, for instance without their key."""
    client = framed_client(client)
    limit = filters.get("limit")
    if limit is not None and limit < 1:
        raise ValueError(f"`limit` must be 1 or more, got {limit!r}.")
    wanted = await _Wanted.of(client, filters)
    seen: set[bytes] = set()
    given = 0
    batch: list[WorkflowExecutionInfo] = []
    with rpc_errors(client, "list threads"):
        async for info in list_runs(client, wanted.query):
            if info.type.name != WORKFLOW_TYPE or _key(info) in seen:
                continue  # A query of the caller's can ask for more.
            listed = {other.execution.workflow_id for other in batch}
            if not wanted.narrow and info.execution.workflow_id in listed:
                continue
            batch.append(info)
            if len(batch) < _AT_ONCE:
                continue
            for found in await _resolved(client, batch, wanted, seen, left_out):
                yield found
                given += 1
                if given == limit:
                    return
            batch = []
        for found in await _resolved(client, batch, wanted, seen, left_out):
            yield found
            given += 1
            if given == limit:
                return


async def thread_info(client: Client, thread_id: str) -> ThreadInfo | None:
    """Return a thread as it is listed, not behind; None where there is none. One round trip, two of one that is over.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
    """
    with rpc_errors(client, f"look up thread {thread_id!r}", thread_id):
        latest = await latest_run(client, thread_id, end=True)
        if latest.description is None or latest.description.info.type.name != WORKFLOW_TYPE:
            return None
        return await _info(client, latest.description.info, latest)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is asked for."""

    query: str
    narrow: bool
    """Whether the query leaves out runs, so that what it finds need not be a thread's latest."""
    workflow_name: str | None
    states: frozenset[ListedState] | None
    after: datetime | None
    before: datetime | None
    tags: frozenset[str]

    @classmethod
    async def of(cls, client: Client, filters: ThreadFilter) -> _Wanted:
        state = filters.get("state")
        states = None if state is None else frozenset([state] if isinstance(state, str) else state)
        for found in states or ():
            if found not in get_args(ListedState):
                raise ValueError(f"`state` must be one of {', '.join(get_args(ListedState))}, got {found!r}.")
        older_than = filters.get("older_than")
        if older_than is not None and older_than < timedelta(0):
            raise ValueError(f"`older_than` must not be negative, got {older_than!r}.")
        tags = filters.get("tags", ())
        if isinstance(tags, str):
            raise ValueError(f"`tags` must be a list, got {tags!r}.")
        wanted = cls(
            query="",
            narrow=any((states is not None, filters.get("since"), older_than is not None, tags, filters.get("query"))),
            workflow_name=filters.get("workflow_name"),
            states=states,
            after=_aware("since", filters.get("since")),
            before=None if older_than is None else datetime.now(UTC) - older_than,
            tags=frozenset(tags),
        )
        refined = (states or frozenset()) & {"running", "waiting", "paused"}
        needed = bool(refined) and "open" not in (states or ())
        shows = await use_search_attributes(client, None, anew=needed)
        if needed and not shows:
            raise SearchAttributesError(
                f"Namespace {client.namespace!r} cannot tell which open threads are {' or '.join(sorted(refined))}: "
                f"its search attributes are not registered. Ask for `open` threads, or register {all_names()} with "
                "`agent-framework-temporal attributes register`; runs started after that show it."
            )
        query = [f"WorkflowType = '{WORKFLOW_TYPE}'", "ExecutionStatus != 'ContinuedAsNew'"]
        query += wanted._conditions(shows)
        raw = filters.get("query")
        if raw is not None and raw.strip():
            query.append(f"({raw})")
        return replace(wanted, query=" AND ".join(query))

    def _conditions(self, shows: bool) -> list[str]:
        """Return what the server can tell; runs without search attributes are looked at when they are listed."""
        found: list[str] = []
        if self.workflow_name is not None and shows:
            found.append(
                f"({WORKFLOW_NAME.name} IS NULL OR {WORKFLOW_NAME.name} = {visibility_text(self.workflow_name)})"
            )
        found += [
            f"({STATE.name} IS NULL OR {TAGS.name} = {visibility_text(tag)})" for tag in sorted(self.tags) if shows
        ]
        if self.states is not None:
            over = [f"'{name}'" for state, name in _NAMES.items() if state in self.states]
            kinds = [f"ExecutionStatus IN ({', '.join(over)})"] if over else []
            live = sorted(self.states - _NAMES.keys())
            if "open" in live:
                kinds.append(_OPEN)
            elif live:
                names = ", ".join(f"'{state}'" for state in live)
                kinds.append(f"({_OPEN} AND {STATE.name} IN ({names}))")
                if "paused" in live:
                    kinds.append(_PAUSED)
            found.append(f"({' OR '.join(kinds)})")
        for sign, time in ((">=", self.after), ("<", self.before)):
            if time is not None:
                moment = time.astimezone(UTC).isoformat().replace("+00:00", "Z")
                live_since = f"({SINCE.name} IS NULL OR {SINCE.name} {sign} '{moment}')" if shows else None
                live_only = f"({_OPEN} AND {live_since})" if live_since else _OPEN
                found.append(f"({live_only} OR CloseTime {sign} '{moment}')")
        return found

    def takes(self, info: ThreadInfo) -> bool:
        """Tell whether a thread is one of them."""
        if self.workflow_name is not None and info.workflow_name != self.workflow_name:
            return False
        if self.states is not None and info.state not in self.states and not (info.is_open and "open" in self.states):
            return False
        early = self.after is not None and info.since < self.after
        late = self.before is not None and info.since >= self.before
        return not early and not late and self.tags <= set(info.tags)


def _aware(name: str, time: datetime | None) -> datetime | None:
    if time is not None and time.tzinfo is None:
        raise ValueError(f"`{name}` needs a time zone, got {time!r}: datetime(..., tzinfo=UTC).")
    return time


def _key(info: WorkflowExecutionInfo) -> bytes:
    """Return what a thread is remembered by, so that a namespace of a million takes 50 MB and not what its ids take."""
    return hashlib.blake2b(info.execution.workflow_id.encode(), digest_size=12).digest()


async def _resolved(
    client: Client, batch: Iterable[WorkflowExecutionInfo], wanted: _Wanted, seen: set[bytes], left_out: list[str]
) -> list[ThreadInfo]:
    found = await asyncio.gather(*(_thread(client, info, wanted, seen, left_out) for info in batch))
    return [info for info in found if info is not None and wanted.takes(info)]


async def _thread(
    client: Client, info: WorkflowExecutionInfo, wanted: _Wanted, seen: set[bytes], left_out: list[str]
) -> ThreadInfo | None:
    """Return the thread that a listed run is the latest of; None where it is not."""
    thread_id, run_id = info.execution.workflow_id, info.execution.run_id
    failed = None
    try:
        if not is_open_status(info.status) and (wanted.narrow or info.status not in _WELL):
            latest = await latest_run(client, thread_id, end=info.status not in _WELL)
            if run_id in latest.passed_over:
                if wanted.narrow:
                    return None  # It is none of the thread's; the one before it is listed too, if it is wanted.
                seen.add(_key(info))
                return None if latest.description is None else await _info(client, latest.description.info, latest)
            seen.add(_key(info))
            if latest.description is None or latest.description.run_id != run_id:
                return None
            info, failed = latest.description.info, latest
        seen.add(_key(info))
        return await _info(client, info, failed)
    except UNREADABLE as error:
        left_out.append(thread_id)
        _LOGGER.warning("Thread %r is not listed: it cannot be read (%s).", thread_id, error)
    except DurableWorkflowError as error:  # Deleted since it was listed.
        _LOGGER.info("Thread %r is not listed: %s", thread_id, error)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
    return None


_WELL = frozenset({WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED})


async def _info(client: Client, info: WorkflowExecutionInfo, latest: LatestRun | None) -> ThreadInfo | None:
    name = await workflow_name_of(client, info)
    if name is None:
        return None  # Somebody else's.
    labels, shown = await labels_of(client, info), attributes_of(info)
    started = info.start_time.ToDatetime(UTC)
    state = _STATUS.get(info.status)
    since = info.close_time.ToDatetime(UTC) if info.HasField("close_time") else started
    pending = shown.get(PENDING_REQUESTS)
    if state is None:
        state = _TOLD.get(shown.get(STATE) or "", "open")
        noted = shown.get(SINCE)
        # What starts a run says when it does so, and a schedule when it was made.
        since = max(started, noted or started) if state == "running" else noted or started
    return ThreadInfo(
        thread_id=info.execution.workflow_id,
        workflow_name=name,
        run_id=info.execution.run_id,
        state=state,
        since=since,
        started_at=started,
        pending_requests=pending if is_open_status(info.status) else 0,
        failure=None if latest is None or latest.closed is None else _failure(latest.closed),
        tags=labels.tags,
        search_attributes=labels.attributes,
        task_queue=info.task_queue,
        history_events=info.history_length,
        history_bytes=info.history_size_bytes,
    )


def _failure(closed: Closed) -> str | None:
    if closed.failure is not None:
        return f"{closed.failure.error_type}: {closed.failure.message}"
    return closed.message or None
