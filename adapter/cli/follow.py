"""Follows one call of the facade to its end, and the next ones where a person answers in between."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent_framework import ResponseStream, WorkflowEvent, WorkflowRunResult, WorkflowRunState

from ...workflows.messages import PendingRequest
from ..checkpoints.handle import Checkpoint
from ..checkpoints.outline import outline
from ..client.event_json import result_json
from ..client.held_checkpoint import raw_checkpoint
from ..client.usage import RunUsage
from ..errors import DurableWorkflowError, HistoryReadOnlyError, NoWorkerError, ThreadPausedError
from .advice import error_text
from .command import PROGRAM, Session
from .form import ask_all
from .lookup import Target
from .outputs import output_blocks
from .text import usage_facts
from .views import RunView


async def follow(
    session: Session,
    target: Target,
    checkpoint: Checkpoint,
    begin: Callable[[], ResponseStream[WorkflowEvent, WorkflowRunResult]],
    *,
    interactive: bool,
) -> int:
    """Show a call's events and its result; returns the exit code.

    Args:
        session: The call of the command.
        target: The thread's facade.
        checkpoint: The thread's handle.
        begin: Makes the stream.
        interactive: Ask for answers and give them, as long as there are requests.
    """
    output = session.output
    answers: Mapping[str, Any] = {}
    while True:
        try:
            with RunView(output, checkpoint, target.executor_ids) as view:
                stream = begin()
                async for event in stream:
                    view.show(event)
                result = await stream.get_final_response()
                waits = result.get_final_state() == WorkflowRunState.IDLE_WITH_PENDING_REQUESTS
                pending, unanswered = await _pending(session, target, checkpoint) if waits else ([], None)
                view.model.settle({request.request_id for request in pending})
        except asyncio.CancelledError:
            if checkpoint.run_id is not None:
                again = session.again("stream", checkpoint.thread_id, options=["--after", str(checkpoint.offset)])
                sys.stderr.write(f"{PROGRAM}: left; the run continues. Follow it: {again}\n")
            raise
        if not (interactive and output.is_terminal and pending):
            break
        answers = await ask_all(output, pending)
        if not answers:
            break
        begin = _answering(target, checkpoint, answers)
    _report(session, result, checkpoint, pending, await _usage(target, checkpoint))
    if unanswered is not None:
        raise unanswered
    return 0


async def _usage(target: Target, checkpoint: Checkpoint) -> RunUsage | None:
    try:
        return await target.durable.usage(checkpoint)
    except DurableWorkflowError:  # The result is there, and counts.
        return None


async def _pending(
    session: Session, target: Target, checkpoint: Checkpoint
) -> tuple[list[PendingRequest], NoWorkerError | None]:
    """Return what waits for an answer, and what keeps its worker from telling.

    Where no worker tells, the last checkpoint does: events say what was asked, and not what was answered since.
    """
    unanswered: NoWorkerError | None = None
    try:
        return await target.durable.pending_requests(checkpoint), None
    except ThreadPausedError as error:  # It was followed all the same, and shows what is asked.
        session.output.wrapped(error_text(session, error))
    except HistoryReadOnlyError:  # So it was in the file it is read from.
        pass
    except NoWorkerError as error:
        unanswered = error
    try:
        if checkpoint.checkpoint_id is None:
            return [], unanswered
        raw = await raw_checkpoint(await session.client(), checkpoint.checkpoint_id, checkpoint.thread_id)
        waiting: Mapping[str, Any] = (await outline(raw))["pending_requests"]
    except DurableWorkflowError:  # The events are there, and count.
        return [], unanswered
    return [_recorded(request_id, asked) for request_id, asked in waiting.items()], unanswered


def _recorded(request_id: str, asked: Mapping[str, Any]) -> PendingRequest:
    return PendingRequest(
        request_id=request_id,
        executor_id=str(asked.get("executor_id") or ""),
        asked_at="",
        request=asked.get("request"),
        request_type="",
        response_type=str(asked.get("response_type") or ""),
    )


def _answering(
    target: Target, checkpoint: Checkpoint, answers: Mapping[str, Any]
) -> Callable[[], ResponseStream[WorkflowEvent, WorkflowRunResult]]:
    return lambda: target.durable.run_stream(responses=answers, checkpoint=checkpoint)


def _report(
    session: Session,
    result: WorkflowRunResult,
    checkpoint: Checkpoint,
    pending: Sequence[PendingRequest],
    usage: RunUsage | None,
) -> None:
    output = session.output
    output.json(result_json(result, checkpoint, pending, usage), line=True)
    for text in output_blocks(result):
        output.heading("output")
        output.quoted(text)
    output.console.print()
    output.facts([("thread", checkpoint.thread_id), ("checkpoint", checkpoint.checkpoint_id or "")])
    output.facts(usage_facts(usage))
    for request in pending if session.is_live else ():
        output.facts([("answer with", session.again("respond", checkpoint.thread_id, request.request_id))])
