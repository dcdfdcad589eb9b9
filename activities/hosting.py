"""The workflows a worker hosts: each built and checked before it polls."""

from __future__ import annotations

from collections.abc import Sequence

from agent_framework import FunctionExecutor, Workflow

from ..adapter.errors import HostingError, WorkflowNotHostedError
from ..adapter.framework.catalog import executors_of
from ..adapter.framework.definition import (
    HostedWorkflow,
    WorkflowEntry,
    _factory_name,
    build,
    is_workflow,
)
from ..adapter.framework.graph import graph_differences


async def host(entry: WorkflowEntry) -> HostedWorkflow:
    """Build an entry, twice if it is a factory, and check that it can be hosted.

    Raises:
        HostingError: When the factory builds another graph, or another name, each time; it says what differs.
    """
    first = await build(entry)
    hosted = HostedWorkflow(entry, first)
    if not is_workflow(entry):
        second = await build(entry)
        name = _factory_name(entry)
        if second is first:
            raise HostingError(
                f"Factory {name!r} returns the same Workflow instance each time, so runs would share its state. Build "
                "a new one in the factory, or pass the instance itself."
            )
        shared = _shared_executors(first, second)
        if shared:
            raise HostingError(
                f"Factory {name!r} puts the same executor objects into every workflow it builds, so that runs would "
                f"share their state: {shared}. Create them in the factory."
            )
        if second.name != first.name:
            raise HostingError(f"Factory {name!r} names its workflow {first.name!r} once and {second.name!r} next.")
        differences = graph_differences(first.graph_signature, second.graph_signature)
        if differences:
            raise HostingError(
                f"Factory {name!r} builds a different graph each time: {'; '.join(differences)}. Give every executor "
                "and every agent an explicit id or name: an unnamed agent gets a random one."
            )
    await hosted.prepare(first)
    return hosted


def _shared_executors(first: Workflow, second: Workflow) -> list[str]:
    """Return the ids of executors that are one object in both; a function executor has no state to share."""
    of_first = {id(executor) for executor in executors_of(first)}
    return sorted(
        executor.id
        for executor in executors_of(second)
        if id(executor) in of_first and not isinstance(executor, FunctionExecutor)
    )


async def host_all(entries: Sequence[WorkflowEntry]) -> dict[str, HostedWorkflow]:
    """Host every entry, by name.

    Raises:
        HostingError: For the first entry that cannot be hosted, or a name that is taken.
    """
    hosted: dict[str, HostedWorkflow] = {}
    for entry in entries:
        workflow = await host(entry)
        if workflow.name in hosted:
            raise HostingError(
                f"Two workflows are named {workflow.name!r}; a run finds its workflow by name. Name them apart with "
                "`name=...` of their builders; an orchestration builder without it names all its workflows alike."
            )
        hosted[workflow.name] = workflow
    return hosted


def find(hosted: dict[str, HostedWorkflow], name: str) -> HostedWorkflow:
    """Return a hosted workflow.

    Raises:
        WorkflowNotHostedError: Listing what is hosted.
    """
    if name not in hosted:
        raise WorkflowNotHostedError(
            f"This worker does not host workflow {name!r}; it hosts {sorted(hosted)}. Add it to "
            "`AgentFrameworkPlugin(workflows=[...])`, or give it a task queue of its own."
        )
    return hosted[name]
