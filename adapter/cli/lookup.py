"""What a command line names: a thread, the facade of its workflow, and data given as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_framework import Workflow

from ..client.durable_workflow import DurableWorkflow
from ..client.options import OptionArguments
from ..client.thread_facts import ThreadFacts
from ..commands.exit_codes import UsageError
from ..commands.references import load_workflow
from ..framework.definition import build
from .command import Session
from .graph_text import graph_order

DEFAULT_TASK_QUEUE = "agent-framework"


@dataclass(frozen=True, slots=True)
class Target:
    """The facade of a thread's workflow, and what is known of the workflow."""

    durable: DurableWorkflow
    workflow: Workflow | None = None
    """Its definition, if the command line says where that is."""

    @property
    def executor_ids(self) -> list[str]:
        """Ids of its executors in the order of the graph; empty where only its name is known."""
        return [] if self.workflow is None else graph_order(self.workflow)


async def facade(
    session: Session,
    *,
    workflow: str | None,
    task_queue: str | None,
    thread: ThreadFacts | None,
    options: OptionArguments | None = None,
) -> Target:
    """Return the facade of a thread's workflow.

    Args:
        session: The call.
        workflow: A name or `module:attr`; by default the thread's name.
        task_queue: By default the thread's.
        thread: The thread, if there is one.
        options: Of the runs it starts.

    Raises:
        UsageError: When nothing says which workflow it is.
        BadReferenceError: When it cannot be imported.
        HostingError: When it cannot be hosted.
    """
    queue = task_queue or (thread.task_queue if thread is not None else DEFAULT_TASK_QUEUE)
    name = workflow or (thread.workflow_name if thread is not None else None)
    if name is None:
        raise UsageError("say which workflow: --workflow NAME, or --workflow package.module:attr")
    client = await session.client()
    # A module is imported for the person who names it, never for a thread: who started that chose its name.
    if workflow is None or ":" not in workflow:
        return Target(DurableWorkflow(name, client=client, task_queue=queue, **(options or {})))
    built = await build(load_workflow(name))
    return Target(DurableWorkflow(built, client=client, task_queue=queue, **(options or {})), built)


def read_responses(text: str) -> dict[str, Any]:
    """Return responses by request id from a flag; see `read_json`.

    Raises:
        UsageError: When it is not a JSON object.
    """
    found = read_json(text, "--responses")
    if not isinstance(found, dict):
        raise UsageError('--responses takes a JSON object by request id, as in {"request-1": {"approved": true}}')
    return found


def read_json(text: str, flag: str = "--data") -> Any:
    """Return the JSON of a flag: itself, `@FILE`, or `-` for standard input.

    Raises:
        UsageError: When it cannot be read or is not valid JSON.
    """
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise UsageError(f"{flag} {text}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        hint = "put text in quotes, as in '\"text\"'" if flag == "--data" else "it must be JSON"
        raise UsageError(f"{flag}: not valid JSON ({error}); {hint}") from error
