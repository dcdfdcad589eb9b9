"""Commands that go on with a thread and show what happens: `run`, `stream` and `fork`."""

from __future__ import annotations

from typing import Annotated, cast, get_args

import typer

from ...workflows.messages import WhenRunning
from ..client.options import OptionArguments, check_breakpoints
from ..commands.exit_codes import UsageError
from .command import Session, TaskQueue, Thread, Workflow
from .follow import follow
from .lookup import existing_thread, facade, find_thread, read_json, read_responses

Data = Annotated[
    str | None,
    typer.Option(metavar="JSON|@FILE|-", help="The message as JSON; @FILE reads a file, - standard input."),
]
Interactive = Annotated[
    bool, typer.Option("--interactive", "-i", help="Ask for the answers to requests here, and go on.")
]
Responses = Annotated[
    str | None,
    typer.Option(metavar="JSON|@FILE|-", help="Responses to its pending requests, a JSON object by request id."),
]
WhenRunningOption = Annotated[
    str | None,
    typer.Option(
        "--when-running",
        metavar="|".join(get_args(WhenRunning)),
        help="What becomes of the message if the thread runs; it is rejected if left out.",
        show_default=False,
    ),
]
BreakBefore = Annotated[
    list[str] | None,
    typer.Option(
        "--break-before",
        metavar="EXECUTOR",
        help="Pause before this executor, or a pattern of them, until `continue`; can be repeated. Of a new run.",
    ),
]
NewThread = Annotated[str | None, typer.Option("--thread", "-t", metavar="ID", help="Thread; a new one if left out.")]


async def run(
    session: Session,
    message: Annotated[str | None, typer.Argument(help="The message as text.", show_default=False)] = None,
    *,
    workflow: Workflow = None,
    task_queue: TaskQueue = None,
    thread: NewThread = None,
    data: Data = None,
    interactive: Interactive = False,
    when_running: WhenRunningOption = None,
    break_before: BreakBefore = None,
) -> int:
    """Give a thread a message, and show the run until it is idle or waits for answers. Ctrl-C leaves it running."""
    if (message is None) is (data is None):
        raise UsageError("give the message once: as text, or as JSON with --data")
    if when_running is not None and when_running not in get_args(WhenRunning):
        raise UsageError(f"--when-running takes one of {', '.join(get_args(WhenRunning))}")
    when = cast("WhenRunning | None", when_running)
    given = message if data is None else read_json(data)
    client = await session.client()
    facts = await find_thread(client, thread) if thread is not None else None
    try:
        changes = OptionArguments(breakpoints=check_breakpoints(break_before or ()))
    except ValueError as error:
        raise UsageError(f"--break-before: {error}") from error
    target = await facade(session, workflow=workflow, task_queue=task_queue, thread=facts, options=changes)
    checkpoint = target.durable.checkpoint(thread)
    if break_before:
        again = session.again("continue", checkpoint.thread_id)
        session.output.line(f"It pauses before {', '.join(break_before)}. Let it go on each time: {again}")
    return await follow(
        session,
        target,
        checkpoint,
        lambda: target.durable.run_stream(given, checkpoint=checkpoint, when_running=when),
        interactive=interactive,
    )


async def stream(
    session: Session,
    thread: Thread,
    *,
    after: Annotated[int, typer.Option(metavar="OFFSET", help="Give the events after this one; -1 for all.")] = -1,
    workflow: Workflow = None,
    interactive: Interactive = False,
) -> int:
    """Show a thread's events from its history, and follow it while it runs. Costs the thread nothing."""
    facts = await existing_thread(await session.client(), thread)
    target = await facade(session, workflow=workflow, task_queue=None, thread=facts)
    checkpoint = target.durable.checkpoint(thread)
    return await follow(
        session,
        target,
        checkpoint,
        lambda: target.durable.run_stream(checkpoint=checkpoint, after=after),
        interactive=interactive,
    )


async def fork(
    session: Session,
    thread: Thread,
    checkpoint_id: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="Its checkpoint, see `checkpoints`.", show_default=False)
    ],
    *,
    new_thread: Annotated[
        str | None, typer.Option("--into", metavar="ID", help="The new thread; made up if left out.")
    ] = None,
    responses: Responses = None,
    workflow: Workflow = None,
    task_queue: TaskQueue = None,
    interactive: Interactive = False,
) -> int:
    """Begin a new thread from a checkpoint of another one, which stays as it is, and show the run."""
    facts = await existing_thread(await session.client(), thread)
    given = read_responses(responses) if responses is not None else None
    target = await facade(session, workflow=workflow, task_queue=task_queue, thread=facts)
    checkpoint = target.durable.checkpoint(new_thread)
    # The list is read anyway, to find the run that holds it: visibility, where it would be looked up, lags behind.
    await target.durable.checkpoints(thread)
    return await follow(
        session,
        target,
        checkpoint,
        lambda: target.durable.run_stream(checkpoint_id=checkpoint_id, responses=given, checkpoint=checkpoint),
        interactive=interactive,
    )
