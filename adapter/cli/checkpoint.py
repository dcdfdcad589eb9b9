"""Commands about single checkpoints: `show`, `diff`, and `edit`, by which a thread goes on from an edited one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from ...workflows.display import json_text, one_line, terminal_line
from ..checkpoints.edit_document import EditDocument
from ..checkpoints.editing import editable
from ..checkpoints.outline import Change, changes, outline
from ..client.edit import edited_checkpoint
from ..client.held_checkpoint import raw_checkpoint
from ..client.options import OptionArguments
from ..client.thread_facts import ThreadFacts, existing_thread
from ..commands.exit_codes import UsageError
from ..framework.definition import WorkflowDefinition, define
from .advice import said_by
from .command import Session, TaskQueue, Thread, Workflow
from .editor import edited
from .follow import follow
from .lookup import Target, facade, read_json
from .options import Options, read_options
from .output import Output
from .respond import login
from .text import short

Of = Annotated[
    str | None, typer.Option("--thread", "-t", metavar="ID", help="Its thread, if the id alone does not find it.")
]
Changes = Annotated[
    str | None,
    typer.Option(
        metavar="JSON|@FILE|-", help='Changes to make without an editor, as in {"state": {"style": "vivid"}}.'
    ),
]
By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who makes the edit; defaults to your login name.")
]
_LABEL = 24
_SHOWN = 2_000


async def show(
    session: Session,
    checkpoint_id: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="The checkpoint.", show_default=False)],
    *,
    thread: Of = None,
) -> None:
    """Show what a checkpoint holds: state, messages in flight, pending requests. Needs no worker."""
    found = await outline(await raw_checkpoint(await session.client(), checkpoint_id, thread))
    session.output.json(found)
    if not session.output.as_json:
        _show(session.output, found)


async def diff(
    session: Session,
    before: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="The first checkpoint.", show_default=False)],
    after: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="The second checkpoint.", show_default=False)],
    *,
    thread: Of = None,
) -> None:
    """Show what changed between two checkpoints, of any threads. Needs no worker."""
    client = await session.client()
    outlines = [await outline(await raw_checkpoint(client, name, thread)) for name in (before, after)]
    found = changes(*outlines)
    session.output.json([{"kind": change.kind, **_sides(change), "place": change.place} for change in found])
    if not found:
        session.output.line("No differences except ids and times.")
    for change in found:
        _show_change(session.output, change)


async def edit(
    session: Session,
    thread: Thread,
    checkpoint_id: Annotated[
        str | None,
        typer.Argument(metavar="CHECKPOINT", help="Its checkpoint; defaults to the last one.", show_default=False),
    ] = None,
    *,
    changes: Changes = None,
    by: By = None,
    workflow: Workflow = None,
    task_queue: TaskQueue = None,
    option: Options = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Ask for responses here, and continue.")
    ] = False,
) -> int:
    """Edit a thread's last checkpoint in $EDITOR, or an earlier one; the thread continues from it."""
    client = await session.client()
    facts = await existing_thread(client, thread)
    target = await typed_facade(session, workflow, task_queue, facts, read_options(option))
    chosen = checkpoint_id or (await target.durable.checkpoints(thread))[-1].checkpoint_id
    change = await edit_of(session, target, chosen, thread, changes)
    if change is None:
        session.output.json({"thread_id": thread, "edited": False}, line=True)
        session.output.line("Nothing changed, so nothing was done.")
        return 0
    checkpoint = target.durable.checkpoint(thread)
    await target.durable.edit(
        checkpoint, edit=change, edited_by=by or login(), checkpoint_id=checkpoint_id, stream=True
    )
    return await follow(
        session,
        target,
        checkpoint,
        lambda: target.durable.run_stream(checkpoint=checkpoint, after=checkpoint.offset),
        interactive=interactive,
    )


async def typed_facade(
    session: Session,
    workflow: str | None,
    task_queue: str | None,
    facts: ThreadFacts,
    options: OptionArguments | None = None,
) -> Target:
    """Return the facade of a thread's workflow, whose types are known.

    Raises:
        UsageError: When the command line does not say where the workflow is defined.
    """
    target = await facade(session, workflow=workflow, task_queue=task_queue, thread=facts, options=options)
    if target.workflow is None:
        raise UsageError(
            "an edit is checked against the workflow's types: say where it is defined, --workflow package.module:attr"
        )
    return target


