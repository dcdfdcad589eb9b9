"""Reading a thread's Temporal history: superstep results forward for readers, checkpoints backward for restores.

The outcome of a superstep counts only where it answers the superstep that was scheduled, as the workflow has it too: it
refuses what nobody with a key has sealed for that place, and runs the superstep again. So do readers here: what is
refused was not committed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, Field, ValidationError
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client
from temporalio.converter import ActivitySerializationContext, SerializationContext, WorkflowSerializationContext
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.messages import (
    REFUSED_FAILURE,
    REFUSED_SUMMARY,
    SUPERSTEP_ACTIVITY,
    WORKFLOW_TYPE,
    BetweenFacts,
    Calls,
    CheckpointFacts,
    CheckpointRef,
    EditFacts,
    Framed,
    RunFailure,
    RunInput,
    RunResult,
    RunStartFacts,
    SuperstepFailure,
    SuperstepResult,
    Versioned,
    WireModel,
)
from ...workflows.usage import add_calls
from ..advice import Advice, Step, Way
from ..encoding.off_loop import off_loop
from ..errors import (
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    DurableWorkflowError,
    NotSealedError,
)
from ..lru import BoundedCache
from ..temporal.server import each, retried
from .frames import Frame, digest, unpacked

_LOGGER = logging.getLogger("agent_framework_temporal")
_REVERSE_PAGE = 200
_MAX_WARNED = 1_000
_warned: BoundedCache[tuple[str, str, str], bool] = BoundedCache(_MAX_WARNED)


class HistoryGoneError(CheckpointNotFoundError):
    """The history that is to be read is past its retention, was deleted, or never was."""


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One frame as it lies in history."""

    facts: CheckpointFacts
    data: bytes
    entry: RunStartFacts | None = None
    kind: Literal["entry", "superstep", "edit"] = "superstep"
    """What the checkpoint is; an entry only where its superstep failed, and so has none."""
    state: str = "running"
    """As of `CheckpointInfo`."""
    between: Sequence[BetweenFacts] = ()
    """Checkpoints before the last, oldest first."""
    edited: EditFacts | None = None
    """Of an edit: who made it, and when."""

    @property
    def digests(self) -> dict[str, str]:
        """Digests of all its checkpoints by id, oldest first."""
        entry = () if self.entry is None else (self.entry,)
        return {found.checkpoint_id: found.digest for found in (*entry, *self.between, self.facts)}


@dataclass(frozen=True, slots=True)
class RunBase:
    """What a run began from."""

    base: CheckpointRef | None
    copy: StoredFrame | None = None
    """The base itself, where the run's input holds it, as it came from another storage."""
    edited: EditFacts | None = None
    """Set where a person has edited it."""

    def previous_run_id(self, thread_id: str) -> str | None:
        """Return the run of the same thread that the run goes on from."""
        if self.edited is not None:
            return self.edited.previous_run_id
        return (self.base.run_id or None) if self.base is not None and self.base.thread_id == thread_id else None


class _StoredOutcome(Framed, Versioned):
    """What a checkpoint's reader needs of a superstep's outcome: the events stay undecoded."""

    sealed_as: ClassVar[frozenset[str]] = frozenset({"SuperstepResult", "SuperstepFailure"})
    answers: str | None = None
    state: str = "running"
    checkpoint: CheckpointFacts | None = None
    entry: RunStartFacts | None = None
    between: list[BetweenFacts] = Field(default_factory=list)


class _CountedOutcome(Framed, Versioned):
    """What a superstep's outcome says of its calls."""

    sealed_as: ClassVar[frozenset[str]] = frozenset({"SuperstepResult", "SuperstepFailure"})
    answers: str | None = None
    calls: Calls | None = None


class _StoredInput(Framed, Versioned):
    """What a checkpoint's reader needs of a run's input."""

    sealed_as: ClassVar[frozenset[str]] = frozenset({"RunInput"})
    base: CheckpointRef | None = None
    base_facts: CheckpointFacts | None = None
    edited: EditFacts | None = None


