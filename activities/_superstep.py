"""The superstep activity: load the base checkpoint, run one superstep, return the next checkpoint and the events.

It may run more than once for a superstep (a lost worker, a failed attempt), but only one result is committed: the one
Temporal writes to history. An executor's own side effects should therefore be idempotent.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any, Literal, TypeVar

from agent_framework import Workflow, WorkflowCheckpoint, WorkflowInvocationKwargs
from temporalio import activity
from temporalio.client import Client

from ..adapter._client import framed_client
from ..adapter._errors import DurableWorkflowError, GraphChangedError, PayloadError
from ..adapter._frames import Frame, digest, pack, wants_keyframe
from ..adapter._framework import matches
from ..adapter._history import load_checkpoint, start_input
from ..adapter._hosting import HostedWorkflow, find, graph_differences
from ..adapter._pickling import dumps, loads
from ..adapter._records import RecordWriter, pending_requests
from ..adapter._types import type_key
from ..adapter._values import from_json_value
from ..workflows._messages import (
    SUPERSTEP_ACTIVITY,
    CheckpointFacts,
    EntryFacts,
    SuperstepFailure,
    SuperstepInput,
    SuperstepOutcome,
    SuperstepResult,
    Value,
)
from ._cache import CheckpointCache
from ._capture import GRAPH_METADATA, Capture, Captured, parts
from ._failures import to_application_error
from ._framework_run import FrameworkRun, RunArguments, SuperstepError, run_superstep
from ._unsaved_state import UnsavedState

_Outcome = TypeVar("_Outcome", bound=SuperstepOutcome)
MAX_RESULT_BYTES = 1_900_000
"""Temporal refuses a payload of 2 MB; the rest is for the envelope."""


class SuperstepActivity:
    """The activity and what it keeps between supersteps: hosted workflows and the checkpoint cache.

    Args:
        hosted: Hosted workflows by name; filled before the worker polls.
        cache: Raw checkpoints of recent supersteps.
    """

    def __init__(self, hosted: dict[str, HostedWorkflow], cache: CheckpointCache) -> None:
        self._hosted = hosted
        self._cache = cache
        self._unsaved = UnsavedState()

    @activity.defn(name=SUPERSTEP_ACTIVITY)
    async def superstep(self, step: SuperstepInput) -> SuperstepResult:
        """Run one superstep.

        Raises:
            ApplicationError: With a `SuperstepFailure` as its detail; not retryable where that could not help.
        """
        async with _heartbeats():
            try:
                hosted = find(self._hosted, step.workflow_name)
                return await self._run(hosted, step)
            except DurableWorkflowError as error:
                failure = SuperstepFailure(attempt=activity.info().attempt)
                raise to_application_error(
                    error, failure, executor_failed=False, attempt=1, max_attempts=step.max_attempts
                ) from error

    async def _run(self, hosted: HostedWorkflow, step: SuperstepInput) -> SuperstepResult:
        info = activity.info()
        client = framed_client(activity.client())  # The SDK hands out the client as it was given to the worker.
        base_raw = await self._base(client, step)
        base = _loads_checkpoint(base_raw, hosted, step)
        arguments = await self._arguments(client, hosted, step, base)
        if base is not None and step.discard_in_flight:
            base = dataclasses.replace(base, messages={})
        capture = Capture(hosted, base, run_id=info.workflow_run_id or "")
        async with hosted.acquire() as workflow:
            before = self._unsaved.snapshot(workflow)
            run = FrameworkRun()
            try:
                await run_superstep(hosted, workflow, step, arguments, base, capture, run)
            except SuperstepError as error:
                raise to_application_error(
                    error.error,
                    _failure(hosted, step, run, capture, base_raw),
                    executor_failed=run.executor_failed,
                    attempt=info.attempt,
                    max_attempts=step.max_attempts,
                ) from error.error
            self._unsaved.compare(workflow, before)
            executors = _targets(workflow, capture.last)
        result = _result(hosted, step, run, capture, base_raw, executors, _thread_id(info))
        if client.data_converter.external_storage is None:
            _guard_size(result, hosted, capture)
        last = capture.last
        if last is not None:
            self._cache.put(last.checkpoint_id, last.raw, replaces=step.base.checkpoint_id if step.base else None)
        return result

    async def _base(self, client: Client, step: SuperstepInput) -> bytes | None:
        if step.base is None:
            return None
        raw = self._cache.get(step.base.checkpoint_id)
        return raw if raw is not None else await load_checkpoint(client, step.base)

    async def _arguments(
        self, client: Client, hosted: HostedWorkflow, step: SuperstepInput, base: WorkflowCheckpoint | None
    ) -> RunArguments:
        """Decode what the caller gave; a message lies in the run's start event, not in this activity's input."""
        if step.mode == "message":
            info = activity.info()
            run_input = await start_input(client, _thread_id(info), info.workflow_run_id or "")
            message = run_input.message or Value()
            return RunArguments(
                message=_message(message, hosted),
                function_invocation_kwargs=_kwargs(run_input.function_invocation_kwargs),
                client_kwargs=_kwargs(run_input.client_kwargs),
            )
        pending = base.pending_request_info_events if base is not None else {}
        responses: dict[str, Any] = {}
        for answer in step.responses or []:
            event = pending.get(answer.request_id)
            declared = (event.response_type,) if event is not None else ()
            responses[answer.request_id] = from_json_value(answer.response, answer.type, declared, hosted.catalog)
        return RunArguments(
            responses=responses,
            function_invocation_kwargs=_kwargs(step.function_invocation_kwargs),
            client_kwargs=_kwargs(step.client_kwargs),
        )


def _thread_id(info: activity.Info) -> str:
    if info.workflow_id is None:
        raise PayloadError("The superstep activity runs for the generic workflow only.")
    return info.workflow_id


def _loads_checkpoint(raw: bytes | None, hosted: HostedWorkflow, step: SuperstepInput) -> WorkflowCheckpoint | None:
    """Decode the base checkpoint, and refuse one of another graph before anything runs."""
    if raw is None:
        return None
    checkpoint = loads(raw, hosted.catalog)
    if not isinstance(checkpoint, WorkflowCheckpoint):
        raise PayloadError(f"The base of this superstep is a {type(checkpoint).__name__}, not a checkpoint.")
    if checkpoint.graph_signature_hash != hosted.graph_hash:
        before = checkpoint.metadata.get(GRAPH_METADATA)
        changes = graph_differences(before, hosted.graph_signature) if isinstance(before, dict) else []
        raise GraphChangedError(
            f"Workflow {hosted.name!r} has changed since checkpoint {checkpoint.checkpoint_id!r} was made: "
            f"{'; '.join(changes) or 'its graph signature differs'}. Run this thread on a worker with the graph it was "
            "started with, or start a new thread."
        )
    return checkpoint


def _message(message: Value, hosted: HostedWorkflow) -> Any:
    """Build the message; a client without types leaves it to us to unwrap a one-element list."""
    declared = hosted.catalog.input_types
    value = from_json_value(message.value, message.type, declared, hosted.catalog)
    if isinstance(value, list) and len(value) == 1 and not any(matches(value, kind) for kind in declared):
        element = from_json_value(value[0], None, declared, hosted.catalog)
        if any(matches(element, kind) for kind in declared):
            return element
    return value


def _kwargs(value: Value | None) -> Any:
    if value is None:
        return None
    if value.type == type_key(WorkflowInvocationKwargs) and isinstance(value.value, dict):
        return WorkflowInvocationKwargs(
            global_kwargs=value.value.get("global_kwargs", {}), executor_kwargs=value.value.get("executor_kwargs", {})
        )
    return value.value


def _records(step: SuperstepInput, run: FrameworkRun) -> RecordWriter:
    writer = RecordWriter(offset=step.offset, attempt=activity.info().attempt)
    for event, superstep in run.events:
        writer.add(event, superstep)
    return writer


def _payloads(writer: RecordWriter, hosted: HostedWorkflow) -> bytes:
    if not writer.payloads:
        return b""
    try:
        return dumps(writer.payloads, hosted.catalog)
    except PayloadError as error:
        raise PayloadError(f"The data of an event cannot be stored: {error}") from error


def _failure(
    hosted: HostedWorkflow, step: SuperstepInput, run: FrameworkRun, capture: Capture, base_raw: bytes | None
) -> SuperstepFailure:
    writer = _records(step, run)
    failure = SuperstepFailure(
        events=writer.records,
        attempt=activity.info().attempt,
        rejected=run.rejected,
        in_flight=run.in_flight,
    )
    last = capture.last
    frame = Frame(checkpoint=last.raw if last else b"", payloads=_payloads(writer, hosted))
    return _with_frame(failure, frame, hosted, step, last, base_raw)


def _result(
    hosted: HostedWorkflow,
    step: SuperstepInput,
    run: FrameworkRun,
    capture: Capture,
    base_raw: bytes | None,
    executors: list[str],
    thread_id: str,
) -> SuperstepResult:
    writer = _records(step, run)
    state: Literal["running", "waiting", "idle"] = "running"
    if run.rejected and not run.events:
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


def _guard_size(result: SuperstepResult, hosted: HostedWorkflow, capture: Capture) -> None:
    """Refuse a result Temporal would refuse, while it can still be said which part is to blame."""
    size = len(result.frame) + len(result.model_dump_json())
    if size <= MAX_RESULT_BYTES:
        return
    culprit = "its events"
    last = capture.last
    if last is not None:
        checkpoint = loads(last.raw, hosted.catalog)
        sizes = [(len(dumps(value, hosted.catalog)), name) for name, value in parts(checkpoint)]
        if sizes:
            largest, name = max(sizes)
            culprit = f"{name} ({largest:,} bytes)"
    raise PayloadError(
        f"The result of superstep {last.superstep if last else '?'} of workflow {hosted.name!r} takes {size:,} bytes, "
        f"over the {MAX_RESULT_BYTES:,} that fit a Temporal payload; largest: {culprit}. Keep a reference in the state "
        "instead of the data, or configure external storage on the client's data converter."
    )


def _targets(workflow: Workflow, checkpoint: Captured | None) -> list[str]:
    """Return the executors the waiting messages may reach, for people to read: conditions are not evaluated here."""
    sources = set(checkpoint.sources) if checkpoint is not None else set()
    found = {
        edge.target_id: None for group in workflow.edge_groups for edge in group.edges if edge.source_id in sources
    }
    return [target for target in found if target in workflow.executors]


@contextlib.asynccontextmanager
async def _heartbeats() -> AsyncIterator[None]:
    """Heartbeat while the body runs: how a lost worker is noticed, and how a cancellation gets here."""
    timeout = activity.info().heartbeat_timeout
    interval = timeout.total_seconds() / 4 if timeout else 5.0

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(interval)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
