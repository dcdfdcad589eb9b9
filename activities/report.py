"""What a superstep reports to the workflow: its logged events and facts, and the frame with everything typed."""

from __future__ import annotations

import contextlib
from typing import TypeVar

from agent_framework import Workflow, WorkflowCheckpoint
from pydantic_core import to_json
from temporalio import activity

from ..adapter.checkpoints.frames import Frame, digest, packed, wants_keyframe
from ..adapter.checkpoints.logged_events import EventWriter, fitting_text, pending_of
from ..adapter.errors import PayloadError
from ..adapter.framework.definition import WorkflowDefinition
from ..adapter.temporal.converter import MAX_PAYLOAD_BYTES
from ..workflows.messages import (
    CheckpointFacts,
    RunStartFacts,
    SuperstepFailure,
    SuperstepInput,
    SuperstepOutcome,
    SuperstepResult,
    SuperstepState,
    json_bytes,
)
from ..workflows.requests.pending import packed as packed_requests
from .capturing_storage import Captured, CapturingStorage, captured
from .framework_run import FrameworkRun
from .heartbeat import Beat
from .journal.journal import Journal
from .journal.tally import calls_of
from .limits import MAX_FAILURE_BYTES, MAX_JOURNAL_BYTES, MAX_STORED_FAILURE_BYTES, smaller_failures
from .passed import MOST

_Outcome = TypeVar("_Outcome", bound=SuperstepOutcome)


def _readable(writer: EventWriter) -> bytes:
    return to_json(writer.readable) if writer.readable else b""


def payloads_of(writer: EventWriter, hosted: WorkflowDefinition) -> bytes:
    """Return the typed data of a superstep's events as it is stored.

    Raises:
        PayloadError: When some of it cannot be.
    """
    try:
        return writer.encoded(hosted.catalog)
    except PayloadError as error:
        raise PayloadError(f"The data of an event cannot be stored: {error}") from error