class _StoredSuperstep(WireModel):
    """What a checkpoint's reader needs of a superstep's input."""

    sealed_as: ClassVar[frozenset[str]] = frozenset({"SuperstepInput"})
    superstep_id: str | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class _Answered:
    """What the outcome of a superstep has to answer."""

    superstep_id: str | None
    taken: bool
    """Whether the workflow has gone on after it, and did not refuse it."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The last checkpoint a run committed, or began from."""

    checkpoint: CheckpointRef | None
    graph_hash: str | None
    next_offset: int


def of_thread(client: Client, thread_id: str) -> WorkflowSerializationContext:
    """Return the place of a thread's start, answers, result and failure."""
    return WorkflowSerializationContext(client.namespace, thread_id)


def of_superstep(client: Client, thread_id: str) -> ActivitySerializationContext:
    """Return the place of the inputs, outcomes and heartbeats of a thread's supersteps."""
    return ActivitySerializationContext(
        namespace=client.namespace,
        activity_id=None,
        activity_type=SUPERSTEP_ACTIVITY,
        activity_task_queue=None,
        workflow_id=thread_id,
        workflow_type=WORKFLOW_TYPE,
        is_local=False,
    )


class UnreadableError(CheckpointCorruptedError):
    """What should be a message of ours is none: somebody else has written it."""

    waits_for_key = False


class InvalidStartError(CheckpointCorruptedError):
    """A run was started with what cannot be used, by somebody who did not use this package."""


async def decode(
    client: Client, payload: Payload, model: type[BaseModel], place: SerializationContext | None = None
) -> Any:
    """Decode one payload with the client's converter, codec and external storage.

    Args:
        client: A client with our payload converter.
        payload: The payload.
        model: What it holds.
        place: Where it was found; without it what is sealed for anywhere is opened.

    Raises:
        NotSealedError: When it is not sealed as this model, or not for this place.
        UnreadableError: When it is not what it should be.
    """
    converter = client.data_converter if place is None else client.data_converter.with_context(place)
    try:
        (value,) = await converter.decode([payload], [model])
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:3])
        raise UnreadableError(
            f"History holds something that should be a {model.__name__.strip('_')} but is not ({where}). It was not "
            "written by a worker of this package."
        ) from error
    return value


async def failure_text(client: Client, failure: Failure, place: SerializationContext) -> str:
    """Return a failure's message, which the client's failure converter may have encoded.

    Raises:
        NotSealedError: When somebody without a key has reported it.
    """
    decoded = Failure()
    decoded.CopyFrom(failure)
    error = await client.data_converter.with_context(place).decode_failure(decoded)
    message = str(getattr(error, "message", error))
    if getattr(error, "type", None) == REFUSED_FAILURE:
        raise NotSealedError(message)
    return message


def warn_refused(thread_id: str, run_id: str, what: str, reason: object) -> None:
    """Say, once in this process, that something in a thread's history does not count."""
    key = (thread_id, run_id, what)
    if key in _warned:
        return
    _warned.put(key, True)
    _LOGGER.warning("%s of thread %r, run %r, is ignored: %s", what, thread_id, run_id, reason)


async def start_input(client: Client, thread_id: str, run_id: str) -> RunInput:
    """Return the argument of a run: one round trip.

    Raises:
        CheckpointNotFoundError: When it is none of this package.
        RPCError: When it is not there (any more).
    """
    history = client.get_workflow_handle(thread_id, run_id=run_id).fetch_history_events(page_size=1)
    async for event in each(history):
        kind = event.workflow_execution_started_event_attributes.workflow_type.name
        if kind != WORKFLOW_TYPE:
            raise CheckpointNotFoundError(
                f"Run {run_id!r} of {thread_id!r} is of workflow type {kind!r}, so it is not a run of a framework "
                "workflow."
            )
        return await _run_input(client, event, thread_id)
    raise CheckpointNotFoundError(f"Run {run_id!r} of thread {thread_id!r} has no history.")


