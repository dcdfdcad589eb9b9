"""The workflows a worker hosts: each built and checked before it polls."""

from __future__ import annotations

from collections.abc import Sequence

from agent_framework import FunctionExecutor, Workflow

from ..adapter.errors import WorkflowNotHostedError
from ..adapter.framework.catalog import executors_of
from ..adapter.framework.definition import (
    Buildable,
    HostedWorkflow,
    WorkflowEntry,
    _buildable,
    build,
    check_names,
    is_workflow,
)


async def host(entry: WorkflowEntry) -> HostedWorkflow:
    """Build an entry, twice if it is a factory, and check that it can be hosted.

    Raises:
        HostingError: When the factory builds another graph, or another name, each time; it says what differs.
    """
    first = await build(entry)
    return await _buildable(entry, first, None if is_workflow(entry) else await build(entry)).prepared()


def _shared_executors(first: Workflow, second: Workflow) -> list[str]:
    """Return the ids of executors that are one object in both; a function executor has no state to share."""
    of_first = {id(executor) for executor in executors_of(first)}
    return sorted(
        executor.id
        for executor in executors_of(second)
        if id(executor) in of_first and not isinstance(executor, FunctionExecutor)
    )


async def host_all(entries: Sequence[WorkflowEntry | Buildable]) -> dict[str, HostedWorkflow]:
    """Host every entry, by name.

    Raises:
        HostingError: For the first entry that cannot be hosted, or a name that is taken.
    """
    hosted = [await entry.prepared() if isinstance(entry, Buildable) else await host(entry) for entry in entries]
    check_names(workflow.name for workflow in hosted)
    return {workflow.name: workflow for workflow in hosted}


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
