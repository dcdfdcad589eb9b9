"""agent-framework-durabletask on durabletask's backend in memory, which is a process of its own."""

from __future__ import annotations

import sys
import threading
from typing import Any

from agent_framework_durabletask import DurableAIAgentWorker, DurableWorkflowClient
from durabletask.client import TaskHubGrpcClient
from durabletask.testing import create_test_backend
from durabletask.worker import TaskHubGrpcWorker

from benchmarks.peers._case import arguments, first_state, report
from benchmarks.peers._flow import steps


def main() -> None:
    """Run a worker and the workflow; with `serve PORT` the backend."""
    if sys.argv[1] == "serve":
        create_test_backend(port=int(sys.argv[2]))
        print("ready", flush=True)
        threading.Event().wait()
    given = arguments()
    worker = TaskHubGrpcWorker(host_address=given.address)
    hosting = DurableAIAgentWorker(worker)
    hosting.configure_workflow(steps())
    hosting.start()
    client = TaskHubGrpcClient(host_address=given.address)
    workflows = DurableWorkflowClient(client, workflow_name="steps")
    if not given.again:
        workflows.start_workflow(first_state(given.case, given.size, given.steps), instance_id=given.thread)
    workflows.await_workflow_output(given.thread)
    history: list[Any] = client.get_orchestration_history(given.thread)
    report(events=len(history), bytes=sum(len(repr(event)) for event in history))
    hosting.stop()


if __name__ == "__main__":
    main()
