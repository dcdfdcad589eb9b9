"""The workflows that this process knows, and what carries out calls for a thread of any workflow."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent_framework import Workflow
from temporalio.client import Client

from ..checkpoints.handle import Checkpoint
from ..checkpoints.thread import latest_run_id, read_standing
from ..client.calls import Call, Caller
from ..client.options import DurableOptions
from ..client.thread_cursor import ThreadCursor
from ..client.thread_facts import ThreadFacts
from ..errors import HostingError, StaleCheckpointError
from ..framework.catalog import type_name
from ..framework.definition import WorkflowDefinition, define
from ..framework.internals import matches
from ..framework.values import from_json_value, json_schema, validation_errors
from .models import InputSchema, WorkflowSummary
from .problems import ProblemError
from .settings import ThreadSettings


@dataclass(frozen=True, slots=True)
class Hosted:
    """A workflow that this process knows."""

    definition: WorkflowDefinition
    workflow: Workflow

    def summary(self) -> WorkflowSummary:
        """Return what it is and takes."""
        kinds = self.definition.catalog.input_types
        return WorkflowSummary(
            name=self.definition.name,
            description=self.workflow.description,
            functional=self.definition.is_functional,
            graph_hash=self.definition.graph_hash,
            inputs=[InputSchema(type=_named(kind), json_schema=json_schema(kind)) for kind in kinds],
        )

    def check_message(self, message: Any) -> None:
        """Refuse a message that its start executor does not take.

        Raises:
            ProblemError: Saying what is wrong with it, for each type that it takes.
        """
        catalog = self.definition.catalog
        kinds = catalog.input_types
        if not kinds or any(json_schema(kind) is None for kind in kinds):
            return  # The worker decides.
        built = from_json_value(message, None, kinds, catalog)
        if any(matches(built, kind) for kind in kinds):
            return
        places = [f"{_named(kind)}: {said}" for kind in kinds for said in validation_errors(message, kind) or ["no"]]
        names = ", ".join(map(_named, kinds))
        text = f"Workflow {self.definition.name!r} takes {names}, and this message is none of these."
        raise ProblemError(422, "message-refused", text, errors=places)


def _named(kind: Any) -> str:
    return type_name(kind) if isinstance(kind, type) else str(kind)


class Threads:
    """Carries out calls for threads of any workflow.

    Args:
        settings: The workflows, and how their threads are reached.
    """

    def __init__(self, settings: ThreadSettings) -> None:
        self.client: Client = settings.client
        self._settings = settings
        self._lock = asyncio.Lock()
        self._hosted: dict[str, Hosted] | None = None

    async def hosted(self) -> Mapping[str, Hosted]:
        """Return the workflows by name; they are built with the first call.

        Raises:
            HostingError: When one cannot be hosted, or two have one name.
        """
        async with self._lock:
            if self._hosted is None:
                found: dict[str, Hosted] = {}
                for source in self._settings.workflows:
                    definition = await define(source)
                    if definition.name in found:
                        raise HostingError(
                            f"Two workflows are named {definition.name!r}, but threads find their workflow by name."
                        )
                    async with definition.acquire() as workflow:
                        found[definition.name] = Hosted(definition, workflow)
                self._hosted = found
        return self._hosted

    async def workflow(self, name: str) -> Hosted:
        """Return a workflow that this process knows.

        Raises:
            ProblemError: When it does not.
        """
        found = (await self.hosted()).get(name)
        if found is None:
            text = f"This service does not know workflow {name[:200]!r}, so it cannot start threads of it."
            raise ProblemError(404, "workflow-not-known", f"{text} Give it to `http_app(workflows=[...])`.")
        return found

    async def of_thread(self, facts: ThreadFacts) -> ThreadCalls:
        """Return what carries out the calls of a thread that has begun."""
        return ThreadCalls(self._settings, facts, (await self.hosted()).get(facts.workflow_name))

    async def start(
        self, hosted: Hosted, message: Any, thread_id: str | None, tags: list[str] | None, *, streaming: bool
    ) -> Checkpoint:
        """Begin a thread; returns its handle."""
        name = hosted.definition.name
        handle = Checkpoint(
            workflow_name=name, thread_id=f"{name}-{uuid.uuid4()}" if thread_id is None else thread_id, tags=tags
        )
        caller = Caller(self.client, self._settings.task_queue, self._settings.options)
        call = dataclasses.replace(_FOLLOW, message=message, streaming=streaming, anew=True)
        await caller.start(call, handle, ThreadCursor(handle), name, hosted.definition)
        return handle


_FOLLOW = Call(
    message=None,
    responses=None,
    streaming=True,
    after=None,
    cancelled=None,
    checkpoint_id=None,
    storage=None,
    mirror=None,
    own_storage=False,
    function_invocation_kwargs=None,
    client_kwargs=None,
)


class ThreadCalls:
    """Carries out the calls of one thread.

    Args:
        settings: The workflows, and how their threads are reached.
        facts: The thread.
        hosted: Its workflow; None where this process does not know it, so that all is plain JSON.
    """

    def __init__(self, settings: ThreadSettings, facts: ThreadFacts, hosted: Hosted | None) -> None:
        self.facts = facts
        self.hosted = hosted
        self.definition: WorkflowDefinition | None = None if hosted is None else hosted.definition
        self.options: DurableOptions = settings.options
        self.caller: Caller = Caller(settings.client, facts.task_queue, settings.options)
        self.handle: Checkpoint = Checkpoint(workflow_name=facts.workflow_name, thread_id=facts.thread_id)

    async def start(self, handle: Checkpoint | None = None, **call: Any) -> Checkpoint:
        """Send what a call says, and follow nothing; returns the thread's handle.

        Args:
            handle: Of another thread than this one.
            **call: Fields of `Call`.
        """
        chosen = self.handle if handle is None else handle
        order = dataclasses.replace(_FOLLOW, **call)
        await self.caller.start(order, chosen, ThreadCursor(chosen), self.facts.workflow_name, self.definition)
        return chosen

    def events(self, after: int, handle: Checkpoint) -> Any:
        """Return the thread's events after an offset, as an async generator.

        Args:
            after: The offset.
            handle: Of the thread; it moves on with the events.
        """
        call = dataclasses.replace(_FOLLOW, after=after)
        return self.caller.events(call, handle, ThreadCursor(handle), self.facts.workflow_name, self.definition)

    async def reset_since(self, run_id: str) -> int | None:
        """Return the last offset that counts of those a reader has from a run; None where nothing was reset.

        Costs one round trip where that run is still the latest.
        """
        client, thread_id, name = self.caller.client, self.facts.thread_id, self.facts.workflow_name
        if await latest_run_id(client, thread_id, name) == run_id:
            return None
        try:
            return (await read_standing(client, thread_id, name, seen_run_id=run_id)).reset_to
        except StaleCheckpointError:  # Others have gone on with the thread, which this reader follows as well.
            return None
