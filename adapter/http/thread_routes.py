"""Routes of threads: what begins one, writes to it, and shows where it stands."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, cast, get_args

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from ...workflows.display import one_line
from ...workflows.messages import (
    BREAKPOINTS_SIGNAL,
    CONTINUE_SIGNAL,
    PAUSE_SIGNAL,
    BreakpointsSignal,
    PauseSignal,
    WireModel,
)
from ..checkpoints.thread import read_standing
from ..client.options import check_breakpoints
from ..client.steering import steer
from ..client.thread_facts import find_thread
from ..client.thread_status import thread_status
from ..client.threads import ListedState, ThreadFilter, ThreadInfo, listed_threads
from ..client.timeline import TimelineEntry, timeline
from ..client.usage import read_usage
from ..client.usage_details import usage_details
from ..client.waiting_requests import waiting_requests
from ..errors import ThreadExistsError
from ..temporal.server import visibility_text
from .events import EventStream
from .hosted import ThreadCalls
from .links import respond_link
from .models import (
    Done,
    Link,
    NewBreakpoints,
    NewLink,
    NewMessage,
    NewPause,
    NewResponse,
    NewThread,
    Requests,
    SuperstepEntry,
    ThreadDetail,
    ThreadPage,
    ThreadRef,
    Timeline,
    Usage,
    Verdict,
)
from .models import Request as WaitingRequest
from .place import Place
from .problems import ProblemError
from .requests import answer, cancel_request, pending_of, pending_request
from .service import Service, caller_of

_THREAD = "/threads/{thread_id:part}"
_REQUEST = _THREAD + "/requests/{request_id:part}"
_MOST_LISTED = 10_000
_EVENT = {
    "description": "Server-sent events. Each has the `id` to read on from, as `Last-Event-ID`. Messages without a name "
    "are the thread's events; `end` says where it rests, `standing` the same of a stream that goes on, and `problem` "
    "what ends the stream.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


def thread_routes(service: Service) -> APIRouter:
    """Return the routes.

    Args:
        service: What they share.
    """
    router = APIRouter(tags=["threads"])
    _add_writing(router, service)
    _add_reading(router, service)
    _add_requests(router, service)
    _add_steering(router, service)
    return router


def _add_writing(router: APIRouter, service: Service) -> None:
    @router.post("/workflows/{name:part}/threads", status_code=201, summary="Begin a thread")
    async def start(name: str, new: NewThread, request: Request, response: Response) -> ThreadRef:
        hosted = await service.threads.workflow(name)
        hosted.check_message(_message(new.message))
        if new.thread_id is not None and await find_thread(service.client, new.thread_id) is not None:
            raise ThreadExistsError(
                f"Thread {new.thread_id!r} has begun already. Send it a message: POST .../threads/ID/messages."
            )
        service.reads.changed()
        handle = await service.threads.start(hosted, new.message, new.thread_id, new.tags, streaming=new.streaming)
        ref = service.ref(request, name, handle.thread_id, handle.run_id)
        response.headers["Location"] = ref.events.removesuffix("/events")
        return ref

    @router.post(_THREAD + "/messages", status_code=202, summary="Send a thread a message")
    async def message(thread_id: str, new: NewMessage, request: Request) -> ThreadRef:
        calls = await service.of_thread(thread_id, writes=True)
        if calls.hosted is not None:
            calls.hosted.check_message(_message(new.message))
        await calls.start(message=_message(new.message), streaming=new.streaming, when_running=new.when_running)
        return service.ref(request, calls.facts.workflow_name, thread_id, calls.handle.run_id)

    @router.post(_THREAD + "/cancel", status_code=202, summary="Cancel what runs")
    async def cancel(thread_id: str) -> Done:
        calls = await service.of_thread(thread_id, writes=True)
        await calls.caller.queries.cancel(thread_id)
        return Done(thread_id=thread_id, done="cancelling")

    @router.post(_THREAD + "/retry", status_code=202, summary="Try again what a paused run failed at")
    async def retry(thread_id: str) -> Done:
        calls = await service.of_thread(thread_id, writes=True)
        await calls.caller.queries.retry(thread_id)
        return Done(thread_id=thread_id, done="retrying")

    @router.post(_THREAD + "/resume", status_code=202, summary="Go on with what failed, was ended or is paused")
    async def resume(thread_id: str) -> Done:
        calls = await service.of_thread(thread_id, writes=True)
        return Done(thread_id=thread_id, done=await _resume(calls))


async def _resume(calls: ThreadCalls) -> str:
    facts = calls.facts
    if facts.paused is not None:
        raise ProblemError(409, "thread-paused", facts.paused)
    if facts.is_open:
        status = await calls.caller.queries.status(facts.thread_id, facts.run_id)
        if status.pause is not None:
            await _steer(calls, CONTINUE_SIGNAL, PauseSignal())
            return "continuing"
        await calls.caller.queries.retry(facts.thread_id)
        return "retrying"
    standing = await read_standing(calls.caller.client, facts.thread_id, facts.workflow_name, seen_run_id=None)
    if standing.state == "idle":
        raise ProblemError(
            409, "nothing-to-resume", f"Thread {facts.thread_id!r} is idle: it has ended well. Send it a message."
        )
    calls.handle.offset = standing.next_offset - 1
    await calls.start()
    return "resuming"


def _add_reading(router: APIRouter, service: Service) -> None:
    @router.get("/threads", summary="List threads")
    async def listed(
        workflow: str | None = None,
        state: Annotated[list[str], Query(description="Any of these; can be repeated.")] = [],  # noqa: B006
        tag: Annotated[list[str], Query(description="All of these; can be repeated.")] = [],  # noqa: B006
        since: Annotated[datetime | None, Query(description="In its state since then, or later.")] = None,
        older_than: Annotated[float | None, Query(ge=0, le=1e9, description="In its state for more seconds.")] = None,
        search: Annotated[str | None, Query(max_length=500, description="The thread's id begins so.")] = None,
        query: Annotated[str | None, Query(max_length=4_000, description="As Temporal's visibility takes it.")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
    ) -> ThreadPage:
        for name in state:
            if name not in get_args(ListedState):
                raise ProblemError(422, "not-taken", f"`state` is one of {', '.join(get_args(ListedState))}.")
        begin = _cursor(cursor, int)[0] if cursor is not None else 0
        if not 0 <= begin <= _MOST_LISTED:
            raise ProblemError(400, "bad-cursor", "Ask for the first page again, or narrow the search.")
        wanted = [f"WorkflowId STARTS_WITH {visibility_text(search)}"] if search else []
        wanted += [f"({query})"] if query and query.strip() else []
        filters: ThreadFilter = {
            "workflow_name": workflow,
            "state": cast(Sequence[ListedState], state) or None,
            "since": since,
            "older_than": None if older_than is None else timedelta(seconds=older_than),
            "tags": tag,
            "query": " AND ".join(wanted) or None,
            "limit": begin + limit + 1,
        }
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

    @router.get(_THREAD, summary="Where a thread stands")
    async def shown(thread_id: str) -> ThreadDetail:
        async def read() -> ThreadDetail:
            calls = await service.of_thread(thread_id)
            told = (await thread_status(service.client, calls.facts)).as_json()
            temporal = service.temporal(thread_id, calls.facts.run_id)
            return ThreadDetail.model_validate({**told, "known": calls.hosted is not None, "temporal": temporal})

        return await service.reads.read(("thread", thread_id), read)

    @router.get(
        _THREAD + "/events",
        summary="A thread's events, as they come",
        response_class=Response,
        responses={200: _EVENT},
    )
    async def events(
        thread_id: str,
        request: Request,
        after: Annotated[
            str | None, Query(max_length=8_000, description="As `Last-Event-ID`, which goes first.")
        ] = None,
        follow: Annotated[bool, Query(description="Go on when the thread rests, until the reader leaves.")] = False,
    ) -> Any:
        place = Place.parse(request.headers.get("Last-Event-ID") or after or "-1")
        if not service.streams.has_room:
            raise ProblemError(503, "too-many-streams", "There are as many event streams as this service keeps.")
        calls = await service.of_thread(thread_id)
        return _Streamed(EventStream(calls, place, service.streams, goes_on=follow))

    @router.get(_THREAD + "/timeline", summary="A thread's supersteps, newest first")
    async def supersteps(
        thread_id: str,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=500, description="`next` of the page before.")] = None,
        events: Annotated[bool, Query(description="With the events of each, as they were logged.")] = False,
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

    @router.get(_THREAD + "/usage", summary="What its latest run has called, and what that cost in tokens")
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


def _add_requests(router: APIRouter, service: Service) -> None:
    @router.get("/requests", summary="Every request that waits, of whatever thread")
    async def inbox(workflow: str | None = None, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> Requests:
        async def read() -> Requests:
            found: list[WaitingRequest] = []
            async for request in waiting_requests(service.client, workflow):
                found.append(WaitingRequest.of(request))
                if len(found) == limit:
                    break
            return Requests(requests=found)

        return await service.reads.read(("requests", workflow, limit), read)

    @router.get(_THREAD + "/requests", summary="What a thread waits for, with the JSON Schema of each response")
    async def requests(thread_id: str) -> Requests:
        async def read() -> Requests:
            found = await pending_of(await service.of_thread(thread_id))
            return Requests(requests=[WaitingRequest.of(request) for request in found])

        return await service.reads.read(("pending", thread_id), read)

    @router.post(_REQUEST + "/response", summary="Answer a request, with a verdict")
    async def respond(thread_id: str, request_id: str, new: NewResponse, request: Request) -> Verdict:
        calls = await service.of_thread(thread_id, writes=True)
        receipt = await answer(calls, request_id, new.response, new.responder or caller_of(request), early=new.early)
        service.reads.changed()
        verdict = Verdict(verdict="accepted", thread_id=thread_id, request_id=request_id)
        return verdict if receipt.queued else verdict.model_copy(update={"verdict": "early"})

    @router.post(_REQUEST + "/cancel", summary="Cancel a request that waits")
    async def cancel_one(thread_id: str, request_id: str, request: Request) -> Done:
        calls = await service.of_thread(thread_id, writes=True)
        await cancel_request(calls, request_id, caller_of(request))
        return Done(thread_id=thread_id, done="request cancelled")

    @router.post(_REQUEST + "/link", status_code=201, summary="Make a link that answers this one request")
    async def link(thread_id: str, request_id: str, new: NewLink, request: Request) -> Link:
        key = service.settings.link_key
        if key is None:
            text = (
                "This service makes no respond links: give `http_app` a `link_key`, the same in each of its processes."
            )
            raise ProblemError(501, "no-links", text)
        waiting = await pending_request(await service.of_thread(thread_id), request_id)
        expires_in = timedelta(seconds=new.expires_in_seconds)
        url = respond_link(
            service.base(request),
            key,
            thread_id,
            request_id,
            namespace=service.client.namespace,
            asked_at=waiting.asked_at,
            responder=new.responder,
            expires_in=expires_in,
        )
        expires = datetime.now().astimezone() + expires_in
        return Link(url=url, thread_id=thread_id, request_id=request_id, expires_at=expires)


def _add_steering(router: APIRouter, service: Service) -> None:
    @router.post(_THREAD + "/pause", status_code=202, summary="Hold a thread before its next superstep")
    async def pause(thread_id: str, new: NewPause, request: Request) -> Done:
        calls = await service.of_thread(thread_id, writes=True)
        await _steer(calls, PAUSE_SIGNAL, PauseSignal(reason=new.reason, responder=caller_of(request)))
        return Done(thread_id=thread_id, done="pausing")

    @router.post(_THREAD + "/continue", status_code=202, summary="Let a thread go on that is held")
    async def go_on(thread_id: str, request: Request) -> Done:
        calls = await service.of_thread(thread_id, writes=True)
        await _steer(calls, CONTINUE_SIGNAL, PauseSignal(responder=caller_of(request)))
        return Done(thread_id=thread_id, done="continuing")

    @router.post(_THREAD + "/breakpoints", status_code=202, summary="Pause before some executors")
    async def breakpoints(thread_id: str, new: NewBreakpoints) -> Done:
        calls = await service.of_thread(thread_id, writes=True)
        await _steer(calls, BREAKPOINTS_SIGNAL, BreakpointsSignal(executors=check_breakpoints(new.executors)))
        return Done(thread_id=thread_id, done="breakpoints set")


async def _steer(calls: ThreadCalls, name: str, argument: WireModel) -> None:
    await steer(calls.caller.client, calls.facts.thread_id, name, argument, calls.options)


class _Streamed(Response):
    """Hands the connection over to a stream."""

    def __init__(self, stream: EventStream) -> None:
        super().__init__()
        self._stream = stream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._stream(scope, receive, send)


def _message(message: Any) -> Any:
    if message is None:
        raise ProblemError(422, "message-refused", "A message is any JSON but null.")
    return message


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
        raise ProblemError(400, "bad-cursor", "This is no cursor: send the `next` of the page before as it came.")
    return found