async def has_begun(client: Client, thread_id: str, run_id: str) -> bool:
    """Tell whether a worker has ever taken a run up, which takes the key that had sealed its start."""
    async for event in each(client.get_workflow_handle(thread_id, run_id=run_id).fetch_history_events()):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            return True
    return False


def run_before(run_input: RunInput, thread_id: str) -> str | None:
    """Return the run of the same thread that a run goes on from."""
    return run_input.previous_run_id or RunBase(run_input.base, edited=run_input.edited).previous_run_id(thread_id)


async def runs_after(client: Client, thread_id: str, run_id: str, after: int) -> list[str]:
    """Return the runs of a thread that hold its events after an offset, oldest first, up to `run_id`.

    Costs a round trip for each run.

    Raises:
        CheckpointNotFoundError: When retention has removed a run that holds some of them.
    """
    runs = [run_id]
    while True:
        try:
            run_input = await start_input(client, thread_id, runs[-1])
        except InvalidStartError:
            return runs[::-1]  # Nothing is before it that it goes on from.
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            raise CheckpointNotFoundError(
                f"The events of thread {thread_id!r} after offset {after} are no longer all available: the history of "
                f"run {runs[-1]!r} is past the namespace's retention. Continue reading from a greater offset."
            ) from error
        previous = run_before(run_input, thread_id)
        if run_input.next_offset <= after + 1 or not previous:
            return runs[::-1]
        runs.append(previous)


async def load_checkpoint(client: Client, ref: CheckpointRef) -> bytes:
    """Rebuild a raw checkpoint from history.

    Reads backward to the last keyframe and applies the patches in between; follows the base of a run into the run
    before it. What it finds has to be what the reference means, where that says so (`CheckpointRef.digest`).

    Args:
        client: A connected client; no worker is needed.
        ref: The checkpoint.

    Returns:
        The raw checkpoint, verified against its digest.

    Raises:
        CheckpointNotFoundError: When history does not hold it (any more).
        CheckpointCorruptedError: When it does not restore to its digest.
    """
    chain: list[tuple[StoredFrame, str]] = []
    wanted: str | None = ref.checkpoint_id
    next_ref: CheckpointRef | None = ref
    while next_ref is not None and wanted is not None:
        reader = run_frames(client, next_ref.thread_id, next_ref.run_id)
        next_ref = None
        async for found in reader:
            stored = found.copy if isinstance(found, RunBase) else found
            if stored is None:
                next_ref = found.base if isinstance(found, RunBase) else None
            elif wanted in stored.digests:
                chain.append((stored, wanted))
                wanted = stored.facts.base_checkpoint_id
                if wanted is None:
                    break
    if wanted is not None:
        raise CheckpointNotFoundError(
            Advice(
                f"Checkpoint {wanted!r} is not in the history of thread {ref.thread_id!r}, run {ref.run_id!r}. It may "
                "be past the namespace's retention. Start from ",
                Step(Way.COPY),
                ", or choose another checkpoint with ",
                Step(Way.CHECKPOINTS, ref.thread_id),
                ".",
            )
        )
    raw = b""
    for stored, checkpoint_id in reversed(chain):
        frame = await _restored(stored, raw)
        raw = await _checkpoint_of(stored, frame, checkpoint_id)
    if ref.digest is not None and digest(raw) != ref.digest:
        raise CheckpointCorruptedError(
            f"Checkpoint {ref.checkpoint_id!r} in the history of thread {ref.thread_id!r} is not the expected one: "
            "its digest differs. The history, or the reference to the checkpoint, was altered."
        )
    return raw


