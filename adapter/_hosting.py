"""The workflows a worker hosts: built, checked, and handed out to supersteps."""

from __future__ import annotations

import asyncio
import copy
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard

from agent_framework import FunctionExecutor, Workflow

from ._error_data import class_names, is_from_signal, text_of, told_of
from ._errors import HostingError, WorkflowNotHostedError
from ._framework import built_storage
from ._resources import SharedResources, close_connected
from ._types import TypeCatalog, executors_of

WorkflowFactory: TypeAlias = Callable[[], Workflow | Awaitable[Workflow]]
WorkflowEntry: TypeAlias = Workflow | WorkflowFactory

_AUTO_NAME = re.compile(
    r"^(WorkflowBuilder|Workflow)?[-_ ]?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$",
    re.IGNORECASE,
)


def is_workflow(entry: object) -> TypeGuard[Workflow]:
    """Tell whether `entry` is a framework workflow and not a factory of one."""
    return isinstance(entry, Workflow)


class HostedWorkflow:
    """One framework workflow as a worker hosts it.

    Args:
        entry: A factory, or an instance that is used as it is.
        first: The workflow the factory built.
        second: What it built next, if it was asked.

    Raises:
        HostingError: When its name is auto-generated or a declared type cannot travel.
    """

    def __init__(self, entry: WorkflowEntry, first: Workflow, second: Workflow | None = None) -> None:
        self.name = checked_name(first, entry)
        self.graph_hash = first.graph_signature_hash
        self.graph_signature: dict[str, Any] = first.graph_signature
        self.max_iterations = first.max_iterations
        self.catalog = TypeCatalog(first)
        self.checkpoint_storage = built_storage(first)
        """What the workflow was built with. Supersteps save to history; a worker copies from there."""
        self.shared = SharedResources(first, second)
        """What its instances share."""
        self._pristine_state: dict[str, dict[str, Any]] = {}
        self._entry = entry
        self._instance = first if is_workflow(entry) else None
        self._turn = asyncio.Lock()

    @property
    def is_instance(self) -> bool:
        """Whether one instance serves every run, so that it must be reset for a new thread."""
        return self._instance is not None

    @property
    def pristine_state(self) -> dict[str, dict[str, Any]]:
        """The state the executors begin with; a copy, as they restore it by keeping what they are given."""
        return copy.deepcopy(self._pristine_state)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Workflow]:
        """Hand out a workflow for one superstep: a new one of the factory, or the instance when it is free."""
        if self._instance is None:
            yield await build(self._entry)
            return
        async with self._turn:
            yield self._instance

    async def prepare(self, workflow: Workflow) -> None:
        """Note the state the executors begin with.

        Raises:
            HostingError: When an executor cannot tell its state.
        """
        for executor in workflow.executors.values():
            try:
                # A copy: an executor may hand out its own lists, and go on filling them.
                state = copy.deepcopy(await executor.on_checkpoint_save())
            except Exception as error:
                raise HostingError(
                    f"on_checkpoint_save of executor {executor.id!r} raised {type(error).__name__}: {error}"
                ) from error
            self._pristine_state[executor.id] = state
            self.catalog.add_values(state, executor.id)


async def build(entry: WorkflowEntry) -> Workflow:
    """Call a factory, sync or async; return an instance as it is.

    Raises:
        HostingError: When the factory raises or returns something else.
    """
    if is_workflow(entry):
        return entry
    built = _call(entry)
    if inspect.isawaitable(built):
        try:
            built = await built
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            raise _raised(entry, error) from error
    return _checked(built, entry)


def _call(entry: WorkflowEntry) -> Any:
    if not callable(entry):
        raise HostingError(f"{entry!r} is neither a workflow nor a factory `() -> Workflow`.")
    try:
        return entry()
    except BaseException as error:  # A module that parses the command line, perhaps: it must not end the worker.
        raise _raised(entry, error) from error


def _raised(entry: WorkflowEntry, error: BaseException) -> HostingError:
    if is_from_signal(error):
        raise error
    text = text_of(error) if isinstance(error, Exception) else told_of(error)
    return HostingError(f"Factory {_factory_name(entry)!r} raised {class_names(type(error))[1]}: {text}")


def _checked(built: Any, entry: WorkflowEntry) -> Workflow:
    if is_workflow(built):
        return built
    hint = " Return `builder.build()`." if hasattr(built, "build") else ""
    raise HostingError(f"Factory {_factory_name(entry)!r} returned {type(built).__name__!r}, not a Workflow.{hint}")


def _factory_name(entry: object) -> str:
    return getattr(entry, "__qualname__", repr(entry))


def build_now(entry: WorkflowEntry) -> tuple[WorkflowEntry, str | None]:
    """Build an entry outside a loop, where that is possible.

    Returns:
        What to give to `define`, and the workflow's name; None for an async factory, which is not called.

    Raises:
        HostingError: When it cannot be built, or its name is auto-generated.
    """
    if inspect.iscoroutinefunction(entry):
        return entry, None
    first: Any = entry if is_workflow(entry) else _call(entry)
    if inspect.isawaitable(first):
        if inspect.iscoroutine(first):
            first.close()
        return entry, None
    workflow = _checked(first, entry)
    return workflow, checked_name(workflow, entry)


async def define(entry: WorkflowEntry) -> HostedWorkflow:
    """Build an entry once, for a caller that needs its types and does not run it.

    Raises:
        HostingError: When it cannot be built, or its name is auto-generated.
    """
    first = await build(entry)
    hosted = HostedWorkflow(entry, first)
    await hosted.prepare(first)
    return hosted


