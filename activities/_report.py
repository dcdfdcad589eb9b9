"""What a superstep reports to the workflow: its event records and facts, and the frame with everything typed."""

from __future__ import annotations

from typing import Literal, TypeVar

from agent_framework import Workflow, WorkflowCheckpoint
from temporalio import activity

from ..adapter._errors import PayloadError
from ..adapter._frames import Frame, digest, pack, wants_keyframe
from ..adapter._hosting import HostedWorkflow
from ..adapter._pickling import dumps, loads
from ..adapter._records import RecordWriter, pending_requests
from ..workflows._messages import (
    CheckpointFacts,
    EntryFacts,
    SuperstepFailure,
    SuperstepInput,
    SuperstepOutcome,
    SuperstepResult,
)
from ._capture import Capture, Captured, captured, parts
from ._framework_run import FrameworkRun

_Outcome = TypeVar("_Outcome", bound=SuperstepOutcome)
MAX_RESULT_BYTES = 1_900_000
"""Temporal refuses a payload of 2 MB; the rest is for the envelope."""
MAX_PENDING_BYTES = 512 * 1024
"""Pending requests as plain JSON: a query answers with them, and a run that continues as new hands them on."""


def _payloads(writer: RecordWriter, hosted: HostedWorkflow) -> bytes:
    if not writer.payloads:
        return b""
    try:
        return dumps(writer.payloads, hosted.catalog)
    except PayloadError as error:
        raise PayloadError(f"The data of an event cannot be stored: {error}") from error


def failure_of(
    hosted: HostedWorkflow, step: SuperstepInput, run: FrameworkRun, capture: Capture, base_raw: bytes | None
) -> SuperstepFailure:
    writer = run.writer
    failure = SuperstepFailure(
        events=writer.records,
        attempt=activity.info().attempt,
        rejected=run.rejected,
        in_flight=run.in_flight,
    )
    last = capture.last
    frame = Frame(checkpoint=last.raw if last else b"", payloads=_payloads(writer, hosted))
    return _with_frame(failure, frame, hosted, step, last, base_raw)


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
    state: Literal["running", "waiting", "idle"] = "running"
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
        graph_hash=hosted.graph_hash,
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
        graph_hash=hosted.graph_hash,
    )
    return _with_frame(result, Frame(checkpoint=raw, payloads=b""), hosted, step, captured(checkpoint, raw), None)


def guard_size(result: SuperstepResult, hosted: HostedWorkflow, capture: Capture, *, stored_outside: bool) -> None:
    """Refuse a result Temporal would refuse, while it can still be said which part is to blame.

    Args:
        result: What is about to be returned.
        hosted: The hosted workflow.
        capture: Holds the checkpoint of the result.
        stored_outside: Whether external storage takes payloads that are too large.

    Raises:
        PayloadError: Naming the largest part.
    """
    pending = sum(len(request.model_dump_json()) for request in result.pending)
    if pending > MAX_PENDING_BYTES:
        largest = max(result.pending, key=lambda request: len(request.model_dump_json()))
        raise PayloadError(
            f"The pending requests of workflow {hosted.name!r} take {pending:,} bytes, over the {MAX_PENDING_BYTES:,} "
            f"that can be asked at once; largest: request {largest.request_id!r} of executor {largest.executor_id!r}. "
            "Ask with a reference to the data instead."
        )
    size = len(result.frame) + len(result.model_dump_json())
    if stored_outside or size <= MAX_RESULT_BYTES:
        return
    culprit = "its events"
    last = capture.last
    if last is not None:
        checkpoint = loads(last.raw, hosted.catalog)
        sizes = [(len(dumps(value, hosted.catalog)), name) for name, value in parts(checkpoint)]
        if sizes:
            largest_bytes, name = max(sizes)
            culprit = f"{name} ({largest_bytes:,} bytes)"
    raise PayloadError(
        f"The result of superstep {last.superstep if last else '?'} of workflow {hosted.name!r} takes {size:,} bytes, "
        f"over the {MAX_RESULT_BYTES:,} that fit a Temporal payload; largest: {culprit}. Keep a reference in the state "
        "instead of the data, or configure external storage on the client's data converter."
    )


def targets_of(workflow: Workflow, checkpoint: Captured | None) -> list[str]:
    """Return the executors the waiting messages may reach, for people to read: conditions are not evaluated here."""
    sources = set(checkpoint.sources) if checkpoint is not None else set()
    found = {
        edge.target_id: None for group in workflow.edge_groups for edge in group.edges if edge.source_id in sources
    }
    return [target for target in found if target in workflow.executors]
