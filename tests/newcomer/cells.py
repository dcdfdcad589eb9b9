"""Runs the Python blocks of a page as a notebook would: a block comes as a line of JSON, and so does what became of it.

It is run by the newcomer's Python, in the folder of the tour, and imports nothing of this repository.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any


async def main() -> None:
    """Run blocks until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # What blocks print is not ours.
    sys.path.insert(0, os.getcwd())
    namespace: dict[str, Any] = {}
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        block = json.loads(line)
        said = None
        try:
            if not namespace:
                namespace.update(await _given())
            await _run(block, namespace)
        except BaseException:
            said = traceback.format_exc()
        answers.write(json.dumps({"error": said}) + "\n")
        answers.flush()


async def _given() -> dict[str, Any]:
    """Return the names that CONTRIBUTING.md says every page has."""
    from agent_framework_temporal import Checkpoint, DurableWorkflow, Response
    from temporalio.client import Client

    my_workflow = importlib.import_module("my_workflow")
    client = await Client.connect("localhost:7233")
    durable = DurableWorkflow(my_workflow.build, client=client, task_queue="essays")
    return {
        **{name: getattr(my_workflow, name) for name in ("build", "Draft", "Verdict")},
        **{cls.__name__: cls for cls in (Checkpoint, DurableWorkflow, Response)},
        "client": client,
        "durable": durable,
        "checkpoint": durable.checkpoint(),
    }


async def _run(block: dict[str, Any], namespace: dict[str, Any]) -> None:
    if block["file"] is not None:
        Path(block["file"]).write_text(block["text"])
        importlib.invalidate_caches()
        importlib.import_module(block["file"].removesuffix(".py"))
        return
    source = "\n" * block["line"] + block["text"]
    code = compile(source, block["page"], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, namespace)  # noqa: S307 - our own pages
    if inspect.isawaitable(result):
        await result


if __name__ == "__main__":
    asyncio.run(main())
