"""Runs one superstep of a recorded thread in this process, and compares what comes of it with what was recorded."""

from __future__ import annotations

import difflib
import pprint
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent_framework import WorkflowCheckpoint, WorkflowEvent
from agent_framework_temporal.activities.replaying import rerun_superstep
from agent_framework_temporal.adapter.checkpoints.frames import Frame, unpacked
from agent_framework_temporal.adapter.checkpoints.handle import Checkpoint, thread_id_of
from agent_framework_temporal.adapter.checkpoints.history import FrameReader, checkpoints_of, stored_frame
from agent_framework_temporal.adapter.checkpoints.logged_events import readable_event, typed_payloads
from agent_framework_temporal.adapter.checkpoints.recorded import RecordedState, RecordedSuperstep, recorded_superstep
from agent_framework_temporal.adapter.checkpoints.thread import latest_run_id
from agent_framework_temporal.adapter.encoding.decoding import decoded
from agent_framework_temporal.adapter.framework.definition import WorkflowDefinition, WorkflowSource, define
from agent_framework_temporal.adapter.framework.internals import EXECUTOR_STATE
from agent_framework_temporal.adapter.temporal.client import framed_client
from agent_framework_temporal.workflows.messages import Calls, SuperstepFailure, SuperstepResult
from temporalio.client import Client

from .canonical import Canonical
from .exported import exported_for_tests


@exported_for_tests
@dataclass(frozen=True, slots=True, kw_only=True)
class SuperstepOutcome:
    """What has come of a superstep."""

    events: Sequence[WorkflowEvent[Any]]
    """What it has logged."""
    checkpoint: WorkflowCheckpoint | None
    """The one that the framework saved after it; None where it failed."""
    error: str | None
    """What it failed with: the class and the message."""


@exported_for_tests
@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedSuperstep:
    """A superstep that was run again."""

    thread_id: str
    """Temporal workflow id."""
    run_id: str
    """The run it is of."""
    superstep: int
    """Its number."""
    state: RecordedState
    """What history says of it: `committed`, `failed`, `lost` with its worker, `cancelled` or ended with its run,
    or `running`."""
    recorded: SuperstepOutcome | None
    """None where it has come to no end yet."""
    outcome: SuperstepOutcome
    """This time."""
    error: BaseException | None
    """What an executor has raised this time, with its traceback."""
    taken: Mapping[str, int]
    """How many calls were taken from the journal, by kind: `chat`, `tool`, `once`."""
    made: Mapping[str, int]
    """How many were made."""
    differences: Mapping[str, str]
    """What is different, as a diff from what was recorded to what came of it now, by what it is of: `events of
    'writer'`, `messages of 'writer'`, `state 'key'`, `state of executor 'writer'`, `pending requests`, `error`. Random
    ids and times do not count, nor does the order between executors, which run together."""

    @property
    def is_same(self) -> bool:
        """Whether it is as recorded; of one without a recorded outcome whether it went through."""
        return not self.differences if self.recorded is not None else self.error is None

    def assert_same(self) -> None:
        """Expect that it is as recorded.

        Raises:
            AssertionError: With the differences; or with what an executor raised as its cause.
        """
        if not self.is_same:
            parts = [f"{name}:\n{diff}" for name, diff in self.differences.items()] or [self.outcome.error or ""]
            raise AssertionError(
                f"Superstep {self.superstep} of thread {self.thread_id!r} is not as recorded:\n" + "\n\n".join(parts)
            ) from self.error


@exported_for_tests
async def replay_superstep(
    client: Client,
    checkpoint: Checkpoint | str,
    superstep: int | None,
    workflow: WorkflowSource,
    *,
    run_id: str | None = None,
    failed: bool = False,
    live: bool = False,
    tools: Collection[str] = (),
) -> ReplayedSuperstep:
    """Run one superstep of a thread in this process, from the checkpoint it began with; the thread is not touched.

    It is the same code that a worker runs, so breakpoints in executors are hit, and nothing that takes long is given
    up. Calls of models and tools are taken from the superstep's journal. That of one which has failed, or still runs,
    is in history; that of a committed one is there where the run had the option `keep_journal`. Executors themselves
    run: what they do outside of models, tools and `once` is done.

    No worker is needed. Costs a round trip for each 200 history events back to the superstep, and a few more.

    Args:
        client: A connected client.
        checkpoint: The thread's handle, or its id.
        superstep: Its number, as events and checkpoints have it; None for the last one.
        workflow: The factory.
        run_id: The run that it is in, or a later one; of several with its number the newest counts.
        failed: Look for one that has failed.
        live: Call models and tools where the journal does not have the call.
        tools: Tools that run again, whatever the journal has.

    Raises:
        NotJournalledError: When a model or a tool would be called, and must not.
        CheckpointNotFoundError: When history does not have the superstep (any more).
        GraphChangedError: When the workflow's graph is another by now.
        ThreadNotFoundError: When there is no such thread of this workflow.
        HostingError: When the workflow cannot be hosted.
    """
    client = framed_client(client)
    hosted = await define(workflow)
    thread_id = thread_id_of(checkpoint)
    found = run_id or await latest_run_id(client, thread_id, hosted.name)
    recorded = await recorded_superstep(client, thread_id, found, superstep, earlier=run_id is None, failed=failed)
    return await replay_recorded(client, hosted, recorded, live=live, tools=tools)


