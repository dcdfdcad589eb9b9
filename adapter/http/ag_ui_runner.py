"""What agent-framework's AG-UI endpoint runs: its own runner, for one durable thread at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from ag_ui.core import BaseEvent, RunErrorEvent, RunFinishedEvent
from agent_framework_ag_ui import AgentFrameworkWorkflow

from ..framework.internals import give_threads
from .ag_ui_thread import AGUIThread, AGUIThreads, workflow_id

_NOTHING = {"id": "nothing", "role": "user", "content": "-"}
"""Is never sent: without a message the framework's runner would ask the thread nothing."""


class AGUIRunner(AgentFrameworkWorkflow):
    """Keeps nothing of any thread: each request is given a runner of its own.

    Args:
        threads: The workflow's.
    """

    def __init__(self, threads: AGUIThreads) -> None:
        durable = threads.durable
        super().__init__(name=durable.name or None, description=getattr(durable, "description", None))
        self._threads = threads

    async def run(self, input_data: dict[str, Any]) -> AsyncGenerator[BaseEvent]:
        """Answer one request with AG-UI's events."""
        looks = not (input_data.get("messages") or input_data.get("resume") or self.snapshot_store)
        if looks:
            input_data = {**input_data, "messages": [_NOTHING]}
        name = (await self._threads.definition()).name
        thread: AGUIThread | None = None

        def thread_of(thread_id: str, scope: str | None = None) -> AGUIThread:
            nonlocal thread
            handle = self._threads.durable.checkpoint(workflow_id(name, scope, thread_id))
            thread = AGUIThread(self._threads, handle, looks=looks)
            return thread

        runner = AgentFrameworkWorkflow(
            name=self.name,
            description=self.description,
            snapshot_store=self.snapshot_store,
            checkpoint_storage=self.checkpoint_storage,
        )
        give_threads(runner, thread_of)
        failed = False
        async for event in runner.run(input_data):
            if failed:
                continue  # The framework's runner tells a status after RUN_ERROR, which has to be the last.
            if isinstance(event, RunFinishedEvent) and thread is not None and thread.failure is not None:
                code = type(thread.failure).__name__
                event = RunErrorEvent(message="What this thread waits for could not be read.", code=code)
            failed = isinstance(event, RunErrorEvent)
            yield event
