"""Runs the turns of a gallery row and records what the caller sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent_framework import (
    CheckpointStorage,
    InMemoryCheckpointStorage,
    Workflow,
    WorkflowEvent,
    WorkflowRunState,
)
from agent_framework_temporal import Checkpoint, DurableWorkflow
from agent_framework_temporal.adapter.framework.functional import FunctionalInstance

from tests.parity._canonical import Canonical
from tests.parity.gallery import Row, Turn


@dataclass
class Seen:
    """What the caller of one turn saw."""

    events: list[Any]
    outputs: list[Any] = field(default_factory=list)
    state: str | None = None
    status: str = ""
    error: str | None = None


@dataclass
class Recording:
    """A row's turns as one side ran them, in canonical form."""

    turns: list[Seen]
    checkpoints: list[Any]


async def record(row: Row, runner: Workflow | DurableWorkflow, checkpoint: Checkpoint | None = None) -> Recording:
    """Run the turns of a row, all on one instance or thread, with a checkpoint storage of the caller's."""
    canonical = Canonical()
    storage = InMemoryCheckpointStorage()
    pending: dict[str, Any] = {}
    turns = [await _turn(turn, runner, checkpoint, storage, canonical, pending) for turn in row.turns]
    for seen in turns:
        seen.events = row.in_order(seen.events)
    name = runner.name
    checkpoints = await storage.list_checkpoints(workflow_name=name)
    return Recording(turns, canonical.checkpoints(sorted(checkpoints, key=lambda found: found.timestamp)))


async def _turn(
    turn: Turn,
    runner: Workflow | DurableWorkflow,
    checkpoint: Checkpoint | None,
    storage: CheckpointStorage,
    canonical: Canonical,
    pending: dict[str, Any],
) -> Seen:
    arguments: dict[str, Any] = {
        "message": turn.message,
        "responses": turn.respond(pending) if turn.respond else None,
        "checkpoint_storage": storage,
        "function_invocation_kwargs": turn.function_invocation_kwargs,
        "client_kwargs": turn.client_kwargs,
    }
    if checkpoint is not None:
        arguments["checkpoint"] = checkpoint
    events: list[WorkflowEvent[Any]] = []
    seen = Seen(events=[])
    try:
        if turn.stream:
            stream = runner.run(stream=True, **arguments)
            async for event in stream:
                events.append(event)
            result = await stream.get_final_response()
        else:
            result = await runner.run(stream=False, include_status_events=True, **arguments)
            events = list(result)
        seen.outputs = [canonical.value(output) for output in result.get_outputs()]
        seen.state = result.get_final_state().name
    except Exception as error:
        assert turn.raises is not None and isinstance(error, turn.raises), f"{type(error).__name__}: {error}"
        assert turn.match in str(error)
        seen.error = f"{type(error).__name__}: {error}"
    else:
        assert turn.raises is None, f"{turn.raises} was not raised"
    for request_id in [] if seen.error else list(arguments["responses"] or {}):
        pending.pop(request_id, None)
    pending.update({event.request_id: event.data for event in events if event.type == "request_info"})
    seen.events = canonical.events(events)
    # In process a functional one has no status: it is the state that the run ended in; answers to nothing begin none.
    ended = seen.state or (WorkflowRunState.IDLE if turn.respond else WorkflowRunState.FAILED).name
    seen.status = ended if isinstance(runner, FunctionalInstance) else runner.status.name
    return seen
