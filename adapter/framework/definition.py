"""The workflows a worker hosts: built, checked, and handed out to supersteps."""

from __future__ import annotations

import asyncio
import copy
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import fields, is_dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias, TypeGuard, cast

from agent_framework import CheckpointStorage, FunctionalWorkflow, FunctionalWorkflowDefinition, Workflow

from ...workflows.executor_rules import is_pattern
from ...workflows.value_limits import MAX_ID, clean_text
from ..errors import HostingError
from .catalog import TypeCatalog, executors_of
from .declared import DeclaredWorkflow, declared_types
from .error_data import class_names, is_from_signal, text_of, told_of
from .functional import FunctionalFactory, FunctionalInstance, is_functional
from .internals import built_storage, request_types, session_groups
from .resources import SharedResources
from .selection import ExecutorSelection

Buildable: TypeAlias = Workflow | FunctionalWorkflow | FunctionalWorkflowDefinition
WorkflowFactory: TypeAlias = Callable[[], Buildable | Awaitable[Buildable]]
"""What builds a workflow anew each time it is called; it may be async."""
WorkflowSource: TypeAlias = Buildable | WorkflowFactory
"""What is hosted: a factory, one instance, or a functional workflow's definition."""

_AUTO_NAME = re.compile(
    r"^(WorkflowBuilder|Workflow)?[-_ ]?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$",
    re.IGNORECASE,
)


def is_workflow(source: object) -> TypeGuard[Workflow]:
    """Tell whether `entry` is a framework workflow and not a factory of one."""
    return isinstance(source, Workflow)


def is_source(source: object) -> TypeGuard[WorkflowSource]:
    """Tell whether something can be hosted: a workflow, a functional one or its definition, or a factory."""
    return is_workflow(source) or is_functional(source) or callable(source)


def as_source(source: WorkflowSource) -> Workflow | WorkflowFactory:
    """Return a functional workflow, or its definition, as a factory; anything else as it is."""
    return FunctionalFactory(source) if is_functional(source) else cast("Workflow | WorkflowFactory", source)


class WorkflowDefinition:
    """One framework workflow as a worker hosts it.

    Args:
        source: A factory, or an instance that is used as it is.
        first: The workflow the factory built.
        second: What it built next, if it was asked.

    Raises:
        HostingError: When its name is auto-generated or a declared type cannot travel.
    """

    def __init__(self, source: WorkflowSource, first: Workflow, second: Workflow | None = None) -> None:
        self.name: str = checked_name(first, source)
        self.graph_hash: str = first.graph_signature_hash
        self.graph_signature: dict[str, Any] = first.graph_signature
        self.max_iterations: int = first.max_iterations
        self.catalog: TypeCatalog = TypeCatalog(first)
        self.is_functional: bool = isinstance(first, FunctionalInstance)
        """Whether it is a function, run from pause to pause, and no graph."""
        self.declared: DeclaredWorkflow = declared_types(first)
        self.checkpoint_storage: CheckpointStorage | None = (
            first.checkpoint_storage if isinstance(first, FunctionalInstance) else built_storage(first)
        )
        """What the workflow was built with. Supersteps save to history; a worker copies from there."""
        self.shared: SharedResources = SharedResources(first, second)
        """What its instances share."""
        self.start_executor_id: str | None = None if isinstance(first, FunctionalInstance) else first.start_executor_id
        """Whom a message reaches first; None of a function."""
        self.session_groups: list[list[int]] = session_groups(executors_of(first))
        """Executors whose agents share a session."""
        self.can_ask: bool = self.is_functional or any(request_types(executor) for executor in executors_of(first))
        """Whether one of its executors, of a sub-workflow too, takes responses, so that a run may wait for some; of a
        function nobody knows."""
        self._pristine_state: dict[str, dict[str, Any]] = {}
        source = as_source(source)
        self._source = source
        self.selection: ExecutorSelection = ExecutorSelection()
        """The executors that the worker runs, for its factory to ask."""
        self._instance = first if is_workflow(source) else None
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
            with self.selection.building():
                built = await build(self._source)
            yield built
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


async def build(source: WorkflowSource) -> Workflow:
    """Call a factory, sync or async; return an instance as it is.

    Raises:
        HostingError: When the factory raises or returns something else.
    """
    source = as_source(source)
    if is_workflow(source):
        return source
    built = call_factory(source)
    if inspect.isawaitable(built):
        try:
            built = await built
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            raise _raised(source, error) from error
    return checked_workflow(built, source)


def call_factory(source: WorkflowSource) -> Any:
    """Call a factory; what it returns may be a workflow, an awaitable of one, or a mistake.

    Raises:
        HostingError: When it is no factory, or raises.
    """
    if not callable(source):
        raise HostingError(f"{source!r} is neither a workflow nor a factory `() -> Workflow`.")
    try:
        return source()
    except BaseException as error:  # A module that parses the command line, perhaps: it must not end the worker.
        raise _raised(source, error) from error


def _raised(source: WorkflowSource, error: BaseException) -> HostingError:
    if is_from_signal(error):
        raise error
    text = text_of(error) if isinstance(error, Exception) else told_of(error)
    return HostingError(f"Factory {factory_name(source)!r} raised {class_names(type(error))[1]}: {text}")


def checked_workflow(built: Any, source: WorkflowSource) -> Workflow:
    """Return what a factory has built.

    Raises:
        HostingError: When that is no workflow.
    """
    if is_functional(built):
        built = FunctionalFactory(built)()
    if is_workflow(built):
        return built
    hint = " Return `builder.build()`." if hasattr(built, "build") else ""
    raise HostingError(f"Factory {factory_name(source)!r} returned {type(built).__name__!r}, not a Workflow.{hint}")


