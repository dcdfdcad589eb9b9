"""`replay`: one superstep of a recorded thread again, in this process, for a debugger."""

from __future__ import annotations

import bdb
import pdb
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ..client.event_json import event_json
from ..client.thread_facts import existing_thread
from ..commands.exit_codes import FAILED, INTERRUPTED, UsageError
from ..commands.references import load_workflow
from .command import Session, Thread
from .run_model import event_line

if TYPE_CHECKING:
    from agent_framework_temporal.testing import ReplayedSuperstep


async def replay(
    session: Session,
    thread: Thread,
    *,
    workflow: Annotated[
        str, typer.Option("--workflow", "-w", metavar="MODULE:ATTR", help="Where the workflow is defined.")
    ],
    superstep: Annotated[
        int | None, typer.Option("--superstep", "-s", metavar="N", min=0, help="Which superstep; defaults to the last.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="Its run id, if several runs have this superstep.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Use the most recent failed one.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Really call models and tools when the journal lacks the call.")
    ] = False,
    tool: Annotated[
        list[str] | None, typer.Option("--tool", metavar="NAME", help="Run this tool again; can be repeated.")
    ] = None,
    debug: Annotated[bool, typer.Option("--pdb", help="Open the debugger when an executor raises.")] = False,
) -> int:
    """Run one superstep of a thread here, for a debugger, and compare it with the record. Changes nothing."""
    from agent_framework_temporal.testing import replay_superstep

    if ":" not in workflow:
        raise UsageError("replay runs your code: give its location with --workflow package.module:attr")
    if debug and session.output.as_json:
        raise UsageError("--pdb is interactive: leave out --pdb or --json")
    client = await session.client()
    facts = await existing_thread(client, thread)
    replayed = await replay_superstep(
        client,
        facts.thread_id,
        superstep,
        load_workflow(workflow),
        run_id=run,
        failed=failed,
        live=live,
        tools=tool or (),
    )
    if isinstance(replayed.error, bdb.BdbQuit):  # Its person has left the debugger, and has seen enough.
        return INTERRUPTED
    _show(session, facts.workflow_name, replayed)
    if debug and replayed.error is not None:
        sys.stdout.flush()
        pdb.post_mortem(replayed.error.__traceback__)
    return 0 if replayed.is_same else FAILED


def _show(session: Session, name: str, replayed: ReplayedSuperstep) -> None:
    output = session.output
    output.json(
        {
            "thread_id": replayed.thread_id,
            "run_id": replayed.run_id,
            "superstep": replayed.superstep,
            "state": replayed.state,
            "same": replayed.is_same,
            "error": replayed.outcome.error,
            "taken": dict(replayed.taken),
            "made": dict(replayed.made),
            "differences": dict(replayed.differences),
            "events": [event_json(event) for event in replayed.outcome.events],
        }
    )
    for event in replayed.outcome.events:
        line = event_line(event)
        if line is not None:
            output.line(line)
    output.console.print()
    output.facts(
        [
            ("thread", f"{replayed.thread_id}, {name}"),
            ("superstep", f"{replayed.superstep}, recorded as {replayed.state}"),
            ("calls", _calls(replayed)),
            ("error", replayed.outcome.error or ""),
            ("result", _verdict(replayed)),
        ]
    )
    for section, diff in replayed.differences.items():
        output.heading(section)
        output.quoted(diff)


def _calls(replayed: ReplayedSuperstep) -> str:
    told = [
        f"{sum(counts.values())} {what} ({', '.join(f'{count} {kind}' for kind, count in counts.items())})"
        for counts, what in ((replayed.taken, "from the journal"), (replayed.made, "made"))
        if counts
    ]
    return "; ".join(told)


def _verdict(replayed: ReplayedSuperstep) -> str:
    if replayed.recorded is None:
        return "nothing is recorded of its end; " + ("it went through" if replayed.is_same else "it failed")
    if replayed.is_same:
        return "the same as recorded: events, messages and state"
    return f"not as recorded: {', '.join(replayed.differences)}"