async def reported_failure(
    hosted: WorkflowDefinition,
    step: SuperstepInput,
    run: FrameworkRun,
    capture: CapturingStorage,
    base_raw: bytes | None,
    journal: Journal | None,
    *,
    stored_outside: bool,
) -> SuperstepFailure:
    """Return what a failed superstep reports: its events, its journal, and what it had entered with if there is room.

    Of the journal the newest entries stay where not all have room; two thirds of the room are theirs.
    """
    writer = run.writer
    failure = SuperstepFailure(
        answers=step.superstep_id,
        events=writer.records,
        attempt=activity.info().attempt,
        rejected={name: fitting_text(why) for name, why in run.rejected.items()},
        in_flight=run.in_flight,
    )
    payloads: bytes | None = None
    with contextlib.suppress(PayloadError):  # What failed first is what counts.
        payloads = payloads_of(writer, hosted)
    limit = MAX_FAILURE_BYTES if not stored_outside else MAX_STORED_FAILURE_BYTES
    if hosted.is_functional:
        capture.keep_passed(0)  # What has finished is in the last, and in the journal.
    if journal is not None:
        failure.calls = calls_of(journal.tally)
        _leave_journal(failure, journal.whole(limit * 2 // 3))
        limit -= len(failure.journal)
    for typed, stored in smaller_failures(failure):
        if typed and payloads is None:
            continue
        last = capture.last if stored else None
        frame = Frame(
            checkpoint=last.raw if last else b"",
            payloads=payloads if typed and payloads is not None else b"",
            readable=_readable(writer) if typed else b"",
        )
        failure.checkpoint = None
        await _with_frame(failure, frame, hosted, step, last, base_raw)
        if len(failure.frame) + json_bytes(failure) <= limit:
            break
    return failure


def bare_failure(step: SuperstepInput, beat: Beat | None) -> SuperstepFailure:
    """Return the failure of an attempt that ends outside of the framework's run, with what it leaves."""
    failure = SuperstepFailure(answers=step.superstep_id, attempt=activity.info().attempt)
    if beat is not None:
        failure.calls = beat.calls
        _leave_journal(failure, beat.journal(MAX_FAILURE_BYTES // 2))
    return failure


def _leave_journal(failure: SuperstepFailure, journal: bytes) -> None:
    """Let a failure carry a journal, with which the superstep begins when it is retried."""
    failure.with_journal(journal)
    failure.journalled = bool(journal) or None


def keep_journal(result: SuperstepResult, journal: Journal) -> None:
    """Let a result carry the journal of its superstep, as far as there is room beside what has to be there."""
    room = MAX_PAYLOAD_BYTES * 9 // 10 - len(result.frame) - json_bytes(result)
    result.with_journal(journal.newest(min(room, MAX_JOURNAL_BYTES)))


async def result_of(
    hosted: WorkflowDefinition,
    step: SuperstepInput,
    run: FrameworkRun,
    capture: CapturingStorage,
    base_raw: bytes | None,
    executors: list[str],
    thread_id: str,
    payloads: bytes,
    *,
    readable: bool = True,
) -> SuperstepResult:
    """Return what a superstep reports.

    Args:
        hosted: The hosted workflow.
        step: The superstep.
        run: What the framework told of it.
        capture: Holds its checkpoints.
        base_raw: The checkpoint it began from.
        executors: Whom its messages may reach.
        thread_id: Temporal workflow id.
        payloads: The events' typed data.
        readable: Whether data too large for its record is in the frame as JSON too, for readers without types.
    """
    writer = run.writer
    if not readable:
        writer.forget_readable()
    state: SuperstepState = "running"
    if run.rejected and capture.last is None:
        state = "waiting"
    elif run.finished:
        state = "waiting" if run.pending else "idle"
    keep = writer.add_readable if readable else None
    pending, schemas = packed_requests(pending_of(run.pending, thread_id, hosted.catalog, keep))
    result = SuperstepResult(
        answers=step.superstep_id,
        state=state,
        events=writer.records,
        attempt=activity.info().attempt,
        pending=pending,
        schemas=schemas,
        rejected={name: fitting_text(why) for name, why in run.rejected.items()},
        next_executors=executors,
    )
    last = capture.last
    if last is None and not (payloads or writer.readable):
        return result
    capture.keep_passed(MOST)
    last, passed = capture.last, capture.passed
    entry = capture.saved[-2] if len(capture.saved) > 1 else None
    result.between = passed.facts
    if entry is not None:
        result.entry = RunStartFacts(
            checkpoint_id=entry.checkpoint_id,
            previous_checkpoint_id=entry.previous_checkpoint_id,
            superstep=entry.superstep,
            digest=digest(entry.raw),
            size_bytes=len(entry.raw),
            timestamp=entry.timestamp,
        )
    frame = Frame(
        checkpoint=last.raw if last else b"",
        payloads=payloads,
        entry=entry.raw if entry else b"",
        readable=_readable(writer),
        between=tuple(passed.patches),
    )
    return await _with_frame(result, frame, hosted, step, last, base_raw)


async def _with_frame(
    outcome: _Outcome,
    frame: Frame,
    hosted: WorkflowDefinition,
    step: SuperstepInput,
    last: Captured | None,
    base_raw: bytes | None,
) -> _Outcome:
    """Attach a frame, and the facts of the checkpoint in it."""
    keyframe = (
        step.keyframe
        or last is None
        or base_raw is None
        or wants_keyframe(step.chain_length, step.chain_bytes, len(base_raw))
    )
    data, is_patch = await packed(frame, None if keyframe else base_raw)
    if last is not None:
        outcome.checkpoint = CheckpointFacts(
            checkpoint_id=last.checkpoint_id,
            previous_checkpoint_id=last.previous_checkpoint_id,
            base_checkpoint_id=step.base.checkpoint_id if is_patch and step.base else None,
            superstep=last.superstep,
            digest=digest(last.raw),
            size_bytes=len(last.raw),
            frame_bytes=len(data),
            graph_hash=hosted.graph_hash,
            timestamp=last.timestamp,
        )
    outcome.with_frame(data)
    return outcome


async def stored_of(
    hosted: WorkflowDefinition, step: SuperstepInput, checkpoint: WorkflowCheckpoint, raw: bytes, thread_id: str
) -> SuperstepResult:
    """Return the result of a step that runs nothing and stores its base whole."""
    readable = EventWriter(offset=0, attempt=1)
    asked = checkpoint.pending_request_info_events.values()
    pending, schemas = packed_requests(pending_of(asked, thread_id, hosted.catalog, readable.add_readable))
    result = SuperstepResult(
        answers=step.superstep_id,
        state="running" if checkpoint.messages else "waiting" if pending else "idle",
        attempt=activity.info().attempt,
        pending=pending,
        schemas=schemas,
    )
    frame = Frame(checkpoint=raw, payloads=b"", readable=_readable(readable))
    return await _with_frame(result, frame, hosted, step, captured(checkpoint, raw), None)


def targets_of(workflow: Workflow, checkpoint: Captured | None) -> list[str]:
    """Return the executors the waiting messages may reach, for people to read: conditions are not evaluated here."""
    sources = set(checkpoint.sources) if checkpoint is not None else set()
    found = {
        edge.target_id: None for group in workflow.edge_groups for edge in group.edges if edge.source_id in sources
    }
    return [target for target in found if target in workflow.executors]