class FrameReader:
    """Restores the frames of a run in their order, each from the checkpoint before it where it is a patch on that.

    Where a base is another, it is loaded from history.

    Args:
        client: A connected client.
        thread_id: Temporal workflow id.
        run_id: Temporal run id, of which the bases are.
    """

    def __init__(self, client: Client, thread_id: str, run_id: str) -> None:
        self._client = client
        self._thread_id = thread_id
        self._run_id = run_id
        self._last: tuple[str, bytes] | None = None
        """Id and bytes of the checkpoint that was restored last."""

    @property
    def last(self) -> bytes | None:
        """The checkpoint that was restored last."""
        return self._last[1] if self._last is not None else None

    def enter(self, run_id: str) -> None:
        """Go on with another run of the thread."""
        self._run_id = run_id

    async def restore(self, stored: StoredFrame) -> Frame:
        """Restore the next frame.

        Raises:
            CheckpointNotFoundError: When its base is not in history (any more).
            CheckpointCorruptedError: When it does not restore to its digest.
        """
        base_id = stored.facts.base_checkpoint_id
        if base_id is not None and (self._last is None or self._last[0] != base_id):
            ref = CheckpointRef(thread_id=self._thread_id, run_id=self._run_id, checkpoint_id=base_id)
            self._last = (base_id, await load_checkpoint(self._client, ref))
        frame = await _restored(stored, self.last)
        self._last = (stored.facts.checkpoint_id, frame.checkpoint)
        return frame

    async def restore_all(self, frames: Iterable[StoredFrame]) -> AsyncIterator[tuple[str, bytes]]:
        """Yield ids and bytes of the checkpoints in frames, which come oldest first.

        Raises:
            CheckpointNotFoundError: See `restore`.
            CheckpointCorruptedError: See `restore`.
        """
        for stored in frames:
            frame = await self.restore(stored)
            for restored in (await checkpoints_of(stored, frame)).items():
                yield restored


def stored_frame(outcome: SuperstepResult | SuperstepFailure, facts: CheckpointFacts) -> StoredFrame:
    """Return the frame in a superstep's outcome, whose checkpoint has these facts."""
    if isinstance(outcome, SuperstepFailure):
        return StoredFrame(facts, outcome.frame)
    return StoredFrame(facts, outcome.frame, outcome.entry, between=outcome.between)


async def _restored(stored: StoredFrame, base: bytes | None) -> Frame:
    """Unpack a stored frame and verify the checkpoints in it, beside the event loop where it takes long.

    Raises:
        CheckpointCorruptedError: When it does not restore to its digest.
    """

    def check(frame: Frame) -> None:
        if digest(frame.checkpoint) != stored.facts.digest:
            raise _not_its_digest(stored.facts.checkpoint_id)
        if stored.entry is not None and digest(frame.entry) != stored.entry.digest:
            raise _not_its_digest(stored.entry.checkpoint_id)
        if len(frame.between) != len(stored.between):
            raise CheckpointCorruptedError(
                f"The frame of checkpoint {stored.facts.checkpoint_id!r} holds {len(frame.between)} checkpoints "
                f"before it, but its superstep lists {len(stored.between)}. The history was altered."
            )

    patch = stored.facts.base_checkpoint_id is not None
    return await unpacked(stored.data, base if patch else None, check)


async def _checkpoint_of(stored: StoredFrame, frame: Frame, checkpoint_id: str) -> bytes:
    """Return one of the checkpoints in a frame that was restored.

    Raises:
        CheckpointCorruptedError: When it does not restore to its digest.
    """
    if checkpoint_id == stored.facts.checkpoint_id:
        return frame.checkpoint
    if stored.entry is not None and checkpoint_id == stored.entry.checkpoint_id:
        return frame.entry
    index = [found.checkpoint_id for found in stored.between].index(checkpoint_id)
    size = sum(found.size_bytes for found in stored.between[index:])
    raw = (await off_loop(size, lambda: frame.passed(index)))[0]
    if digest(raw) != stored.between[index].digest:
        raise _not_its_digest(checkpoint_id)
    return raw


