"""What a workflow's agents hold open: clients, servers of tools and their like. Found, and told apart by their owner.

What a factory builds anew each time belongs to the instance it builds, and is left with it. What it takes from
elsewhere, its module for instance, is the same object in each build: it is shared, and not left with an instance.
"""

from __future__ import annotations

import functools
import inspect
import logging
import types
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from agent_framework import Executor, RawAgent, Workflow

from .catalog import executors_of
from .error_data import text_of
from .internals import is_framework_data

Kind = Literal["connects", "agent", "context", "aclose", "close"]
"""How a resource is entered and left. `connects`: by itself when it is used, as an MCP server's tool does; `agent`: the
same, for what it opens by itself; `context`: by `async with`; the others are only left."""
_LOGGER = logging.getLogger("agent_framework_temporal.worker")
_MAX_DEPTH = 10
_MAX_VISITED = 5_000
_PLAIN = (str, bytes, int, float, bool, type(None), type)


def kind_of(resource: Any) -> Kind | None:
    """Return how to enter and leave a resource; None for what is none."""
    kind = _kind_of_class(type(resource))  # type: ignore[arg-type]
    return "connects" if kind is not None and hasattr(resource, "is_connected") else kind


@functools.lru_cache(maxsize=4096)
def _kind_of_class(cls: Any) -> Kind | None:
    if issubclass(cls, RawAgent) and cls.__aenter__ is RawAgent.__aenter__:
        # Entering it would connect its tools before a run says with which credentials.
        return "agent"
    if hasattr(cls, "__aenter__") and hasattr(cls, "__aexit__"):
        return "context"
    if inspect.iscoroutinefunction(getattr(cls, "aclose", None)):
        return "aclose"
    closes = inspect.iscoroutinefunction(getattr(cls, "close", None))
    return "close" if closes and not issubclass(cls, Executor) else None


def resources_of(root: Executor) -> list[Any]:
    """Return the resources an executor holds: agents, chat clients, tools, context providers, middleware and itself.

    Those that others hold come first. What is no object of the framework, or of a class derived from one of its own, is
    passed by: it belongs to whoever made it.
    """
    found: list[Any] = []
    seen: set[int] = set()

    def visit(value: Any, depth: int) -> None:
        if isinstance(value, _PLAIN) or id(value) in seen or depth > _MAX_DEPTH or len(seen) > _MAX_VISITED:
            return
        if isinstance(value, Executor) and value is not root:
            return  # It is asked for its own.
        seen.add(id(value))
        for held in _held(value):
            visit(held, depth + 1)
        if _is_of_the_framework(type(value)) and kind_of(value) is not None:  # type: ignore[arg-type]
            found.append(value)

    visit(root, 0)
    return found


def _held(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, Workflow):  # Of a workflow that is an agent.
        for executor in executors_of(value):
            yield from vars(executor).values()
    elif isinstance(value, types.MethodType):
        yield value.__self__
    elif isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, types.FunctionType):  # Of a tool: an agent as a tool is in there.
        for cell in value.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # Not filled yet.
                continue
    elif _is_of_the_framework(type(value)):  # type: ignore[arg-type]
        yield from getattr(value, "__dict__", {}).values()


@functools.lru_cache(maxsize=4096)
def _is_of_the_framework(cls: Any) -> bool:
    derived = any(base.__module__.partition(".")[0].startswith("agent_framework") for base in cls.__mro__)
    return derived and not is_framework_data(cls)


class SharedResources:
    """The resources of a hosted workflow that all its instances share; they are their module's, not the worker's.

    Args:
        first: The workflow as it was built first.
        second: As it was built next; None for a workflow that is hosted as it is.
    """

    def __init__(self, first: Workflow, second: Workflow | None) -> None:
        built = _all_of(first)
        again = {id(resource) for resource in (built if second is None else _all_of(second))}
        self._found = [resource for resource in built if id(resource) in again]
        self._ids = frozenset(map(id, self._found))
        self._connected = frozenset(id(resource) for resource in self._found if is_connected(resource))
        self.any_own: bool = any(_is_left(resource) for resource in built if id(resource) not in self._ids)
        """Whether an instance has resources of its own, besides agents that hold none."""

    def __contains__(self, resource: Any) -> bool:
        return id(resource) in self._ids

    def used(self) -> list[Any]:
        """Return those that have connected since the workflow was hosted, because one of its agents used them."""
        return [resource for resource in self._found if is_connected(resource) and id(resource) not in self._connected]

    def connected(self, workflow: Workflow) -> list[Any]:
        """Return what the factory has connected of an instance that is not going to be used."""
        return [resource for resource in _all_of(workflow) if is_connected(resource) and resource not in self]

    def own_of(self, workflow: Workflow) -> dict[int, list[Any]]:
        """Return the resources of an instance that are its own, by the `id` of the executor that holds them."""
        if not self.any_own:
            return {}
        return {
            id(executor): [resource for resource in resources_of(executor) if resource not in self]
            for executor in executors_of(workflow)
        }


def _is_left(resource: Any) -> bool:
    return kind_of(resource) != "agent" or bool(resource.mcp_tools)


def is_connected(resource: Any) -> bool:
    """Tell whether a resource that connects by itself has done so."""
    return kind_of(resource) == "connects" and bool(resource.is_connected)


async def close_connected(resources: Iterable[Any]) -> None:
    """Close what has connected; what it raises is logged."""
    for resource in resources:
        try:
            await resource.close()
        except Exception as error:
            _LOGGER.warning("%s could not be closed: %s", type(resource).__name__, text_of(error))


def _all_of(workflow: Workflow) -> list[Any]:
    found = {id(resource): resource for executor in executors_of(workflow) for resource in resources_of(executor)}
    return list(found.values())
