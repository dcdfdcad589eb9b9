"""Serves a workflow in DevUI, durably: `python -m tests.devui.app ADDRESS TASK_QUEUE PORT MODULE:ATTR`."""

from __future__ import annotations

import asyncio
import importlib
import sys

from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.adapter.commands.references import load_workflow
from temporalio.client import Client


def main(address: str, task_queue: str, port: str, workflow: str) -> None:
    client = asyncio.run(Client.connect(address))
    durable = DurableWorkflow(load_workflow(workflow), client=client, task_queue=task_queue)
    serve = importlib.import_module("agent_framework_devui").serve  # Not everybody who checks types has it.
    serve(entities=[durable.as_devui_entity()], port=int(port), auth_enabled=False)


if __name__ == "__main__":
    main(*sys.argv[1:5])