def factory_name(source: object) -> str:
    """Return what errors call a factory."""
    return getattr(source, "__qualname__", repr(source))


def build_now(source: WorkflowSource) -> tuple[WorkflowSource, str | None]:
    """Build an entry outside a loop, where that is possible.

    Returns:
        What to give to `define`, and the workflow's name; None for an async factory, which is not called.

    Raises:
        HostingError: When it cannot be built, or its name is auto-generated.
    """
    source = as_source(source)
    if inspect.iscoroutinefunction(source):
        return source, None
    first: Any = source if is_workflow(source) else call_factory(source)
    if inspect.isawaitable(first):
        if inspect.iscoroutine(first):
            first.close()
        return source, None
    workflow = checked_workflow(first, source)
    return workflow, checked_name(workflow, source)


async def define(source: WorkflowSource) -> WorkflowDefinition:
    """Build an entry once, for a caller that needs its types and does not run it.

    Raises:
        HostingError: When it cannot be built, or its name is auto-generated.
    """
    first = await build(source)
    hosted = WorkflowDefinition(source, first)
    await hosted.prepare(first)
    return hosted


def checked_name(workflow: Workflow, source: WorkflowSource | None = None) -> str:
    """Return the workflow's name.

    Args:
        workflow: The workflow.
        source: What built it, to say where the name is to be written.

    Raises:
        HostingError: When it has none of its own: threads find their workflow by name, across processes. Or when it, or
            an executor's id, is no text that can be written down, or the name is too long.
    """
    name = workflow.name
    if not name or not isinstance(name, str) or name == workflow.id or _AUTO_NAME.match(name):
        where, suggested = _place(source, workflow)
        raise HostingError(
            f"The workflow's name {name!r} is auto-generated and differs in every process, but threads find their "
            "workflow by name. Set a name with `WorkflowBuilder(name=...)`: write "
            f'`WorkflowBuilder(name="{suggested}", start_executor=...)` {where}.'
        )
    for what, text in (("The workflow's name", name), *(("Executor id", key) for key in workflow.executors)):
        if text != clean_text(text):
            raise HostingError(f"{what} {clean_text(text)!r} is not valid Unicode, so it cannot be sent or logged.")
    if len(name) > MAX_ID:
        raise HostingError(
            f"The workflow's name has {len(name):,} characters, more than the maximum of {MAX_ID}. Shorten it."
        )
    return name


def _place(source: WorkflowSource | None, workflow: Workflow) -> tuple[str, str]:
    """Return where a workflow is built, and a name that suits it."""
    code = getattr(inspect.unwrap(source), "__code__", None) if callable(source) else None
    if code is None:
        return "where it is built", _suggestion(workflow.start_executor_id)
    factory = str(getattr(source, "__name__", ""))
    generic = factory in ("<lambda>", "build", "factory", "main", "create", "make", "workflow", "create_workflow")
    suggested = workflow.start_executor_id if generic else factory
    where = f"in factory {factory_name(source)!r}" if source is not None else ""
    return f"{where} ({code.co_filename}:{code.co_firstlineno})", _suggestion(suggested)


def _suggestion(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", re.sub(r"^(build|create|make)_", "", name.lower())).strip("-")
    return plain or "my-workflow"


_WITHIN = frozenset({"journal", "in_doubt"})
"""What a policy may say of an executor of a sub-workflow: the superstep that is tried again is the one around it."""


def executor_paths(graph_signature: Mapping[str, Any], *, around: str = "") -> Iterator[str]:
    """Yield the ids of a workflow's executors, and of those of its sub-workflows the paths: `sub/inner`."""
    for executor_id, found in graph_signature.get("executors", {}).items():
        path = f"{around}{executor_id}"
        yield path
        inner = found.get("sub_workflow") if isinstance(found, dict) else None
        if isinstance(inner, dict):
            yield from executor_paths(inner, around=f"{path}/")


def check_executors(policies: Mapping[str, object] | None, hosted: WorkflowDefinition | None) -> None:
    """Refuse a policy for an executor that the workflow does not have, or that says what it cannot.

    Raises:
        ValueError: Naming those it has.
    """
    if hosted is None:
        return
    known = list(executor_paths(hosted.graph_signature))
    outer = hosted.graph_signature.get("executors", {})
    for executor_id, policy in (policies or {}).items():
        fits = executor_id in known or (
            is_pattern(executor_id) and any(fnmatchcase(name, executor_id) for name in outer)
        )
        if not fits:
            raise ValueError(
                f"`executors` has a policy for {executor_id!r}, but there is no executor {executor_id!r} in the "
                f"workflow; it has {sorted(known)}."
            )
        if "functional" in hosted.graph_signature and getattr(policy, "in_doubt", None) == "ask":
            raise ValueError(
                f"`executors` has a policy for step {executor_id!r} that asks a person, but a functional workflow "
                'starts over with each response. Use `in_doubt="error"`, and `request_info` in the function.'
            )
        if "functional" in hosted.graph_signature and getattr(policy, "task_queue", None) is not None:
            raise ValueError(
                f"`executors` has a policy for step {executor_id!r} with a task queue: the steps of a functional "
                "workflow run where its function runs. Make it a graph, or start an activity in the step."
            )
        if executor_id in known and executor_id not in outer and is_dataclass(policy):
            said = {field.name for field in fields(policy) if getattr(policy, field.name) is not None}
            if said - _WITHIN:
                raise ValueError(
                    f"`executors` has a policy for {executor_id!r}, which is inside a sub-workflow: it may set "
                    f"{sorted(_WITHIN)}, not {sorted(said - _WITHIN)}. Set those for the executor that contains it."
                )
