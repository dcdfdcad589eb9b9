"""Replays the histories of users' threads on the workflow of this version, as a worker that takes them over does."""

from __future__ import annotations

from pathlib import Path

from agent_framework_temporal.adapter.plugin import AgentFrameworkPlugin
from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.worker import Replayer

from .exported import exported_for_tests


@exported_for_tests
async def replay_history(
    history: WorkflowHistory | Path | str,
    *,
    data_converter: DataConverter | None = None,
    namespace: str = "default",
    thread_id: str | None = None,
) -> None:
    """Replay a thread's history; no server and no framework code is needed.

    Keep histories of production, `temporal workflow show --output json`, and replay them before this package is
    updated: what does not replay would be stuck on the new workers. A workflow's own code is not replayed, as
    supersteps are activities: changing it needs no such test.

    Args:
        history: A history, or a file with one as JSON.
        data_converter: That of the workers, where it has a codec: `sealing_data_converter(keys=keys)`.
        namespace: Of the thread. What is sealed opens in its namespace and thread only.
        thread_id: The thread, where a file is not named after it.

    Raises:
        temporalio.workflow.NondeterminismError: When this version would have done something else.
    """
    if not isinstance(history, WorkflowHistory):
        history = _read(Path(history))
    if thread_id is not None:
        history = WorkflowHistory(thread_id, history.events)
    replayer = Replayer(
        workflows=[],
        plugins=[AgentFrameworkPlugin()],
        namespace=namespace,
        data_converter=data_converter or DataConverter.default,
    )
    await replayer.replay_workflow(history)


def _read(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text(encoding="utf-8"))
