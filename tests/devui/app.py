"""Serves a workflow in DevUI as documented: `python -m tests.devui.app ADDRESS TASK_QUEUE PORT MODULE:ATTR`."""

from __future__ import annotations

import sys

from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.adapter.commands.references import load_workflow
from temporalio.client import Client

from tests.docs._pages import ROOT, blocks


def main(address: str, task_queue: str, port: str, workflow: str) -> None:
    page = ROOT / "docs" / "human-in-the-loop.md"
    (snippet,) = [block.source for block in blocks(page, "python") if "agent_framework_devui" in block.text]
    for shown, ours in (("localhost:7233", address), ('"essays"', f'"{task_queue}"'), ("8080", port)):
        assert shown in snippet
        snippet = snippet.replace(shown, ours)
    names = {"Client": Client, "DurableWorkflow": DurableWorkflow, "build": load_workflow(workflow)}
    exec(compile(snippet, str(page), "exec"), names)  # noqa: S102 - the documentation's own


if __name__ == "__main__":
    main(*sys.argv[1:5])