async def checkpoints_of(stored: StoredFrame, frame: Frame) -> dict[str, bytes]:
    """Return all checkpoints in a frame that was restored, by id, oldest first.

    Raises:
        CheckpointCorruptedError: When one does not restore to its digest.
    """
    found = {} if stored.entry is None else {stored.entry.checkpoint_id: frame.entry}
    passed = await off_loop(sum(facts.size_bytes for facts in stored.between), frame.passed)
    for facts, raw in zip(stored.between, passed, strict=True):
        if digest(raw) != facts.digest:
            raise _not_its_digest(facts.checkpoint_id)
        found[facts.checkpoint_id] = raw
    return {**found, stored.facts.checkpoint_id: frame.checkpoint}


def _not_its_digest(checkpoint_id: str) -> CheckpointCorruptedError:
    return CheckpointCorruptedError(
        f"Checkpoint {checkpoint_id!r} does not match its digest. The history was altered, or the payload codec is "
        "not the one that it was written with."
    )


async def last_commit(client: Client, thread_id: str, run_id: str) -> Commit:
    """Return where a run stands by its history alone: for one that was cancelled, terminated or timed out.

    Costs a round trip for each 200 events back to the last superstep.

    Raises:
        CheckpointNotFoundError: When the history is not there (any more).
    """
    async for event, answered in _reverse(client, thread_id, run_id):
        if answered is not None:
            outcome = await _outcome(client, thread_id, run_id, event, answered, _model(event))
            if outcome is not None and outcome.checkpoint is not None:
                facts = outcome.checkpoint
                after = outcome.events[-1].offset + 1 if outcome.events else 0
                return Commit(_ref(thread_id, run_id, facts), facts.graph_hash, after)
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            run_input = await _run_input(client, event, thread_id)
            base = run_input.base
            if run_input.base_facts is not None:  # The run's own input holds it.
                base = _ref(thread_id, run_id, run_input.base_facts)
            return Commit(base, run_input.graph_hash, run_input.next_offset)
    return Commit(None, None, 0)


async def last_failure(client: Client, thread_id: str, run_id: str) -> SuperstepFailure | None:
    """Return what the last superstep of a run has failed with for good; None where it did not, or nobody has told.

    Costs a round trip for each 200 events back to the last superstep.

    Raises:
        CheckpointNotFoundError: When the history is not there (any more).
    """
    async for outcome in run_outcomes(client, thread_id, run_id):
        return outcome if isinstance(outcome, SuperstepFailure) else None
    return None


async def run_outcomes(
    client: Client, thread_id: str, run_id: str
) -> AsyncIterator[SuperstepResult | SuperstepFailure]:
    """Yield what the supersteps of a run have reported, newest first, as far as the workflow has taken it.

    Raises:
        CheckpointNotFoundError: When the history is not there (any more).
        CheckpointCorruptedError: When a payload cannot be decoded.
    """
    async for event, answered in _reverse(client, thread_id, run_id):
        if answered is not None:
            outcome = await _outcome(client, thread_id, run_id, event, answered, _model(event))
            if outcome is not None:
                yield outcome


async def run_calls(client: Client, thread_id: str, run_id: str) -> Calls | None:
    """Return what a run has called by its history alone: for one that did not come to its end, or that nobody works on.

    Costs a round trip for each 200 events of the run.

    Raises:
        CheckpointNotFoundError: When the history is not there (any more).
    """
    calls: Calls | None = None
    async for event, answered in _reverse(client, thread_id, run_id):
        if answered is not None:
            outcome = await _outcome(client, thread_id, run_id, event, answered, _CountedOutcome)
            calls = add_calls(calls, outcome.calls if outcome is not None else None)
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            continued = (await _run_input(client, event, thread_id)).continued
            calls = add_calls(calls, continued.calls if continued is not None else None)
    return calls


