"""The workflows a worker hosts: built, checked, and handed out to supersteps."""

from __future__ import annotations

import asyncio
import copy
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeGuard

from agent_framework import Workflow

from ..errors import HostingError
from .catalog import TypeCatalog
from .internals import built_storage

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

    Raises:
        HostingError: When its name is auto-generated or a declared type cannot travel.
    """

    def __init__(self, entry: WorkflowEntry, first: Workflow) -> None:
        self.name = checked_name(first)
        self.graph_hash = first.graph_signature_hash
        self.graph_signature: dict[str, Any] = first.graph_signature
        self.max_iterations = first.max_iterations
        self.catalog = TypeCatalog(first)
        self.checkpoint_storage = built_storage(first)
        """What the workflow was built with. Supersteps save to history; a worker copies from there."""
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
        except Exception as error:
            raise _raised(entry, error) from error
    return _checked(built, entry)


def _call(entry: WorkflowEntry) -> Any:
    if not callable(entry):
        raise HostingError(f"{entry!r} is neither a workflow nor a factory `() -> Workflow`.")
    try:
        return entry()
    except Exception as error:
        raise _raised(entry, error) from error


def _raised(entry: WorkflowEntry, error: Exception) -> HostingError:
    return HostingError(f"Factory {_factory_name(entry)!r} raised {type(error).__name__}: {error}")


def _checked(built: Any, entry: WorkflowEntry) -> Workflow:
    if is_workflow(built):
        return built
    hint = " Return `builder.build()`." if hasattr(built, "build") else ""
    raise HostingError(f"Factory {_factory_name(entry)!r} returned {type(built).__name__!r}, not a Workflow.{hint}")


def _factory_name(entry: WorkflowEntry) -> str:
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
    return workflow, checked_name(workflow)


async def define(entry: WorkflowEntry) -> HostedWorkflow:
    """Build an entry once, for a caller that needs its types and does not run it.

    Raises:
        HostingError: When it cannot be built, or its name is auto-generated.
    """
    first = await build(entry)
    hosted = HostedWorkflow(entry, first)
    await hosted.prepare(first)
    return hosted


def checked_name(workflow: Workflow) -> str:
    """Return the workflow's name.

    Raises:
        HostingError: When it has none of its own: threads find their workflow by name, across processes.
    """
    name = workflow.name
    if not name or not isinstance(name, str) or name == workflow.id or _AUTO_NAME.match(name):
        raise HostingError(
            f"The workflow's name {name!r} is auto-generated and differs in every process. Give it one of its own with "
            "`WorkflowBuilder(name=...)`."
        )
    return name
