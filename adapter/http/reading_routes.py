"""Routes that show threads: a list of them, where one stands, its events as they come, its supersteps."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from ...workflows.display import one_line
from ..client.thread_status import thread_status
from ..client.threads import ListedState, ThreadFilter, ThreadInfo, listed_threads
from ..client.timeline import TimelineEntry, timeline
from ..client.usage import read_usage
from ..client.usage_details import usage_details
from ..temporal.server import visibility_text
from .events import EventStream
from .models import (
    SuperstepEntry,
    ThreadDetail,
    ThreadPage,
    Timeline,
    Usage,
)
from .place import Place
from .problems import ProblemError
from .service import Service

_THREAD = "/threads/{thread_id:part}"
_MOST_LISTED = 10_000
_EVENT = {
    "description": "Server-sent events. Each has an `id` to continue from, as `Last-Event-ID`. Messages without a "
    "name are the thread's events; `end` gives the state it rests in, `standing` the same for a stream that "
    "continues, and `problem` what ends the stream.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


def reading_routes(service: Service) -> APIRouter:
    """Return the routes.

    Args:
        service: What they share.
    """
    router = APIRouter(tags=["threads"])
    _add_listing(router, service)
    _add_events(router, service)
    _add_timeline(router, service)
    return router


def _add_listing(router: APIRouter, service: Service) -> None:
    @router.get("/threads", summary="List threads")
    async def listed(
        workflow: str | None = None,
        state: Annotated[list[str], Query(description="Any of these; can be repeated.")] = [],  # noqa: B006
        tag: Annotated[list[str], Query(description="All of these; can be repeated.")] = [],  # noqa: B006
        since: Annotated[datetime | None, Query(description="In its state since then, or later.")] = None,
        older_than: Annotated[float | None, Query(ge=0, le=1e9, description="In its state for more seconds.")] = None,
        search: Annotated[str | None, Query(max_length=500, description="Prefix of the thread's id.")] = None,
        query: Annotated[
            str | None, Query(max_length=4_000, description="A query in Temporal's visibility syntax.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=200, description="`next` of the previous page.")] = None,
    ) -> ThreadPage:
        begin = _beginning(cursor)
        filters = _filters(workflow, state, tag, since, older_than, search, query)
        filters["limit"] = begin + limit + 1
        key = ("threads", workflow, *state, "", *tag, "", since, older_than, search, query, limit, begin)
        left_out: list[str] = []

        async def read() -> tuple[list[ThreadInfo], int]:
            found = [info async for info in listed_threads(service.client, filters, left_out)]
            return found, len(left_out)

        found, unreadable = await service.reads.read(key, read)
        known = await service.threads.hosted()
        page = found[begin : begin + limit]
        more = len(found) > begin + limit
        return ThreadPage(
            threads=[service.summary(info, known=info.workflow_name in known) for info in page],
            next=_as_cursor(begin + limit) if more else None,
            unreadable=unreadable,
        )

    @router.get(_THREAD, summary="The state of a thread")
    async def shown(thread_id: str) -> ThreadDetail:
        async def read() -> ThreadDetail:
            calls = await service.of_thread(thread_id)
            told = (await thread_status(service.client, calls.facts)).as_json()
            temporal = service.temporal(thread_id, calls.facts.run_id)
            return ThreadDetail.model_validate({**told, "known": calls.hosted is not None, "temporal": temporal})

        return await service.reads.read(("thread", thread_id), read)


def _add_events(router: APIRouter, service: Service) -> None:
    @router.get(
        _THREAD + "/events",
        summary="A thread's events, as they occur",
        response_class=Response,
        responses={200: _EVENT},
    )
    async def events(
        thread_id: str,
        request: Request,
        after: Annotated[
            str | None, Query(max_length=8_000, description="As `Last-Event-ID`, which takes precedence.")
        ] = None,
        follow: Annotated[bool, Query(description="Continue when the thread rests, until the reader leaves.")] = False,
    ) -> Any:
        place = Place.parse(request.headers.get("Last-Event-ID") or after or "-1")
        if not service.streams.has_room:
            raise ProblemError(503, "too-many-streams", "This service has reached its maximum number of event streams.")
        calls = await service.of_thread(thread_id)
        return _Streamed(EventStream(calls, place, service.streams, goes_on=follow))


def _add_timeline(router: APIRouter, service: Service) -> None:
    @router.get(_THREAD + "/timeline", summary="A thread's supersteps, newest first")
    async def supersteps(
        thread_id: str,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=500, description="`next` of the previous page.")] = None,
        events: Annotated[bool, Query(description="Include the events of each, as they were logged.")] = False,
    ) -> Timeline:
        async def read() -> Timeline:
            calls = await service.of_thread(thread_id)
            run_id, before = calls.facts.run_id, None
            if cursor is not None:
                run_id, before = _cursor(cursor, str, int)
            found: list[SuperstepEntry] = []
            async for entry in timeline(service.client, thread_id, run_id, before):
                if len(found) == limit:
                    return Timeline(supersteps=found, next=_as_cursor(found[-1].run_id, found[-1].event_id))
                found.append(_superstep(entry, events=events))
            return Timeline(supersteps=found, next=None)

        return await service.reads.read(("timeline", thread_id, limit, cursor, events), read)

    @router.get(_THREAD + "/usage", summary="The calls of its latest run and their cost in tokens")
    async def usage(thread_id: str) -> Usage:
        async def read() -> Usage:
            calls = await service.of_thread(thread_id)
            found = await read_usage(service.client, thread_id, calls.facts.workflow_name, queries=calls.caller.queries)
            return Usage(
                run_id=found.run_id,
                usage=dict(found.usage),
                executors={name: dict(details) for name, details in found.executors.items()},
                calls_made=dict(found.calls_made),
                calls_taken=dict(found.calls_taken),
            )

        return await service.reads.read(("usage", thread_id), read)


def _beginning(cursor: str | None) -> int:
    begin = _cursor(cursor, int)[0] if cursor is not None else 0
    if not 0 <= begin <= _MOST_LISTED:
        raise ProblemError(400, "bad-cursor", "Ask for the first page again, or narrow the search.")
    return int(begin)


def _filters(
    workflow: str | None,
    state: Sequence[str],
    tags: Sequence[str],
    since: datetime | None,
    older_than: float | None,
    search: str | None,
    query: str | None,
) -> ThreadFilter:
    states: list[ListedState] = [name for name in get_args(ListedState) if name in state]
    if len(states) < len(set(state)):
        raise ProblemError(422, "not-taken", f"`state` is one of {', '.join(get_args(ListedState))}.")
    wanted = [f"WorkflowId STARTS_WITH {visibility_text(search)}"] if search else []
    wanted += [f"({query})"] if query and query.strip() else []
    return {
        "workflow_name": workflow,
        "state": states or None,
        "since": since,
        "older_than": None if older_than is None else timedelta(seconds=older_than),
        "tags": tags,
        "query": " AND ".join(wanted) or None,
    }


class _Streamed(Response):
    """Hands the connection over to a stream."""

    def __init__(self, stream: EventStream) -> None:
        super().__init__()
        self._stream = stream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._stream(scope, receive, send)


def _superstep(entry: TimelineEntry, *, events: bool) -> SuperstepEntry:
    spent = entry.calls.spent
    lasted = None
    if entry.started_at is not None and entry.ended_at is not None:
        lasted = max(0.0, (entry.ended_at - entry.started_at).total_seconds())
    return SuperstepEntry(
        run_id=entry.run_id,
        event_id=entry.event_id,
        superstep=entry.superstep,
        mode=entry.mode,
        state=entry.state,
        running=entry.is_running,
        scheduled_at=entry.scheduled_at,
        started_at=entry.started_at,
        ended_at=entry.ended_at,
        seconds=lasted,
        attempts=entry.attempts,
        worker=entry.worker,
        checkpoint_id=entry.checkpoint_id,
        first_offset=entry.first_offset,
        last_offset=entry.last_offset,
        failure=None if entry.failure is None else one_line(entry.failure, 2_000),
        calls_made=entry.calls.made,
        calls_taken=entry.calls.taken,
        usage={} if spent is None else dict(usage_details(spent)),
        events=[record.model_dump(mode="json") for record in entry.events] if events else None,
    )


def _as_cursor(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def _cursor(text: str, *kinds: type[Any]) -> list[Any]:
    """Read a cursor back, whose parts are of these classes."""
    try:
        found = json.loads(base64.urlsafe_b64decode(text.encode("ascii")))
    except (ValueError, binascii.Error, RecursionError):
        found = None
    if not isinstance(found, list) or [type(part) for part in found] != list(kinds):
        raise ProblemError(
            400, "bad-cursor", "This is not a valid cursor: send the `next` of the previous page unchanged."
        )
    return found
