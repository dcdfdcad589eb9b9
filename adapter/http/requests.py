"""What a thread waits for, and the answers to it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError

from ...workflows.messages import PendingRequest, RespondReceipt, SuperstepResult
from ...workflows.requests.pending import unpack
from ..checkpoints.history import run_outcomes
from ..client.response_update import cancel_requests, send_response
from ..client.thread_facts import existing_thread
from ..client.thread_status import thread_has_worker
from ..errors import DurableWorkflowError, NoWorkerError, ThreadNotFoundError
from ..temporal.server import rpc_errors
from .hosted import ThreadCalls
from .problems import ProblemError
from .settings import WORKER_WAIT

_OVER = "AcceptedUpdateCompletedWorkflow"


async def pending_of(calls: ThreadCalls) -> list[PendingRequest]:
    """Return what a thread waits for; by its history, where no worker answers."""
    facts = calls.facts
    if not facts.is_open:
        return []
    try:
        if facts.paused is None and await thread_has_worker(calls.caller.client, facts):
            return await calls.caller.queries.pending_requests(facts.thread_id)
    except NoWorkerError:
        pass
    client = calls.caller.client
    with rpc_errors(client, f"read the history of thread {facts.thread_id!r}", facts.thread_id):
        async for outcome in run_outcomes(client, facts.thread_id, facts.run_id):
            if isinstance(outcome, SuperstepResult):
                unpack(outcome.pending, outcome.schemas, thread_id=facts.thread_id, workflow_name=facts.workflow_name)
                return outcome.pending
    return []


async def pending_request(calls: ThreadCalls, request_id: str) -> PendingRequest:
    """Return one request that waits.

    Raises:
        ProblemError: When it does not wait (any more).
    """
    for request in await pending_of(calls):
        if request.request_id == request_id:
            return request
    text = f"Thread {calls.facts.thread_id!r} does not wait for a response to {request_id[:200]!r}, or no longer does."
    raise ProblemError(404, "request-not-pending", f"{text} See its requests for what it waits for.")


async def answer(
    calls: ThreadCalls,
    request_id: str,
    response: Any,
    responder: str | None,
    *,
    early: bool = False,
    once: bool = False,
) -> RespondReceipt:
    """Answer a request, with a verdict.

    Args:
        calls: The thread.
        request_id: The request.
        response: JSON data.
        responder: Who answers.
        early: Whether it may be kept for a request that is not asked yet.
        once: Whether it must never be kept, also where another answer comes at that moment.

    Raises:
        ProblemError: When it is rejected, saying why.
        NoWorkerError: When no worker takes it.
    """
    facts = calls.facts
    if not facts.is_open:
        if not once:
            return await _late(calls, request_id, response)
        raise ProblemError(
            409, "not-now", f"Thread {facts.thread_id!r} has ended and does not accept responses.", verdict="rejected"
        )
    await _need_worker(calls)
    if not early:
        await pending_request(calls, request_id)
    try:
        return await send_response(
            calls.caller.client,
            facts.thread_id,
            request_id,
            response,
            responder,
            call_id=uuid.uuid4().hex if once else None,
            within=WORKER_WAIT,
        )
    except WorkflowUpdateFailedError as error:
        raise _rejected(calls, error) from error
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        raise _not_taken(calls) from error
    except ThreadNotFoundError as error:
        raise await _gone_on(calls) from error


async def cancel_request(calls: ThreadCalls, request_id: str, responder: str | None) -> RespondReceipt:
    """Cancel a request that waits.

    Raises:
        ProblemError: When there is nothing to cancel.
        NoWorkerError: When no worker takes it.
    """
    await _need_worker(calls)
    await pending_request(calls, request_id)
    try:
        return await cancel_requests(
            calls.caller.client, calls.facts.thread_id, [request_id], responder, within=WORKER_WAIT
        )
    except WorkflowUpdateFailedError as error:
        raise _rejected(calls, error) from error
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        raise _not_taken(calls) from error
    except ThreadNotFoundError as error:
        raise await _gone_on(calls) from error


async def _need_worker(calls: ThreadCalls) -> None:
    if calls.facts.paused is None and not await thread_has_worker(calls.caller.client, calls.facts):
        raise NoWorkerError(
            f"No worker polls task queue {calls.facts.task_queue!r}, and one has to accept the response. Start a "
            "worker, and send the response again."
        )


async def _late(calls: ThreadCalls, request_id: str, response: Any) -> RespondReceipt:
    """Answer from the last checkpoint of a run that is over, for instance as a deadline had passed."""
    try:
        await calls.start(responses={request_id: response})
    except DurableWorkflowError:
        raise
    except (ValueError, RuntimeError) as error:
        raise ProblemError(422, "response-rejected", str(error), errors=[str(error)], verdict="rejected") from error
    return RespondReceipt(queued=[request_id])


async def _gone_on(calls: ThreadCalls) -> Exception:
    """Return what is told where the run is not there any more that was there a moment ago."""
    await existing_thread(calls.caller.client, calls.facts.thread_id)
    return _over(calls)


def _over(calls: ThreadCalls) -> ProblemError:
    text = f"Thread {calls.facts.thread_id!r} has advanced while this was being sent, for instance by another answer: nothing"
    return ProblemError(409, "not-now", f"{text} was done. Check again what it waits for.", verdict="rejected")


def _rejected(calls: ThreadCalls, error: WorkflowUpdateFailedError) -> Exception:
    cause = error.cause
    if not isinstance(cause, ApplicationError):
        return DurableWorkflowError(str(cause))
    if cause.type == _OVER:
        return _over(calls)
    detail = cause.details[0] if cause.details else None
    places = detail.get("errors", ()) if isinstance(detail, Mapping) else ()
    text = cause.message or "The response does not fit."
    return ProblemError(422, "response-rejected", text, errors=[str(place) for place in places], verdict="rejected")


def _not_taken(calls: ThreadCalls) -> NoWorkerError:
    return NoWorkerError(
        f"No worker on task queue {calls.facts.task_queue!r} reported in time whether the response was accepted. It "
        "may still be: check what the thread waits for before you send it again."
    )