async def reverse_events(client: Client, thread_id: str, run_id: str) -> AsyncIterator[HistoryEvent]:
    """Yield the history of a run, newest event first; a round trip for each 200 events.

    Raises:
        HistoryGoneError: When the history is not there (any more).
    """
    request = GetWorkflowExecutionHistoryReverseRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=thread_id, run_id=run_id),
        maximum_page_size=_REVERSE_PAGE,
    )
    while True:
        try:
            response = await retried(
                lambda: client.workflow_service.get_workflow_execution_history_reverse(request, retry=True)
            )
        except RPCError as error:
            if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
                raise HistoryGoneError(
                    Advice(
                        f"The history of thread {thread_id!r}, run {run_id!r} is not available, or no longer "
                        f"available: {error.message}. Begin from ",
                        Step(Way.COPY),
                        ", or choose a checkpoint of another thread.",
                    )
                ) from error
            raise
        for event in response.history.events:
            yield event
        request.next_page_token = response.next_page_token
        if not response.next_page_token:
            return


def is_reset(event: HistoryEvent) -> bool:
    """Tell whether an event is where an operator has reset the run before: what comes then has not happened there."""
    cause = event.workflow_task_failed_event_attributes.cause
    return (
        event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
        and cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
    )


async def reset_point(client: Client, thread_id: str, run_id: str, seen_run_id: str) -> int | None:
    """Return the offset of the last event before a run, or one it continues, was reset; None if none was.

    Costs a round trip for each 200 events back to there.

    Args:
        client: A connected client.
        thread_id: Temporal workflow id.
        run_id: The latest run.
        seen_run_id: A run that was left by a reset: where there were several, it is that of this run that counts, or
            else the earliest.
    """
    reader: str | None = run_id
    while reader is not None:
        current, reader = reader, None
        left: list[tuple[int, str]] = []
        found: int | None = None
        async for event, answered in _reverse(client, thread_id, current):
            if is_reset(event):
                left.append((event.event_id, event.workflow_task_failed_event_attributes.base_run_id))
            elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                try:
                    run_input = await _run_input(client, event, thread_id)
                except (InvalidStartError, NotSealedError):
                    return found  # Somebody else's: nothing is before it that it goes on from.
                if left:
                    return run_input.next_offset - 1
                reader = run_input.previous_run_id
            elif answered is not None:
                # An outcome comes where its superstep was scheduled: it may have ended after the reset.
                before = [run for event_id, run in left if event_id > event.event_id]
                outcome = await _outcome(client, thread_id, current, event, answered, _model(event)) if before else None
                if outcome is not None and outcome.events:
                    found = outcome.events[-1].offset
                    if seen_run_id in before:
                        return found
                    left = left[len(before) :]
        if found is not None:
            return found
    return None


async def run_frames(client: Client, thread_id: str, run_id: str) -> AsyncIterator[StoredFrame | RunBase]:
    """Yield what a run stored, newest first, and last what it began from; a round trip for each 200 events.

    Raises:
        CheckpointNotFoundError: When the history is not there (any more).
        CheckpointCorruptedError: When a payload cannot be decoded.
    """
    failed = False
    async for event, answered in _reverse(client, thread_id, run_id):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
            failed = True
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            payloads = event.workflow_execution_started_event_attributes.input.payloads
            place = of_thread(client, thread_id)
            run_input: _StoredInput = await _decode_stored(client, event, payloads[0], _StoredInput, place)
            facts, edited = run_input.base_facts, run_input.edited
            copy = None if facts is None else StoredFrame(facts, run_input.frame)
            if copy is not None and edited is not None:
                copy = replace(copy, kind="edit", state="failed" if failed else "running", edited=edited)
                yield copy
            yield RunBase(run_input.base, copy, edited)
        elif answered is not None:
            outcome = await _outcome(client, thread_id, run_id, event, answered, _StoredOutcome)
            if outcome is not None and outcome.checkpoint is not None:
                # A failed superstep that stored none began from the one before it.
                lost = event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED
                fails = lost or (failed and outcome.state == "running")
                yield StoredFrame(
                    outcome.checkpoint,
                    outcome.frame,
                    outcome.entry,
                    kind="entry" if lost else "superstep",
                    state="failed" if fails else outcome.state,
                    between=outcome.between,
                )
                failed = False


