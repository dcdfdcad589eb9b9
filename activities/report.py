"""What a superstep reports to the workflow: its event records and facts, and the frame with everything typed."""

from __future__ import annotations

from typing import TypeVar

from agent_framework import Workflow, WorkflowCheckpoint
from temporalio import activity

from ..adapter.checkpoints.frames import Frame, digest, pack, wants_keyframe
from ..adapter.checkpoints.pickling import dumps
from ..adapter.checkpoints.records import RecordWriter, pending_requests
from ..adapter.errors import PayloadError
from ..adapter.framework.definition import HostedWorkflow
from ..workflows.messages import (
    CheckpointFacts,
    EntryFacts,
    StepState,
    SuperstepFailure,
    SuperstepInput,
    SuperstepOutcome,
    SuperstepResult,
    json_bytes,
)
from .capture import Capture, Captured, captured
from .framework_run import FrameworkRun
from .limits import MAX_FAILURE_BYTES, MAX_STORED_FAILURE_BYTES, smaller_failures

_Outcome = TypeVar("_Outcome", bound=SuperstepOutcome)


def _payloads(writer: RecordWriter, hosted: HostedWorkflow) -> bytes:
    if not writer.payloads:
        return b""
    try:
        return dumps(writer.payloads, hosted.catalog)
    except PayloadError as error:
        raise PayloadError(f"The data of an event cannot be stored: {error}") from error


def failure_of(
    hosted: HostedWorkflow,
    step: SuperstepInput,
    run: FrameworkRun,
    capture: Capture,
    base_raw: bytes | None,
    *,
    stored_outside: bool,
) -> SuperstepFailure:
    writer = run.writer
    failure = SuperstepFailure(
        events=writer.records,
        attempt=activity.info().attempt,
        rejected=run.rejected,
        in_flight=run.in_flight,
    )
    payloads = _payloads(writer, hosted)
    limit = MAX_FAILURE_BYTES if not stored_outside else MAX_STORED_FAILURE_BYTES
    for typed, stored in smaller_failures(failure):
        last = capture.last if stored else None
        frame = Frame(checkpoint=last.raw if last else b"", payloads=payloads if typed else b"")
        failure.checkpoint = None
        _with_frame(failure, frame, hosted, step, last, base_raw)
        if len(failure.frame) + json_bytes(failure) <= limit:
            break
    return failure


def result_of(
    hosted: HostedWorkflow,
    step: SuperstepInput,
    run: FrameworkRun,
    capture: Capture,
    base_raw: bytes | None,
    executors: list[str],
    thread_id: str,
) -> SuperstepResult:
    writer = run.writer
    state: StepState = "running"
    if run.rejected and capture.last is None:
        state = "waiting"
    elif run.finished:
        state = "waiting" if run.pending else "idle"
    result = SuperstepResult(
        state=state,
        events=writer.records,
        attempt=activity.info().attempt,
        pending=pending_requests(run.pending, thread_id),
        rejected=run.rejected,
        next_executors=executors,
    )
    last = capture.last
    if last is None:
        return result
    entry = capture.saved[-2] if len(capture.saved) > 1 else None
    if entry is not None:
        result.entry = EntryFacts(
            checkpoint_id=entry.checkpoint_id,
            previous_checkpoint_id=entry.previous_checkpoint_id,
            superstep=entry.superstep,
            digest=digest(entry.raw),
            size_bytes=len(entry.raw),
            timestamp=entry.timestamp,
        )
    frame = Frame(checkpoint=last.raw, payloads=_payloads(writer, hosted), entry=entry.raw if entry else b"")
    return _with_frame(result, frame, hosted, step, last, base_raw)


def _with_frame(
    outcome: _Outcome,
    frame: Frame,
    hosted: HostedWorkflow,
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
    data, is_patch = pack(frame, None if keyframe else base_raw)
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


def stored_of(
    hosted: HostedWorkflow, step: SuperstepInput, checkpoint: WorkflowCheckpoint, raw: bytes, thread_id: str
) -> SuperstepResult:
    """Return the result of a step that runs nothing and stores its base whole."""
    result = SuperstepResult(
        state="waiting",
        attempt=activity.info().attempt,
        pending=pending_requests(checkpoint.pending_request_info_events.values(), thread_id),
    )
    return _with_frame(result, Frame(checkpoint=raw, payloads=b""), hosted, step, captured(checkpoint, raw), None)


def targets_of(workflow: Workflow, checkpoint: Captured | None) -> list[str]:
    """Return the executors the waiting messages may reach, for people to read: conditions are not evaluated here."""
    sources = set(checkpoint.sources) if checkpoint is not None else set()
    found = {
        edge.target_id: None for group in workflow.edge_groups for edge in group.edges if edge.source_id in sources
    }
    return [target for target in found if target in workflow.executors]
