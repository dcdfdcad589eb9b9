"""Once, for people's own code: a call whose result the next attempt takes."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, get_args, overload

from agent_framework import FunctionInvocationContext, WorkflowContext

from ...workflows.exported import exported
from ...workflows.messages import InDoubt
from ..progress import within
from .doubt import beginning, in_doubt_error, is_given_up, refused_error, this_activity
from .journal import Beginning, Scope, current_scope

_Result = TypeVar("_Result")


@overload
async def once(
    ctx: WorkflowContext[Any, Any] | FunctionInvocationContext | None,
    name: str,
    fn: Callable[..., Awaitable[_Result]],
    /,
    *args: Any,
    in_doubt: InDoubt | None = None,
    **kwargs: Any,
) -> _Result: ...


@overload
async def once(
    ctx: WorkflowContext[Any, Any] | FunctionInvocationContext | None,
    name: str,
    fn: Callable[..., _Result],
    /,
    *args: Any,
    in_doubt: InDoubt | None = None,
    **kwargs: Any,
) -> _Result: ...


@exported
async def once(
    ctx: WorkflowContext[Any, Any] | FunctionInvocationContext | None,
    name: str,
    fn: Callable[..., Any],
    /,
    *args: Any,
    in_doubt: InDoubt | None = None,
    **kwargs: Any,
) -> Any:
    """Call a function whose result is kept: where the superstep is tried again, it is taken and nothing is called.

    For any executor, and for agents' tools. A call that raises has no result, and is made again by the next attempt. It
    costs a round trip to the server when it has ended (a few milliseconds, no history event, an action on Temporal
    Cloud), and with an `in_doubt` of "error" or "ask" another one before it begins. In process it calls the function
    and nothing more.

    Args:
        ctx: The context the handler or tool was given; None in a tool that takes none.
        name: Names the call within the invocation. The second use of a name there is another call than the first, so
            use a name again only where the order of the calls is the same in each attempt.
        fn: A function, async or not; one that is not runs in the event loop, as handlers do, so give
            `asyncio.to_thread` what blocks: `once(ctx, "scan", asyncio.to_thread, scan, path)`.
        *args: What it is called with.
        in_doubt: What becomes of a call that had begun when its worker was lost, so that nobody knows whether it has
            done its work. "again" calls it again, "error" raises InDoubtError, and "ask" asks a person by a request of
            type `InDoubt` before the executor runs again. Answered, it does, and takes the calls that had finished;
            with true it makes this one again, with false this one raises InDoubtError. Without it what holds for the
            executor (`ExecutorPolicy`), "again" if nothing does.
        **kwargs: What it is called with.

    Returns:
        What the function returns, which must be something that a checkpoint may hold; else a warning says that it is
        not kept.

    Raises:
        InDoubtError: The call is in doubt, or a person has said that it is not to be made again. Code that can tell
            what has become of it may catch this; else the run fails, and the superstep is not tried again.
        ValueError: No name, or no such `in_doubt`.
    """
    if not name:
        raise ValueError("Give the call a name.")
    if in_doubt is not None and in_doubt not in get_args(InDoubt):
        raise ValueError(f"`in_doubt` must be one of {get_args(InDoubt)}, got {in_doubt!r}.")
    scope = current_scope()
    if scope is None or not scope.journal.rules.keeps(scope.executor_id):
        if scope is not None:
            scope.journal.will_do("once", name)
        return await _result(fn, args, kwargs)
    journal = scope.journal
    like = f"{scope.key}:once:{name}"
    key = f"{like}#{journal.nth(like)}"
    taken = journal.take("once", key)
    if taken is not None:
        return taken.value
    if journal.is_refused("once", key):
        raise refused_error(scope, name)
    rule = in_doubt or journal.rules.in_doubt(scope.executor_id)
    if rule == "again":
        journal.will_do("once", name)
        result = await _result(fn, args, kwargs)
    else:
        result = await _begun(scope, key, beginning(scope, name, rule), lambda: _result(fn, args, kwargs))
    await journal.end("once", key, name, result)
    return result


async def _begun(scope: Scope, key: str, note: Beginning, call: Callable[[], Awaitable[Any]]) -> Any:
    """Make a call whose beginning is noted, unless it is in doubt."""
    journal = scope.journal
    if journal.is_in_doubt("once", key) and not journal.was_told("once", key, this_activity()):
        await journal.withdraw("once", key, note.call, told_within=this_activity())
        raise in_doubt_error(journal.beginning("once", key) or note)
    journal.will_do("once", note.call)
    await journal.begin("once", key, note.call, durable=True, note=note)
    try:
        return await call()
    except Exception:
        if not is_given_up():
            await journal.withdraw("once", key, note.call, durable=True)
        raise


async def _result(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with within():
        found = fn(*args, **kwargs)
        return await found if inspect.isawaitable(found) else found