async def superstep_outcome(
    client: Client, event: HistoryEvent, place: SerializationContext | None = None
) -> SuperstepResult | SuperstepFailure | None:
    """Return what a superstep reported in an ActivityTaskCompleted or ActivityTaskFailed event.

    None for other events, and for what no superstep reports: an operator can complete or fail an activity by hand.
    Whether it answers the superstep that was scheduled is for the caller to see.

    Raises:
        NotSealedError: When it was not sealed for `place`.
    """
    payload = _outcome_payload(event)
    if payload is None:
        return None
    try:
        outcome: SuperstepResult | SuperstepFailure = await decode(client, payload, _model(event), place)
    except UnreadableError:
        return None
    return outcome if "kind" in outcome.model_fields_set else None


async def _reverse(client: Client, thread_id: str, run_id: str) -> AsyncIterator[tuple[HistoryEvent, _Answered | None]]:
    """Yield the history of a run, newest event first; an outcome of a superstep comes with what it has to answer.

    The event that has scheduled a superstep comes after its outcome here, which waits for it.
    """
    outcomes: dict[int, tuple[HistoryEvent, bool]] = {}
    refused: set[str | None] = set()
    goes_on = False
    async for event in reverse_events(client, thread_id, run_id):
        goes_on = goes_on or event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        if _outcome_payload(event) is not None:
            outcomes[scheduled_by(event)] = (event, goes_on)
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            payloads = event.activity_task_scheduled_event_attributes.input.payloads
            try:
                place = of_superstep(client, thread_id)
                step: _StoredSuperstep = await _decode_stored(client, event, payloads[0], _StoredSuperstep, place)
            except (NotSealedError, UnreadableError) as error:
                if error.waits_for_key:
                    raise
                warn_refused(thread_id, run_id, f"Event {event.event_id}", error)
                continue
            if step.refused is not None:
                refused.add(step.refused)
            outcome, taken = outcomes.pop(event.event_id, (None, False))
            if outcome is None:
                continue
            if step.superstep_id is not None and step.superstep_id in refused:
                warn_refused(thread_id, run_id, f"Event {outcome.event_id}", "the workflow has rejected it.")
            else:
                yield outcome, _Answered(step.superstep_id, taken)
        elif event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
            refused.add(await refused_before(client, thread_id, event))
        else:
            yield event, None


async def refused_before(client: Client, thread_id: str, event: HistoryEvent) -> str | None:
    """Return the superstep that a timer waits to run again."""
    if not event.user_metadata.HasField("summary"):
        return None
    converter = client.data_converter.with_context(of_thread(client, thread_id))
    try:
        (summary,) = await converter.decode([event.user_metadata.summary], [str])
    except (NotSealedError, ValueError):
        return None
    return str(summary).removeprefix(REFUSED_SUMMARY) if str(summary).startswith(REFUSED_SUMMARY) else None


async def _outcome(
    client: Client, thread_id: str, run_id: str, event: HistoryEvent, answered: _Answered, model: type[BaseModel]
) -> Any:
    """Decode the outcome of a superstep; None where it is refused."""
    payload = _outcome_payload(event)
    if payload is None:
        return None
    what = f"Event {event.event_id}"
    try:
        outcome = await _decode_stored(client, event, payload, model, of_superstep(client, thread_id))
    except (NotSealedError, CheckpointCorruptedError) as error:
        # Of what the workflow has not taken either nothing is lost.
        if answered.taken and getattr(error, "waits_for_key", True):
            raise
        warn_refused(thread_id, run_id, what, error)
        return None
    if outcome.answers != answered.superstep_id:
        reason = f"it answers superstep {outcome.answers!r}, not {answered.superstep_id!r}."
        warn_refused(thread_id, run_id, what, reason)
        return None
    return outcome


def scheduled_by(event: HistoryEvent) -> int:
    """Return the event that had scheduled the activity that completed or failed in this one."""
    if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
        return event.activity_task_completed_event_attributes.scheduled_event_id
    return event.activity_task_failed_event_attributes.scheduled_event_id


