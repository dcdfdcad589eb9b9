"""Commands that steer a thread that runs: `pause`, `continue`, `breakpoints` and `withdraw`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from ..client.durable_workflow import DurableWorkflow
from ..client.thread_facts import existing_thread
from ..commands.exit_codes import NotFoundError, UsageError
from .command import Session, Thread
from .lookup import facade

Responder = Annotated[str | None, typer.Option(metavar="NAME", help="Who does this, shown in the thread's status.")]


async def pause(
    session: Session,
    thread: Thread,
    *,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The reason, shown in the thread's status.")
    ] = None,
    responder: Responder = None,
) -> None:
    """Pause a thread before its next superstep. The current one completes; a paused thread costs nothing."""
    await _steer(
        session, thread, lambda durable: durable.pause(thread, reason=reason, responder=responder), {"paused": True}
    )
    session.output.line(
        f"{thread} pauses before its next superstep. Continue with: {session.again('continue', thread)}"
    )


async def continue_(session: Session, thread: Thread, *, responder: Responder = None) -> None:
    """Continue a thread held by `pause` or a breakpoint. Then follow it with `stream`."""
    await _steer(session, thread, lambda durable: durable.continue_(thread, responder=responder), {"paused": False})
    session.output.line(f"{thread} continues. Follow it: {session.again('stream', thread)}")


async def breakpoints(
    session: Session,
    thread: Thread,
    executors: Annotated[
        list[str] | None,
        typer.Argument(metavar="EXECUTOR", help="Executors or patterns; none removes all breakpoints."),
    ] = None,
) -> None:
    """Set the executors a thread pauses before, replacing earlier breakpoints."""
    chosen = executors or []
    try:
        await _steer(session, thread, lambda durable: durable.set_breakpoints(chosen, thread), {"breakpoints": chosen})
    except ValueError as error:
        raise UsageError(*error.args) from error
    session.output.line(f"{thread} pauses before {', '.join(chosen)}." if chosen else f"{thread} pauses nowhere.")


async def withdraw(
    session: Session,
    thread: Thread,
    message_id: Annotated[
        str, typer.Argument(metavar="MESSAGE", help="Id of the message, see `status`.", show_default=False)
    ],
    *,
    responder: Responder = None,
) -> None:
    """Remove a message from a thread's queue."""
    await _steer(
        session,
        thread,
        lambda durable: durable.withdraw(message_id, thread, responder=responder),
        {"withdrawn": message_id},
    )
    session.output.line(f"Withdrawn: {message_id}")


async def _steer(
    session: Session, thread: str, act: Callable[[DurableWorkflow], Awaitable[None]], told: dict[str, Any]
) -> None:
    facts = await existing_thread(await session.client(), thread)
    if not facts.is_open:
        raise NotFoundError(f"Thread {thread!r} has no open run.")
    target = await facade(session, workflow=None, task_queue=None, thread=facts)
    await act(target.durable)
    session.output.json({"thread_id": thread, **told})
