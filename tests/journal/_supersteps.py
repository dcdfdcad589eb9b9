"""Attempts of a superstep without a server: the framework's own run, with a journal that goes from one to the next."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_framework import InMemoryCheckpointStorage, Workflow, WorkflowCheckpoint, WorkflowEvent
from agent_framework_temporal.activities.containment import Scope as Containment
from agent_framework_temporal.activities.containment import containing
from agent_framework_temporal.activities.executor_rules import ExecutorTimeouts
from agent_framework_temporal.activities.journal.invocations import journal_invocations, settle
from agent_framework_temporal.activities.journal.journal import Journal, Scope, journalled
from agent_framework_temporal.activities.journal.rules import JournalRules
from agent_framework_temporal.adapter.encoding.encoding import dumps
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog
from agent_framework_temporal.workflows.messages import ExecutorRule, SuperstepInput

Build = Callable[[], Workflow]


class LostError(Exception):
    """Ends an attempt; what its journal has brought to the server by then is there for the next."""


@dataclass
class Server:
    """What the server has of a journal."""

    journal: Journal | None = None
    has: bytes = b""
    writes: int = 0

    async def write(self) -> None:
        self.write_soon()

    def write_soon(self) -> None:
        assert self.journal is not None
        self.has = self.journal.packed
        self.writes += 1


@dataclass
class Attempt:
    """What came of an attempt, or of a run without any journal."""

    events: list[WorkflowEvent[Any]] = field(default_factory=list)
    checkpoints: list[WorkflowCheckpoint] = field(default_factory=list)
    error: Exception | None = None
    server: Server = field(default_factory=Server)
    taken: dict[str, int] = field(default_factory=dict)

    @property
    def last(self) -> WorkflowCheckpoint:
        return self.checkpoints[-1]

    said: list[tuple[Any, ...]] = field(default_factory=list)
    """The events as they were when they came, as a superstep's are written."""

    def told(self, superstep: int) -> list[tuple[Any, ...]]:
        """Return the events of a superstep."""
        found: list[tuple[Any, ...]] = []
        inside = False
        for event, said in zip(self.events, self.said, strict=True):
            if event.type == "superstep_started":
                inside = event.iteration == superstep
            if inside:
                found.append(said)
        return found


def _told(event: WorkflowEvent[Any]) -> tuple[Any, ...]:
    who = event.request_id if event.type == "request_info" else event.executor_id
    return (event.type, who, repr(event.data), repr(event.state), str(event.origin))


def text_of(checkpoint: WorkflowCheckpoint, catalog: TypeCatalog) -> list[bytes]:
    """Return what a checkpoint says, without what is another each time."""
    state = dict(checkpoint.state)
    own = {
        name: {
            key: _child(value, catalog) if isinstance(value, WorkflowCheckpoint) else value
            for key, value in saved.items()
        }
        for name, saved in state.pop("_executor_state", {}).items()
    }
    parts = (checkpoint.messages, state, own, list(checkpoint.pending_request_info_events), checkpoint.iteration_count)
    return [dumps(part, catalog) for part in parts]


def _child(checkpoint: WorkflowCheckpoint, catalog: TypeCatalog) -> list[bytes]:
    return text_of(checkpoint, catalog)


async def attempt(
    build: Build,
    before: Attempt | None = None,
    *,
    base: WorkflowCheckpoint | None = None,
    executors: Mapping[str, ExecutorRule] | None = None,
    streaming: bool = True,
    until: Callable[[], bool] | None = None,
    **arguments: Any,
) -> Attempt:
    """Run a workflow with a journal, from `base` or with a message; to its end, to its failure, or until it is lost."""
    workflow = build()
    result = Attempt()
    step = SuperstepInput(workflow_name=workflow.name, mode="resume", executors=dict(executors or {}))
    known = () if before is None else (before.server.has,)
    journal = Journal(TypeCatalog(build()), result.server, JournalRules(step), known)
    result.server.journal, result.server.has = journal, journal.packed
    journal_invocations(workflow)
    contained = containing(workflow, Containment(workflow.name, ExecutorTimeouts(step)))
    with journalled(Scope(journal)), contained:
        running = asyncio.ensure_future(_run(workflow, result, base, streaming=streaming, **arguments))
        while not running.done():
            await asyncio.wait([running], timeout=0.01)
            if until is not None and until():
                running.cancel()
                result.error = LostError()
        if until is None and result.error is not None:
            await settle()
            result.server.has = journal.packed  # The failure takes it along.
    result.taken = dict(journal.tally.taken)
    return result


async def plain(
    build: Build, *, base: WorkflowCheckpoint | None = None, streaming: bool = True, **arguments: Any
) -> Attempt:
    """Run a workflow as the framework does."""
    result = Attempt()
    await _run(build(), result, base, streaming=streaming, **arguments)
    return result


async def _run(
    workflow: Workflow, result: Attempt, base: WorkflowCheckpoint | None, *, streaming: bool, **arguments: Any
) -> None:
    storage = InMemoryCheckpointStorage()
    if base is not None:
        await storage.save(dataclasses.replace(base))
        arguments["checkpoint_id"] = base.checkpoint_id
    try:
        async for event in workflow.run(stream=True, checkpoint_storage=storage, **arguments):
            if event.type == "superstep_started":
                workflow._runner_context.set_streaming(streaming)
            result.events.append(event)
            result.said.append(_told(event))
    except Exception as error:
        result.error = error
    found: Sequence[WorkflowCheckpoint] = await storage.list_checkpoints(workflow_name=workflow.name)
    result.checkpoints = sorted(found, key=lambda checkpoint: (checkpoint.iteration_count, checkpoint.timestamp))
