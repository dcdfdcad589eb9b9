"""Keeps what user code lets out inside its superstep: what is no `Exception` becomes one, and the worker lives on.

asyncio takes a `SystemExit` or `KeyboardInterrupt` that a task lets out for the program's own and ends its loop, and
with it all other runs of the worker. A `CancelledError` looks, further up, like the cancellation of the run, and
anything else that is no `Exception` passes by the framework without the events of a failure. So each handler is wrapped
inside the framework's own events, and every task that is made in a superstep lets nothing out that ends a loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Mapping
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any

from agent_framework import Executor, Workflow, WorkflowContext

from ..adapter.framework.catalog import executors_of
from ..adapter.framework.error_data import (
    StandIn,
    class_names,
    is_from_signal,
    is_raised,
    is_readable,
    native,
    original_of,
    told_of,
)
from ..adapter.framework.internals import Handler, wrap_handlers
from .executor_rules import ExecutorTimeouts
from .journal.doubt import handled
from .progress import within

BeforeHandler = Callable[[Executor], Awaitable[None]]


@dataclass(slots=True)
class Scope:
    """The superstep that contains what runs in its context.

    Args:
        workflow_name: Name of the framework workflow.
        timeouts: Limit it and its executors' invocations.
        before_handler: Awaited before an executor's handler, in its task.
    """

    workflow_name: str
    timeouts: ExecutorTimeouts
    before_handler: BeforeHandler | None = None
    executors: Mapping[str, Executor] = field(default_factory=dict)
    """Those of the workflow itself, by id; one of a sub-workflow may have the id of one here."""
    cancelled: str | None = None
    """The first executor whose handler was cancelled, not necessarily by us."""


@dataclass(frozen=True, slots=True)
class Place:
    """What runs: a superstep, and in it an executor's handler where it is one."""

    scope: Scope
    executor_id: str | None = None


_place: ContextVar[Place | None] = ContextVar("agent_framework_temporal_place", default=None)


class EscapedError(StandIn, Exception):
    """Stands for what an executor let out that the framework, or Temporal, cannot take as it is.

    It is raised as a class of its own, named as the original's, which is what events and logs show.
    """


class _Exited(StandIn, BaseException):
    """What a contained task lets out instead of a `SystemExit` or `KeyboardInterrupt`; user code does not catch it."""


def escaped(error: BaseException) -> Exception:
    """Return an exception that says what another says, and that anything can raise and read."""
    if isinstance(error, EscapedError):
        return error
    error = original_of(error)
    module, name = class_names(type(error))
    cls = type(name.rpartition(".")[2], (EscapedError,), {"__module__": module, "__qualname__": name})
    found: Exception = cls(told_of(error))
    vars(found)["original"] = error
    # Without causes: they may be as hostile as the error itself. The traceback is the interpreter's own.
    return found.with_traceback(native(error, "__traceback__"))