async def replay_recorded(
    client: Client,
    hosted: WorkflowDefinition,
    recorded: RecordedSuperstep,
    *,
    live: bool = False,
    tools: Collection[str] = (),
) -> ReplayedSuperstep:
    """Do as `replay_superstep` for a superstep that was found."""
    before = None if recorded.outcome is None else await _read(client, hosted, recorded, recorded.outcome)
    rerun = await rerun_superstep(client, hosted, recorded, live=live, tools=tools)
    now = await _read(client, hosted, recorded, rerun.outcome)
    calls = rerun.calls or Calls()
    return ReplayedSuperstep(
        thread_id=recorded.thread_id,
        run_id=recorded.run_id,
        superstep=recorded.number,
        state=recorded.state,
        recorded=before,
        outcome=now,
        error=rerun.error,
        taken=_counted(calls.taken),
        made=_counted(calls.made),
        differences={} if before is None else _differences(before, now),
    )


async def _read(
    client: Client,
    hosted: WorkflowDefinition,
    recorded: RecordedSuperstep,
    outcome: SuperstepResult | SuperstepFailure,
) -> SuperstepOutcome:
    frame = Frame(checkpoint=b"", payloads=b"")
    burst = recorded.burst if outcome is recorded.outcome else None
    if burst is not None and burst.checkpoint is not None and outcome.checkpoint is not None:
        stored = stored_frame(burst, burst.checkpoint)
        frame = await FrameReader(client, recorded.thread_id, recorded.run_id).restore(stored)
        frame = replace(frame, checkpoint=(await checkpoints_of(stored, frame))[outcome.checkpoint.checkpoint_id])
    elif outcome.frame and outcome.checkpoint is None:
        frame = await unpacked(outcome.frame, None)
    elif outcome.frame and outcome.checkpoint is not None:
        reader = FrameReader(client, recorded.thread_id, recorded.run_id)
        frame = await reader.restore(stored_frame(outcome, outcome.checkpoint))
    payloads = await typed_payloads(frame.payloads, hosted.catalog)
    is_failure = isinstance(outcome, SuperstepFailure)
    return SuperstepOutcome(
        events=[readable_event(record, payloads, hosted.catalog) for record in outcome.events if record.origin],
        checkpoint=await decoded(frame.checkpoint, hosted.catalog) if frame.checkpoint and not is_failure else None,
        error=f"{outcome.error_type}: {outcome.message}" if isinstance(outcome, SuperstepFailure) else None,
    )


def _counted(calls: Mapping[str, int]) -> dict[str, int]:
    """Return how many calls there were; executors and steps always run."""
    return {kind: count for kind, count in calls.items() if kind in ("chat", "tool", "once")}


def _differences(before: SuperstepOutcome, now: SuperstepOutcome) -> dict[str, str]:
    sides = _sections(before), _sections(now)
    names = dict.fromkeys([*sides[0], *sides[1]])
    found = {name: _diff(*(side.get(name) for side in sides)) for name in names}
    return {name: diff for name, diff in found.items() if diff}


def _sections(outcome: SuperstepOutcome) -> dict[str, Any]:
    """Return an outcome as plain data, by what it is of."""
    canonical = Canonical()
    found: dict[str, Any] = {} if outcome.error is None else {"error": canonical.value(outcome.error)}
    events: dict[str | None, list[WorkflowEvent[Any]]] = defaultdict(list)
    for event in outcome.events:
        events[event.source_executor_id if event.type == "request_info" else event.executor_id].append(event)
    for executor_id in sorted(events, key=str):
        name = "events" if executor_id is None else f"events of {executor_id!r}"
        found[name] = canonical.events(events[executor_id])
    checkpoint = outcome.checkpoint
    if checkpoint is None:
        return found
    for source in sorted(checkpoint.messages):
        found[f"messages of {source!r}"] = canonical.value(checkpoint.messages[source])
    for key in sorted(checkpoint.state):
        value = checkpoint.state[key]
        if key == EXECUTOR_STATE and isinstance(value, dict):
            for executor_id in sorted(value):
                found[f"state of executor {executor_id!r}"] = canonical.value(value[executor_id])
        else:
            found[f"state {key!r}"] = canonical.value(value)
    if checkpoint.pending_request_info_events:
        found["pending requests"] = canonical.value(checkpoint.pending_request_info_events)
    return found


def _diff(before: Any, now: Any) -> str:
    if before == now:
        return ""
    one, other = ([] if side is None else pprint.pformat(side, width=120).splitlines() for side in (before, now))
    return "\n".join(difflib.unified_diff(one, other, "recorded", "now", lineterm="", n=2))
