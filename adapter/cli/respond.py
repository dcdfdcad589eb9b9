"""The command `respond`."""

from __future__ import annotations

import difflib
import getpass
import uuid
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from ...workflows.messages import PendingRequest, RespondReceipt
from ...workflows.requests.responses import UNKNOWN_REQUEST
from ..advice import Advice, Step, Way
from ..client.queries import ThreadQueries
from ..client.response_update import send_response
from ..client.thread_facts import WORKER_TIMEOUT, ThreadFacts, existing_thread
from ..commands.exit_codes import NotFoundError, RefusedError, UsageError
from ..errors import NoWorkerError
from ..temporal.client import has_worker
from ..temporal.server import rpc_errors
from .command import Session, Thread, Workflow
from .follow import follow
from .form import ask, is_skipped, show_request
from .lookup import Target, facade, read_json


async def respond(
    session: Session,
    thread: Thread,
    request_id: Annotated[
        str | None,
        typer.Argument(
            metavar="REQUEST", help="The pending request; may be omitted if there is only one.", show_default=False
        ),
    ] = None,
    *,
    data: Annotated[
        str | None,
        typer.Option(metavar="JSON|@FILE|-", help="The response; in a terminal you are asked for it if omitted."),
    ] = None,
    responder: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who answers, for the audit log; defaults to your login name.")
    ] = None,
    early: Annotated[
        bool, typer.Option("--early", help="If the request has not been asked yet, keep the response until it is.")
    ] = False,
    stream: Annotated[bool, typer.Option("--stream", "-s", help="Then show how the run continues.")] = False,
    workflow: Workflow = None,
) -> int:
    """Answer a pending request of a thread. Reports at once whether the response is accepted."""
    client = await session.client()
    facts = await existing_thread(client, thread)
    target = await facade(session, workflow=workflow, task_queue=None, thread=facts)
    checkpoint = target.durable.checkpoint(thread)
    if not facts.is_open:
        return await _late(session, target, facts, request_id, data)
    with rpc_errors(client, f"look for workers on task queue {facts.task_queue!r}"):
        polled = await has_worker(client, facts.task_queue)
    if not polled:
        raise NoWorkerError(
            Advice(
                f"No worker polls task queue {facts.task_queue!r}, and one has to take the answer. Start one: ",
                Step(Way.START_WORKER, facts.task_queue),
                ".",
            )
        )
    pending = {request.request_id: request for request in await target.durable.pending_requests(checkpoint)}
    request_id = request_id or _only(pending, thread)
    response = await _response(session, pending, request_id, data, thread, early=early)
    status = await ThreadQueries(client, facts.task_queue, WORKER_TIMEOUT).status(thread, facts.run_id)
    unknown = None if early or request_id in pending else _not_pending(thread, request_id, pending)
    if unknown is not None and status.state != "waiting":
        raise unknown
    receipt = await _send(client, facts, request_id, response, responder or login(), unknown)
    if not stream:
        session.output.json({"thread_id": thread, "queued": receipt.queued, "early": receipt.early})
        session.output.line(
            f"Accepted: {request_id}"
            if receipt.queued
            else f"Kept until {request_id!r} is asked: it is not pending now."
        )
        return 0
    return await follow(
        session,
        target,
        checkpoint,
        lambda: target.durable.run_stream(checkpoint=checkpoint, after=status.next_offset - 1),
        interactive=False,
    )


def _only(pending: dict[str, PendingRequest], thread: str) -> str:
    if len(pending) == 1:
        return next(iter(pending))
    if not pending:
        raise NotFoundError(f"Thread {thread!r} waits for no response.")
    raise UsageError(f"say which request, as there are {len(pending)}: {', '.join(list(pending)[:10])}")


def _not_pending(thread: str, request_id: str, pending: Mapping[str, PendingRequest]) -> NotFoundError:
    """Return the error of a request that is not there; most often its id is misspelt."""
    names = list(pending)
    close = difflib.get_close_matches(request_id, names, 1)
    if close:
        hint = f"Did you mean {close[0]!r}?"
    elif names:
        hint = f"It waits for {', '.join(names[:10])}{' and others' if len(names) > 10 else ''}."
    else:
        hint = "It waits for no response."
    return NotFoundError(
        f"Thread {thread!r} has no pending request {request_id!r}. {hint} To respond before it is asked, add --early."
    )


async def _response(
    session: Session,
    pending: Mapping[str, PendingRequest],
    request_id: str,
    data: str | None,
    thread: str,
    *,
    early: bool,
) -> Any:
    if data is not None:
        return read_json(data)
    request = pending.get(request_id)
    if request is None and not early:
        raise _not_pending(thread, request_id, pending)
    if request is None:
        raise UsageError("give the response with --data: there is no form for a request that has not been asked")
    if not session.output.is_terminal:
        raise UsageError("give the response with --data; you are asked for it in a terminal only")
    show_request(session.output, request)
    answer = await ask(session.output, request)
    if is_skipped(answer):
        raise UsageError("no response was given")
    return answer


async def _late(session: Session, target: Target, facts: ThreadFacts, request_id: str | None, data: str | None) -> int:
    """Answer from the last checkpoint of a run that is over, for instance as a deadline had passed."""
    if request_id is None or data is None:
        raise UsageError(f"the run of {facts.thread_id} is over: name the request, and give the response with --data")
    response = read_json(data)
    checkpoint = target.durable.checkpoint(facts.thread_id)
    try:
        return await follow(
            session,
            target,
            checkpoint,
            lambda: target.durable.run_stream(responses={request_id: response}, checkpoint=checkpoint),
            interactive=False,
        )
    except (ValueError, RuntimeError) as error:
        if str(error).startswith(UNKNOWN_REQUEST):
            raise NotFoundError(f"Thread {facts.thread_id!r} has no pending request {request_id!r}.") from error
        raise RefusedError(*error.args) from error


async def _send(
    client: Client,
    facts: ThreadFacts,
    request_id: str,
    response: Any,
    responder: str | None,
    unknown: NotFoundError | None,
) -> RespondReceipt:
    # A call that is named is refused where its request is not pending. The workflow knows what was answered already.
    call_id = uuid.uuid4().hex if unknown is not None else None
    try:
        return await send_response(client, facts.thread_id, request_id, response, responder, call_id=call_id)
    except WorkflowUpdateFailedError as error:
        refused = rejection(error)
        raise (unknown if unknown is not None and str(refused).startswith(UNKNOWN_REQUEST) else refused) from error


def rejection(error: WorkflowUpdateFailedError) -> RefusedError:
    """Return the error of an update that was rejected, in the workflow's words."""
    cause = error.cause
    return RefusedError(cause.message if isinstance(cause, ApplicationError) else str(cause))


def login() -> str | None:
    """Return the name of whoever is logged in here; None where there is none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None