def is_leaving(error: BaseException, *, is_cancelled: bool) -> bool:
    """Tell whether `error` says that the superstep is to stop, in contrast to one that failed.

    Args:
        error: What is no `Exception`, in the activity's own task.
        is_cancelled: Whether the activity was cancelled: the run was, the worker stops, or the attempt is over.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return is_cancelled or (task is not None and task.cancelling() > 0)
    # A coroutine that is closed gets a GeneratorExit, which nothing has raised.
    return is_from_signal(error) or (isinstance(error, GeneratorExit) and not is_raised(error))


@contextlib.contextmanager
def containing(workflow: Workflow, scope: Scope) -> Iterator[None]:
    """Contain what the executors of a workflow let out while the body runs them."""
    for executor in executors_of(workflow):
        wrap_handlers(executor, _contained_handler)
    scope.executors = workflow.executors
    token = _place.set(Place(scope))
    try:
        yield
    finally:
        _place.reset(token)


def _contained_handler(executor: Executor, handler: Handler) -> Handler:
    place = _place.get()
    if place is None:  # The same executor, run in process.
        return handler
    scope = place.scope

    async def contained(message: Any, context: WorkflowContext[Any, Any]) -> None:
        with _running(Place(scope, executor.id)):
            try:
                if scope.before_handler is not None:
                    await scope.before_handler(executor)
                limits = scope.executors.get(executor.id) is executor
                with scope.timeouts.invocation(executor.id) if limits else within():
                    await handled(executor, handler, message, context)
            except asyncio.CancelledError as error:
                # Without a request to cancel this task it is the handler's own, or that of something it waits for.
                # Else the framework has cancelled it, as it does when a sibling fails and when a superstep is given
                # up, or the handler has: who awaits the superstep can tell.
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    scope.cancelled = scope.cancelled or executor.id
                    raise
                raise escaped(error) from None
            except Exception as error:
                if is_readable(error):
                    raise
                raise escaped(error) from None
            except BaseException as error:
                if is_from_signal(error) or (isinstance(error, GeneratorExit) and not is_raised(error)):
                    raise
                raise escaped(error) from None

    return contained


@contextlib.contextmanager
def _running(place: Place) -> Iterator[None]:
    """Note who runs, for tasks that are made meanwhile and for whoever finds the loop blocked."""
    task = asyncio.current_task()
    coroutine = task.get_coro() if task is not None else None
    token = _place.set(place)
    outer = coroutine.place if isinstance(coroutine, _ContainedCoroutine) else place
    if isinstance(coroutine, _ContainedCoroutine):
        coroutine.place = place
    try:
        yield
    finally:
        _place.reset(token)
        if isinstance(coroutine, _ContainedCoroutine):
            coroutine.place = outer


class _ContainedCoroutine(Coroutine[Any, Any, Any]):
    """A coroutine of a contained task. An object, as a coroutine around another would leave that one unawaited."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], place: Place) -> None:
        self.place = place
        self._coroutine = coroutine

    def send(self, value: Any) -> Any:
        try:
            return self._coroutine.send(value)
        except (SystemExit, KeyboardInterrupt) as error:
            raise _contained(error) from None

    def throw(self, *error: Any) -> Any:
        try:
            return self._coroutine.throw(*error)
        except (SystemExit, KeyboardInterrupt) as error:
            raise _contained(error) from None

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        # A task factory of others, as the framework has for functional workflows, may await it in its own coroutine.
        try:
            return (yield from self._coroutine.__await__())
        except (SystemExit, KeyboardInterrupt) as error:
            raise _contained(error) from None

    def __getattr__(self, name: str) -> Any:
        """Give what inspection looks for: cr_frame, cr_await and their like."""
        return getattr(self._coroutine, name)


def _contained(error: BaseException) -> BaseException:
    if is_from_signal(error):
        return error
    exited = _Exited(told_of(error))
    exited.original = error
    return exited


class _TaskFactory:
    """Makes the tasks of a loop; those of a superstep are contained."""

    def __init__(self, previous: Callable[..., asyncio.Future[Any]] | None) -> None:
        self.previous = previous
        self.users = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Future[Any]:
        context: Context | None = options.get("context")
        place = _place.get() if context is None else context.get(_place)
        if place is not None and isinstance(coroutine, Coroutine):
            coroutine = _ContainedCoroutine(coroutine, place)
        if self.previous is not None:
            return self.previous(loop, coroutine, **options)
        return asyncio.Task(coroutine, loop=loop, **options)


@contextlib.contextmanager
def tasks_contained() -> Iterator[None]:
    """Let the running loop contain the tasks that supersteps make, while the body runs; workers share one loop."""
    loop = asyncio.get_running_loop()
    found: Any = loop.get_task_factory()
    factory = found if isinstance(found, _TaskFactory) else _TaskFactory(found)
    loop.set_task_factory(factory)
    factory.users += 1
    try:
        yield
    finally:
        factory.users -= 1
        if not factory.users and loop.get_task_factory() is factory:
            loop.set_task_factory(factory.previous)


def place_running_in(loop: asyncio.AbstractEventLoop) -> Place | None:
    """Return the place of the task that a loop is running, asked from another thread; None for any other task."""
    task = asyncio.current_task(loop)
    coroutine = task.get_coro() if task is not None else None
    return coroutine.place if isinstance(coroutine, _ContainedCoroutine) else None
