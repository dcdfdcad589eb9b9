"""Commands that go on with a thread and show what happens: `run`, `stream`, `resume` and `fork`."""

from __future__ import annotations

from typing import Annotated, Any, cast, get_args

import typer

from ...workflows.messages import WhenRunning
from ..advice import Advice
from ..checkpoints.thread import read_standing
from ..client.options import check_breakpoints
from ..client.queries import ThreadQueries
from ..client.thread_facts import WORKER_TIMEOUT, ThreadFacts, existing_thread, find_thread
from ..commands.exit_codes import RefusedError, UsageError
from ..errors import MessageRefusedError
from ..framework.catalog import readable_name
from .checkpoint import By, Changes, edit_of, typed_facade
from .command import Session, TaskQueue, Thread, Workflow
from .example import message_words, takes_text
from .follow import follow
from .lookup import Target, facade, read_json, read_responses
from .options import Options, read_options
from .respond import login

Data = Annotated[
    str | None,
    typer.Option(metavar="JSON|@FILE|-", help="The message as JSON; @FILE reads a file, - standard input."),
]
Interactive = Annotated[bool, typer.Option("--interactive", "-i", help="Ask for responses here, and continue.")]
Responses = Annotated[
    str | None,
    typer.Option(metavar="JSON|@FILE|-", help="Responses to pending requests: a JSON object keyed by request id."),
]
WhenRunningOption = Annotated[
    str | None,
    typer.Option(
        "--when-running",
        metavar="|".join(get_args(WhenRunning)),
        help="What to do with the message if the thread is running; rejected by default.",
        show_default=False,
    ),
]
BreakBefore = Annotated[
    list[str] | None,
    typer.Option(
        "--break-before",
        metavar="EXECUTOR",
        help="Pause a new run before this executor (or pattern) until `continue`; can be repeated.",
    ),
]
NewThread = Annotated[
    str | None, typer.Option("--thread", "-t", metavar="ID", help="The thread; defaults to a new one.")
]


async def run(
    session: Session,
    message: Annotated[str | None, typer.Argument(help="The message as text.", show_default=False)] = None,
    *,
    workflow: Workflow = None,
    task_queue: TaskQueue = None,
    thread: NewThread = None,
    data: Data = None,
    option: Options = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="A tag for the thread; can be repeated. See `threads`.")
    ] = None,
    interactive: Interactive = False,
    when_running: WhenRunningOption = None,
    break_before: BreakBefore = None,
) -> int:
    """Send a thread a message and show the run until it is idle or waiting. Ctrl-C leaves it running."""
    if (message is None) is (data is None):
        raise UsageError("give the message once: as text, or as JSON with --data")
    if when_running is not None and when_running not in get_args(WhenRunning):
        raise UsageError(f"--when-running takes one of {', '.join(get_args(WhenRunning))}")
    when = cast("WhenRunning | None", when_running)
    given = message if data is None else read_json(data)
    options = read_options(option)
    client = await session.client()
    facts = await find_thread(client, thread) if thread is not None else None
    if break_before:
        try:
            options["breakpoints"] = check_breakpoints(break_before)
        except ValueError as error:
            raise UsageError(f"--break-before: {error}") from error
    target = await facade(session, workflow=workflow, task_queue=task_queue, thread=facts, options=options)
    if message is not None and target.workflow is not None and not takes_text(target.workflow.input_types):
        raise UsageError(_no_text(session, target, workflow, thread))
    try:
        checkpoint = target.durable.checkpoint(thread, tags=tag)
    except ValueError as error:
        raise UsageError("a thread takes 20 tags, each of 1 to 100 characters") from error
    if break_before:
        again = session.again("continue", checkpoint.thread_id)
        session.output.line(f"It pauses before {', '.join(break_before)}. Continue each time with: {again}")
    try:
        return await follow(
            session,
            target,
            checkpoint,
            lambda: target.durable.run_stream(given, checkpoint=checkpoint, when_running=when),
            interactive=interactive,
        )
    except (RuntimeError, MessageRefusedError) as error:
        if message is None or _CANNOT_HANDLE not in str(error):
            raise
        again = session.again("run", options=["--data", "JSON", "--thread", checkpoint.thread_id])
        raise type(error)(Advice(f"{error} Give the message as JSON: {again}")) from error


_CANNOT_HANDLE = "cannot handle input of type 'str'"
"""The framework's words."""


