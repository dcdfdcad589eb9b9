"""The workflows a worker hosts: each built and checked before it polls."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agent_framework import FunctionExecutor, Workflow

from ..adapter.errors import HostingError, WorkflowNotHostedError
from ..adapter.framework.catalog import executors_of
from ..adapter.framework.definition import (
    WorkflowDefinition,
    WorkflowSource,
    as_source,
    build,
    call_factory,
    checked_workflow,
    factory_name,
    is_workflow,
)
from ..adapter.framework.graph import graph_differences
from ..adapter.framework.resources import close_connected


@dataclass(frozen=True, slots=True)
class Buildable:
    """An entry that has been built and checked, but for what its executors say of their state."""

    hosted: WorkflowDefinition
    first: Workflow
    second: Workflow | None

    async def prepared(self) -> WorkflowDefinition:
        """Return the hosted workflow.

        Raises:
            HostingError: When an executor cannot tell its state.
        """
        try:
            await self.hosted.prepare(self.first)
        finally:
            for built in (self.first, self.second) if self.second is not None else ():
                await close_connected(self.hosted.shared.connected(built))
        return self.hosted


def host_now(source: WorkflowSource) -> Buildable | None:
    """Build and check an entry where it is given, as `host` does; None where only a running loop can.

    That is an async factory, and one that asks for the loop where none runs.

    Raises:
        HostingError: When it cannot be hosted.
    """
    source = as_source(source)
    if inspect.iscoroutinefunction(source):
        return None
    try:
        first: Any = source if is_workflow(source) else call_factory(source)
        if inspect.isawaitable(first):
            if inspect.iscoroutine(first):
                first.close()
            return None
        second: Any = None if is_workflow(source) else call_factory(source)
    except HostingError as error:
        if isinstance(error.__cause__, RuntimeError) and "event loop" in str(error.__cause__) and not _in_loop():
            return None
        raise
    return _buildable(
        source, checked_workflow(first, source), None if second is None else checked_workflow(second, source)
    )


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _buildable(source: WorkflowSource, first: Workflow, second: Workflow | None) -> Buildable:
    hosted = WorkflowDefinition(source, first, second)
    if second is not None:
        name = factory_name(source)
        if second is first:
            raise HostingError(
                f"Factory {name!r} returns the same Workflow instance each time, so runs would share its state. "
                "Create a new one in the factory, or pass the instance itself."
            )
        shared = _shared_executors(first, second)
        if shared:
            raise HostingError(
                f"Factory {name!r} puts the same executor objects into every workflow that it builds, so runs would "
                f"share their state: {shared}. Create them in the factory."
            )
        if second.name != first.name:
            raise HostingError(
                f"Factory {name!r} named its workflow {first.name!r} first and {second.name!r} the second time. Use a "
                "fixed name."
            )
        differences = graph_differences(first.graph_signature, second.graph_signature)
        if differences:
            raise HostingError(
                f"Factory {name!r} builds a different graph each time: {'; '.join(differences)}. Give every executor "
                "and every agent an explicit id or name: an unnamed agent gets a random one."
            )
    return Buildable(hosted, first, second)


def check_names(names: Iterable[str]) -> None:
    """Refuse two workflows of one name.

    Raises:
        HostingError: Naming them.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise HostingError(
                f"Two workflows are named {name!r}, but a run finds its workflow by name. Give them different names "
                "with `name=...` of their builders; an orchestration builder without it gives all its workflows the "
                "same name. A declarative (YAML) workflow takes its name from the top-level `name:`, else from the "
                "`id:` of its trigger, and is 'declarative_workflow' if it has neither."
            )
        seen.add(name)


async def host(source: WorkflowSource) -> WorkflowDefinition:
    """Build an entry, twice if it is a factory, and check that it can be hosted.

    Raises:
        HostingError: When the factory builds another graph, or another name, each time; it says what differs.
    """
    source = as_source(source)
    first = await build(source)
    return await _buildable(source, first, None if is_workflow(source) else await build(source)).prepared()


def _shared_executors(first: Workflow, second: Workflow) -> list[str]:
    """Return the ids of executors that are one object in both; a function executor has no state to share."""
    of_first = {id(executor) for executor in executors_of(first)}
    return sorted(
        executor.id
        for executor in executors_of(second)
        if id(executor) in of_first and not isinstance(executor, FunctionExecutor)
    )


async def host_all(sources: Sequence[WorkflowSource | Buildable]) -> dict[str, WorkflowDefinition]:
    """Host every entry, by name.

    Raises:
        HostingError: For the first entry that cannot be hosted, or a name that is taken.
    """
    hosted = [await source.prepared() if isinstance(source, Buildable) else await host(source) for source in sources]
    check_names(workflow.name for workflow in hosted)
    return {workflow.name: workflow for workflow in hosted}


def find(hosted: dict[str, WorkflowDefinition], name: str) -> WorkflowDefinition:
    """Return a hosted workflow.

    Raises:
        WorkflowNotHostedError: Listing what is hosted.
    """
    if name not in hosted:
        raise WorkflowNotHostedError(
            f"This worker does not host workflow {name!r}; it hosts {sorted(hosted)}. All workers of a task queue "
            "must host the same workflows: host it on this one too, or use another task queue."
        )
    return hosted[name]