def _model(event: HistoryEvent) -> type[SuperstepResult | SuperstepFailure]:
    completed = event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
    return SuperstepResult if completed else SuperstepFailure


def _ref(thread_id: str, run_id: str, facts: CheckpointFacts) -> CheckpointRef:
    return CheckpointRef(thread_id=thread_id, run_id=run_id, checkpoint_id=facts.checkpoint_id, digest=facts.digest)


def _outcome_payload(event: HistoryEvent) -> Payload | None:
    if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
        payloads = event.activity_task_completed_event_attributes.result.payloads
    elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
        failure = event.activity_task_failed_event_attributes.failure
        payloads = failure.application_failure_info.details.payloads
    else:
        return None
    return payloads[0] if payloads else None


async def _decode_stored(
    client: Client, event: HistoryEvent, payload: Payload, model: type[BaseModel], place: SerializationContext
) -> Any:
    try:
        return await decode(client, payload, model, place)
    except DurableWorkflowError:
        raise
    except Exception as error:  # The client's codec and external storage are code of others.
        raise CheckpointCorruptedError(
            f"Event {event.event_id} of the history cannot be decoded ({type(error).__name__}: {error}). It was "
            "altered, or the client's payload codec or external storage is not the one that it was written with."
        ) from error


async def _run_input(client: Client, event: HistoryEvent, thread_id: str) -> RunInput:
    payloads = event.workflow_execution_started_event_attributes.input.payloads
    try:
        run_input: RunInput = await decode(client, payloads[0], RunInput, of_thread(client, thread_id))
    except (UnreadableError, IndexError) as error:
        raise InvalidStartError("The run's input was invalid, so it never started.") from error
    return run_input


_Known = TypeVar("_Known", RunResult, RunFailure)


CloseState: TypeAlias = Literal["idle", "failed", "cancelled", "terminated", "timed_out", "continued"]


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of a run."""

    state: CloseState
    result: RunResult | None = None
    failure: RunFailure | None = None
    message: str = ""
    next_run_id: str | None = None
    """Of a run that continued as new."""


_CLOSED: dict[int, CloseState] = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: "idle",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: "failed",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: "cancelled",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: "terminated",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: "timed_out",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: "continued",
}


def is_close(event: HistoryEvent) -> bool:
    """Tell whether an event is the last of its run."""
    return event.event_type in _CLOSED


async def read_close(client: Client, thread_id: str, event: HistoryEvent) -> Closed:
    """Decode the last event of a run. One that nobody with a key has written ends it as if it were terminated."""
    state = _CLOSED[event.event_type]
    try:
        return await _read_close(client, thread_id, event, state)
    except NotSealedError as error:
        if error.waits_for_key:
            raise
        warn_refused(thread_id, f"event {event.event_id}", "The end", error)
        return Closed("terminated", message=f"It was ended by a process without a key. {error}")


async def _read_close(client: Client, thread_id: str, event: HistoryEvent, state: CloseState) -> Closed:
    place = of_thread(client, thread_id)
    if state == "idle":
        payloads = event.workflow_execution_completed_event_attributes.result.payloads
        return Closed(state, result=await _known(client, payloads, RunResult, place))
    if state == "failed":
        failure = event.workflow_execution_failed_event_attributes.failure
        details = failure.application_failure_info.details.payloads
        decoded = await _known(client, details, RunFailure, place)
        return Closed(state, failure=decoded, message=await failure_text(client, failure, place))
    if state == "continued":
        attributes = event.workflow_execution_continued_as_new_event_attributes
        return Closed(state, next_run_id=attributes.new_execution_run_id)
    if state == "terminated":
        return Closed(state, message=event.workflow_execution_terminated_event_attributes.reason)
    return Closed(state)


async def _known(
    client: Client, payloads: Sequence[Payload], model: type[_Known], place: WorkflowSerializationContext
) -> _Known | None:
    """Return what a run has ended with; None where it is not ours, so that its supersteps have to be asked."""
    try:
        return await decode(client, payloads[0], model, place) if payloads else None
    except UnreadableError:
        return None
