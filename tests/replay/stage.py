"""What a scenario is given: a server, a worker, and a place for the histories it leaves behind."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_framework_temporal import Checkpoint, DurableWorkflow, WorkflowEntry
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowHistory

from tests.replay.flows import Gate

_ROOT = Path(__file__).parents[2]


@dataclass
class Stage:
    """Where one scenario plays."""

    client: Client
    task_queue: str
    """A worker of this process polls it, which hosts every workflow of `tests.flows` and `tests.replay.flows`."""
    kept: list[WorkflowHistory] = field(default_factory=list)

    def durable(self, workflow: WorkflowEntry, task_queue: str | None = None, **options: Any) -> DurableWorkflow:
        """Return a facade. Whether runs show search attributes is not left to what the server knows."""
        chosen: dict[str, Any] = {"search_attributes": False, **options}
        return DurableWorkflow(workflow, client=self.client, task_queue=task_queue or self.task_queue, **chosen)

    def run_of(self, thread: Checkpoint) -> WorkflowHandle[Any, Any]:
        """Return a handle to the latest run of a thread."""
        return self.client.get_workflow_handle(thread.thread_id)

    async def seen(
        self, thread: Checkpoint, name: str, count: int = 1, where: Callable[[HistoryEvent], bool] = lambda event: True
    ) -> None:
        """Wait until the latest run's history has so many events of a type."""
        description = await self.run_of(thread).describe()
        handle = self.client.get_workflow_handle(thread.thread_id, run_id=description.run_id)
        async for event in handle.fetch_history_events(wait_new_event=True):
            count -= event.event_type == EventType.Value(f"EVENT_TYPE_{name}") and where(event)
            if not count:
                return
        raise AssertionError(f"{thread.thread_id}: its run is over and has too few events of type {name}")

    async def seen_begun(self, gate: Gate, count: int) -> None:
        """Wait until a loop has begun so many supersteps."""
        while gate.begun < count:
            await asyncio.sleep(0.02)

    async def ended(self, thread: Checkpoint) -> None:
        """Wait until the latest run is over, however it ends."""
        with contextlib.suppress(WorkflowFailureError):
            await self.run_of(thread).result()

    async def waits(self, thread: Checkpoint) -> None:
        """Wait until the latest run has nothing more to do by itself; asks its worker."""
        while (await self.run_of(thread).query("status"))["state"] != "waiting":
            await asyncio.sleep(0.05)

    async def moved(self, thread: Checkpoint, run_id: str) -> bool:
        """Tell whether the thread's latest run is another one."""
        return (await self.run_of(thread).describe()).run_id != run_id

    async def keep(self, *threads: Checkpoint, client: Client | None = None) -> None:
        """Keep the histories of all runs of threads, as they are now."""
        for thread in threads:
            self.kept += [scrubbed(history) for history in await _all_runs(client or self.client, thread.thread_id)]


async def _all_runs(client: Client, thread_id: str) -> list[WorkflowHistory]:
    """Return the histories of a thread's runs, oldest first: turns, and what continued as new."""
    latest = (await client.get_workflow_handle(thread_id).describe()).run_id
    while True:  # What the server lists lags behind a little.
        listed = [run async for run in client.list_workflows(f"WorkflowId = '{thread_id}'")]
        listed.sort(key=lambda run: run.start_time)
        histories = [await client.get_workflow_handle(thread_id, run_id=run.run_id).fetch_history() for run in listed]
        known = {run.run_id for run in listed}
        if latest in known and {linked for history in histories for linked in _links(history)} <= known:
            return histories


def _links(history: WorkflowHistory) -> Iterable[str]:
    """Yield the runs before and after one that continued as new."""
    first, last = history.events[0], history.events[-1]
    before = first.workflow_execution_started_event_attributes.continued_execution_run_id
    after = last.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return (run_id for run_id in (before, after) if run_id)


def counted(histories: Iterable[WorkflowHistory]) -> Counter[str]:
    """Count the events of histories by their type."""
    return Counter(
        EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
        for history in histories
        for event in history.events
    )


def scrubbed(history: WorkflowHistory) -> WorkflowHistory:
    """Take the folders of this machine out of tracebacks, and its name; nothing the workflow decides by is in them."""
    folders = sorted({str(_ROOT), *(path for path in sys.path if path.startswith("/"))}, key=len, reverse=True)

    def clean(value: Any) -> Any:
        if isinstance(value, list):
            return [clean(item) for item in value]
        if isinstance(value, dict):
            cleaned = {key: clean(item) for key, item in value.items()}
            if "identity" in cleaned:
                cleaned["identity"] = re.sub(r"^\d+@.*", "worker", cleaned["identity"])
            if isinstance(cleaned.get("data"), str) and "metadata" in cleaned:
                data = base64.b64decode(cleaned["data"])
                for folder in folders:
                    data = data.replace(f"{folder}/".encode(), b"")
                cleaned["data"] = base64.b64encode(data).decode()
            return cleaned
        if isinstance(value, str):
            for folder in folders:
                value = value.replace(f"{folder}/", "")
        return value

    return WorkflowHistory.from_json(history.workflow_id, clean(json.loads(history.to_json())))
