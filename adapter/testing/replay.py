"""Replays the histories of users' threads on the workflow of this version, as a worker that takes them over does."""

from __future__ import annotations

from pathlib import Path

from agent_framework_temporal.adapter.plugin import AgentFrameworkPlugin
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer


async def replay_history(history: WorkflowHistory | Path | str) -> None:
    """Replay a thread's history; no server and no framework code is needed.

    Keep histories of production, `temporal workflow show --output json`, and replay them before this package is
    updated: what does not replay would be stuck on the new workers. A workflow's own code is not replayed, as
    supersteps are activities: changing it needs no such test.

    Args:
        history: A history, or a file with one as JSON.

    Raises:
        temporalio.workflow.NondeterminismError: When this version would have done something else.
    """
    if not isinstance(history, WorkflowHistory):
        history = _read(Path(history))
    await Replayer(workflows=[], plugins=[AgentFrameworkPlugin()]).replay_workflow(history)


def _read(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text(encoding="utf-8"))