def _no_text(session: Session, target: Target, workflow: str | None, thread: str | None) -> str:
    """Say how to give a message to a workflow that takes no text."""
    types: list[Any] = target.workflow.input_types if target.workflow is not None else []
    options = [*message_words(types), "--workflow", workflow or ""]
    again = session.again("run", options=[*options, "--thread", thread] if thread is not None else options)
    names = " or ".join(readable_name(each) for each in types)
    return f"the workflow takes {names}, not text. Give it as JSON: {again}"


async def stream(
    session: Session,
    thread: Thread,
    *,
    after: Annotated[int, typer.Option(metavar="OFFSET", help="Show only events after this offset; -1 for all.")] = -1,
    workflow: Workflow = None,
    interactive: Interactive = False,
) -> int:
    """Show a thread's events from its history, and follow it while it runs. Does not affect the thread."""
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


async def resume(
    session: Session,
    thread: Thread,
    *,
    workflow: Workflow = None,
    task_queue: TaskQueue = None,
    option: Options = None,
    interactive: Interactive = False,
) -> int:
    """Resume a failed, ended or paused thread from its last checkpoint, and show the run."""
    facts = await existing_thread(await session.client(), thread)
    options = read_options(option)
    target = await facade(session, workflow=workflow, task_queue=task_queue, thread=facts, options=options)
    checkpoint = target.durable.checkpoint(thread)
    after: int | None = None
    if facts.paused:
        raise RefusedError(facts.paused)
    if facts.is_open:
        after = await _retry(session, target, facts)
    else:
        standing = await read_standing(await session.client(), thread, facts.workflow_name, seen_run_id=None)
        if standing.state == "idle":
            again = session.again("run", "MESSAGE", options=["--thread", thread])
            raise RefusedError(
                f"thread {thread!r} is idle: its run completed, so there is nothing to resume. Send it a message: "
                f"{again}"
            )
        checkpoint.offset = standing.next_offset - 1
    return await follow(
        session,
        target,
        checkpoint,
        lambda: target.durable.run_stream(checkpoint=checkpoint, after=after),
        interactive=interactive,
    )


async def _retry(session: Session, target: Target, facts: ThreadFacts) -> int:
    """Let a paused run go on; returns the offset of its last event."""
    client = await session.client()
    status = await ThreadQueries(client, facts.task_queue, WORKER_TIMEOUT).status(facts.thread_id, facts.run_id)
    if status.state == "waiting":
        again = session.again("respond", facts.thread_id)
        raise RefusedError(f"thread {facts.thread_id!r} waits for responses, and continues when they arrive: {again}")
    if status.state != "paused":
        again = session.again("stream", facts.thread_id)
        raise RefusedError(f"thread {facts.thread_id!r} is running, so there is nothing to resume. Follow it: {again}")
    if status.pause is not None:
        await target.durable.continue_(facts.thread_id)
    else:
        await target.durable.retry(facts.thread_id)
    return status.next_offset - 1


async def fork(
    session: Session,
    thread: Thread,
    checkpoint_id: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="The checkpoint, see `checkpoints`.", show_default=False)
    ],
    *,
    new_thread: Annotated[
        str | None, typer.Option("--into", metavar="ID", help="Id of the new thread; generated by default.")
    ] = None,
    responses: Responses = None,
    edit: Annotated[bool, typer.Option("--edit", help="Edit the checkpoint in $EDITOR first.")] = False,
    changes: Changes = None,
    by: By = None,
    workflow: Workflow = None,
    task_queue: TaskQueue = None,
    option: Options = None,
    interactive: Interactive = False,
) -> int:
    """Start a new thread from another's checkpoint, leaving that one unchanged, and show the run."""
    client = await session.client()
    facts = await existing_thread(client, thread)
    given = read_responses(responses) if responses is not None else None
    options = read_options(option)
    if edit or changes is not None:
        target = await typed_facade(session, workflow, task_queue, facts, options)
        await target.durable.checkpoints(thread)
        change = await edit_of(session, target, checkpoint_id, thread, changes)
        if change is None:
            session.output.json({"thread_id": None, "edited": False}, line=True)
            session.output.line("Nothing changed, so nothing was done.")
            return 0
        forked = await target.durable.fork(
            checkpoint_id,
            edit=change,
            edited_by=by or login(),
            responses=given,
            stream=True,
            checkpoint=target.durable.checkpoint(new_thread),
        )
        return await follow(
            session,
            target,
            forked,
            lambda: target.durable.run_stream(checkpoint=forked, after=-1),
            interactive=interactive,
        )
    target = await facade(session, workflow=workflow, task_queue=task_queue, thread=facts, options=options)
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
