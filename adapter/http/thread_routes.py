"""Routes of threads: what begins one, writes to it, and shows where it stands."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from ...workflows.messages import (
    BREAKPOINTS_SIGNAL,
    CONTINUE_SIGNAL,
    PAUSE_SIGNAL,
    WITHDRAW_SIGNAL,
    BreakpointsSignal,
    PauseSignal,
    WireModel,
    WithdrawSignal,
)
from ..checkpoints.thread import read_standing
from ..client.options import check_breakpoints
from ..client.steering import steer
from ..client.thread_facts import find_thread
from ..client.waiting_requests import waiting_requests
from ..errors import MessageRefusedError, ThreadExistsError
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
    ThreadRef,
    Verdict,
)
from .models import Request as WaitingRequest
from .problems import ProblemError
from .requests import answer, cancel_request, pending_of, pending_request
from .service import Service, caller_of

_THREAD = "/threads/{thread_id:part}"
_REQUEST = _THREAD + "/requests/{request_id:part}"


def thread_routes(service: Service) -> APIRouter:
    """Return the routes.

    Args:
        service: What they share.
    """
    router = APIRouter(tags=["threads"])
    _add_writing(router, service)
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
                f"Thread {new.thread_id!r} has already started. Send it a message: POST .../threads/ID/messages."
            )
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

    @router.post(_THREAD + "/messages/{message_id:part}/withdraw", summary="Withdraw a message from the queue")
    async def withdraw(thread_id: str, message_id: str, request: Request) -> Done:
        calls = await service.of_thread(thread_id, writes=True)
        order = WithdrawSignal(message_id=message_id, responder=caller_of(request))
        try:
            await _steer(calls, WITHDRAW_SIGNAL, order)
        except MessageRefusedError as error:
            raise ProblemError(404, "message-not-queued", str(error)) from error
        return Done(thread_id=thread_id, done="message withdrawn")

    @router.post(_THREAD + "/cancel", status_code=202, summary="Cancel what runs")
    async def cancel(thread_id: str) -> Done:
        calls = await service.of_thread(thread_id, writes=True)
        await calls.caller.queries.cancel(thread_id)
        return Done(thread_id=thread_id, done="cancelling")

    @router.post(_THREAD + "/retry", status_code=202, summary="Retry what a paused run failed at")
    async def retry(thread_id: str) -> Done:
        calls = await service.of_thread(thread_id, writes=True)
        await calls.caller.queries.retry(thread_id)
        return Done(thread_id=thread_id, done="retrying")

    @router.post(_THREAD + "/resume", status_code=202, summary="Continue what failed, was ended or is paused")
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
            409, "nothing-to-resume", f"Thread {facts.thread_id!r} is idle: its last run succeeded. Send it a message."
        )
    calls.handle.offset = standing.next_offset - 1
    await calls.start()
    return "resuming"


def _add_requests(router: APIRouter, service: Service) -> None:
    @router.get("/requests", summary="Every waiting request, of all threads")
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

    @router.post(_REQUEST + "/response", summary="Answer a request, and report whether the response was accepted")
    async def respond(thread_id: str, request_id: str, new: NewResponse, request: Request) -> Verdict:
        calls = await service.of_thread(thread_id, writes=True)
        receipt = await answer(calls, request_id, new.response, new.responder or caller_of(request), early=new.early)
        verdict = Verdict(verdict="accepted", thread_id=thread_id, request_id=request_id)
        return verdict if receipt.queued else verdict.model_copy(update={"verdict": "early"})

    @router.post(_REQUEST + "/cancel", summary="Cancel a request that waits")
    async def cancel_one(thread_id: str, request_id: str, request: Request) -> Done:
        calls = await service.of_thread(thread_id, writes=True)
        await cancel_request(calls, request_id, caller_of(request))
        return Done(thread_id=thread_id, done="request cancelled")

    @router.post(_REQUEST + "/link", status_code=201, summary="Create a link that answers this request only")
    async def link(thread_id: str, request_id: str, new: NewLink, request: Request) -> Link:
        key = service.settings.link_key
        if key is None:
            text = (
                "This service does not create respond links: pass a `link_key` to `http_app`, the same in each of "
                "its processes."
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
    @router.post(_THREAD + "/pause", status_code=202, summary="Pause a thread before its next superstep")
    async def pause(thread_id: str, new: NewPause, request: Request) -> Done:
        calls = await service.of_thread(thread_id, writes=True)
        await _steer(calls, PAUSE_SIGNAL, PauseSignal(reason=new.reason, responder=caller_of(request)))
        return Done(thread_id=thread_id, done="pausing")

    @router.post(_THREAD + "/continue", status_code=202, summary="Let a paused thread continue")
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


def _message(message: Any) -> Any:
    if message is None:
        raise ProblemError(422, "message-refused", "A message is any JSON except null.")
    return message