async def edit_of(
    session: Session, target: Target, checkpoint_id: str, thread: str, given: str | None
) -> Mapping[str, Any] | None:
    """Return how a checkpoint is to be changed: as the command line says, or a person in an editor.

    Returns:
        None where nothing is.
    """
    if given is not None:
        found = read_json(given, "--changes")
        if not isinstance(found, dict):
            raise UsageError('--changes takes a JSON object, as in {"state": {"style": "vivid"}}')
        return found
    hosted: WorkflowDefinition = await define(target.workflow)  # type: ignore[arg-type] # `typed_facade` has it.
    raw = await raw_checkpoint(await session.client(), checkpoint_id, thread)
    document = EditDocument(editable(raw, hosted), hosted.declared, hosted.catalog).content
    return await edited(
        document, lambda changed: edited_checkpoint(raw, hosted, changed), lambda step: said_by(session, step)
    )


def _sides(change: Change) -> dict[str, Any]:
    sides = dataclasses.asdict(change)
    names = {"added": ("after",), "removed": ("before",), "changed": ("before", "after")}[change.kind]
    return {name: sides[name] for name in names}


def _show_change(output: Output, change: Change) -> None:
    marks = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}
    mark, style = marks[change.kind]
    output.line(f"{mark} {change.place}", style=style)
    for name, value in _sides(change).items():
        output.quoted(f"{'-' if name == 'before' else '+'} {short(value, _SHOWN)}")


def _show(output: Output, found: Mapping[str, Any], place: str = "") -> None:
    if not place:
        edited_by = f"by {found['edited_by']}, {found['edited_at']}" if "edited_by" in found else ""
        output.facts(
            [
                ("checkpoint", found["checkpoint_id"]),
                ("follows", found["previous_checkpoint_id"] or ""),
                ("edited", edited_by),
                ("workflow", found["workflow"]),
                ("superstep", str(found["superstep"])),
                ("made", str(found["timestamp"])),
            ]
        )
    _section(output, f"{place}shared state", found["state"])
    for name, state in found["executor_state"].items():
        _section(output, f"{place}state of executor {terminal_line(name)}", state)
    for title, messages in (("in flight", found["messages"]), ("in fan-ins", found.get("fan_in", []))):
        if messages:
            output.heading(f"{place}messages {title}")
        for message in messages:
            way = " to ".join(terminal_line(str(message[end])) for end in ("from", "to") if end in message)
            answers = f", response to {terminal_line(str(message['response_to']))}" if "response_to" in message else ""
            output.quoted(f"{way}{answers}", style="dim")
            output.quoted(f"  {short(message.get('data'), _SHOWN)}")
    for request_id, request in found["pending_requests"].items():
        output.heading(f"{place}{terminal_line(str(request['executor_id']))} asks, request {terminal_line(request_id)}")
        output.quoted(short(request["request"], _SHOWN))
    for name, inner in found.get("sub_workflows", {}).items():
        _show(output, inner, f"{place}sub-workflow {terminal_line(name)}: ")


def _is_conversation(value: Any) -> bool:
    return bool(
        isinstance(value, list)
        and value
        and all(isinstance(item, dict) and "role" in item and isinstance(item.get("contents"), list) for item in value)
    )


def _section(output: Output, title: str, values: Mapping[str, Any]) -> None:
    if not values:
        return
    output.heading(title)
    for key, value in values.items():
        if _is_conversation(value):
            output.quoted(f"{terminal_line(str(key))}:")
            for message in value:
                said = short(message, _SHOWN) or one_line(json_text(message.get("contents")), _SHOWN)
                output.quoted(f"  {message.get('author_name') or message['role']}: {said}")
            continue
        text = short(value, _SHOWN) if isinstance(value, str) else one_line(json_text(value), _SHOWN)
        output.quoted(f"{terminal_line(str(key)):{_LABEL}} {text}")