@dataclass(frozen=True, slots=True)
class Buildable:
    """An entry that has been built and checked, but for what its executors say of their state."""

    hosted: HostedWorkflow
    first: Workflow
    second: Workflow | None

    async def prepared(self) -> HostedWorkflow:
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


def host_now(entry: WorkflowEntry) -> Buildable | None:
    """Build and check an entry where it is given, as `host` does; None where only a running loop can.

    That is an async factory, and one that asks for the loop where none runs.

    Raises:
        HostingError: When it cannot be hosted.
    """
    if inspect.iscoroutinefunction(entry):
        return None
    try:
        first: Any = entry if is_workflow(entry) else _call(entry)
        if inspect.isawaitable(first):
            if inspect.iscoroutine(first):
                first.close()
            return None
        second: Any = None if is_workflow(entry) else _call(entry)
    except HostingError as error:
        if isinstance(error.__cause__, RuntimeError) and "event loop" in str(error.__cause__) and not _in_loop():
            return None
        raise
    return _buildable(entry, _checked(first, entry), None if second is None else _checked(second, entry))


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def host(entry: WorkflowEntry) -> HostedWorkflow:
    """Build an entry, twice if it is a factory, and check that it can be hosted.

    Raises:
        HostingError: When the factory builds another graph, or another name, each time; it says what differs.
    """
    first = await build(entry)
    return await _buildable(entry, first, None if is_workflow(entry) else await build(entry)).prepared()


def _buildable(entry: WorkflowEntry, first: Workflow, second: Workflow | None) -> Buildable:
    hosted = HostedWorkflow(entry, first, second)
    if second is not None:
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
    return Buildable(hosted, first, second)


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


def check_names(names: Iterable[str]) -> None:
    """Refuse two workflows of one name.

    Raises:
        HostingError: Naming them.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise HostingError(
                f"Two workflows are named {name!r}; a run finds its workflow by name. Name them apart with "
                "`name=...` of their builders; an orchestration builder without it names all its workflows alike."
            )
        seen.add(name)


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


def checked_name(workflow: Workflow, entry: WorkflowEntry | None = None) -> str:
    """Return the workflow's name.

    Args:
        workflow: The workflow.
        entry: What built it, to say where the name is to be written.

    Raises:
        HostingError: When it has none of its own: threads find their workflow by name, across processes.
    """
    name = workflow.name
    if not name or not isinstance(name, str) or name == workflow.id or _AUTO_NAME.match(name):
        where, suggested = _place(entry, workflow)
        raise HostingError(
            f"The workflow's name {name!r} is auto-generated and differs in every process, but threads find their "
            "workflow by its name. Give it one of its own with `WorkflowBuilder(name=...)`: type "
            f'`WorkflowBuilder(name="{suggested}", start_executor=...)` {where}.'
        )
    return name


def _place(entry: WorkflowEntry | None, workflow: Workflow) -> tuple[str, str]:
    """Return where a workflow is built, and a name that suits it."""
    code = getattr(inspect.unwrap(entry), "__code__", None) if callable(entry) else None
    if code is None:
        return "where it is built", _suggestion(workflow.start_executor_id)
    factory = str(getattr(entry, "__name__", ""))
    generic = factory in ("<lambda>", "build", "factory", "main", "create", "make", "workflow", "create_workflow")
    suggested = workflow.start_executor_id if generic else factory
    where = f"in factory {_factory_name(entry)!r}" if entry is not None else ""
    return f"{where} ({code.co_filename}:{code.co_firstlineno})", _suggestion(suggested)


def _suggestion(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", re.sub(r"^(build|create|make)_", "", name.lower())).strip("-")
    return plain or "my-workflow"


def graph_differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Say what differs between two graph signatures: executors added, removed or retyped, edges, start executor."""
    differences: list[str] = []
    if before.get("start_executor") != after.get("start_executor"):
        differences.append(f"start executor {before.get('start_executor')!r} became {after.get('start_executor')!r}")
    old, new = before.get("executors", {}), after.get("executors", {})
    differences += [f"executor {name!r} removed" for name in sorted(old.keys() - new.keys())]
    differences += [f"executor {name!r} added" for name in sorted(new.keys() - old.keys())]
    for name in sorted(old.keys() & new.keys()):
        if old[name] == new[name]:
            continue
        if isinstance(old[name], dict) and isinstance(new[name], dict) and old[name]["type"] == new[name]["type"]:
            inner = graph_differences(old[name]["sub_workflow"], new[name]["sub_workflow"])
            differences += [f"in sub-workflow {name!r}: {difference}" for difference in inner]
        else:
            differences.append(f"executor {name!r} changed from {_kind(old[name])} to {_kind(new[name])}")
    old_edges, new_edges = _edges(before), _edges(after)
    differences += [f"edge {edge} removed" for edge in sorted(old_edges - new_edges)]
    differences += [f"edge {edge} added" for edge in sorted(new_edges - old_edges)]
    if not differences and before != after:
        differences.append("edge groups changed")
    return differences


def _kind(signature: Any) -> str:
    return str(signature["type"] if isinstance(signature, dict) else signature)


def _edges(signature: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    for group in _groups(signature):
        for edge in group["edges"]:
            condition = f" if {edge['condition']}" if edge.get("condition") else ""
            found.add(f"{edge['source']} -> {edge['target']}{condition} ({group['group_type']})")
    return found


def _groups(signature: dict[str, Any]) -> Iterable[dict[str, Any]]:
    groups: list[dict[str, Any]] = signature.get("edge_groups", [])
    return groups
