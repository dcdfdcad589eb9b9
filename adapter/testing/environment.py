"""A server and a worker for tests, in one context manager."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Unpack

from agent_framework_temporal.adapter.client.durable_workflow import DurableWorkflow
from agent_framework_temporal.adapter.client.handle import Checkpoint
from agent_framework_temporal.adapter.client.options import OptionArguments
from agent_framework_temporal.adapter.commands.dev_server import start_dev_server
from agent_framework_temporal.adapter.framework.definition import WorkflowEntry
from agent_framework_temporal.adapter.plugin import AgentFrameworkPlugin
from temporalio.client import Client
from temporalio.testing import TimeSkipper, TimeSkippingConfig
from temporalio.worker import Worker

from .replay import replay_history

_SERVER_FLAGS = ("--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true")


class DurableTestEnvironment:
    """A real Temporal server, and a worker that hosts workflows; `start` makes one.

    Args:
        client: Connected to the server.
        task_queue: The queue the worker polls.
        skipper: Skips time.
    """

    def __init__(self, client: Client, task_queue: str, skipper: TimeSkipper) -> None:
        self.client = client
        """A connected client."""
        self.task_queue = task_queue
        """Where the workflows are hosted."""
        self._skipper = skipper

    @classmethod
    @asynccontextmanager
    async def start(
        cls, workflows: Sequence[WorkflowEntry], *, replay_each_task: bool = False, **plugin: Any
    ) -> AsyncIterator[DurableTestEnvironment]:
        """Start a server, in memory, and a worker; both end with the context. Takes about a second.

        One environment for a whole test session is enough: threads do not meet.

        Args:
            workflows: What the worker hosts.
            replay_each_task: Keep nothing between supersteps, as if each were taken over by another worker: slower, and
                shows state that no checkpoint holds.
            **plugin: More arguments for `AgentFrameworkPlugin`.

        Raises:
            HostingError: When a workflow cannot be hosted.
            ServerUnreachableError: When the server does not start, for instance as the extra `dev` is missing.
        """
        cold: dict[str, Any] = {"max_cached_workflows": 0} if replay_each_task else {}
        if replay_each_task:
            plugin["cache_bytes"] = 0
        async with await start_dev_server(extra_args=_SERVER_FLAGS) as server:
            client = await server.connect()
            queue = f"test-{uuid.uuid4().hex[:8]}"
            async with Worker(client, task_queue=queue, plugins=[AgentFrameworkPlugin(workflows, **plugin)], **cold):
                # Off until a test skips time: else a run that waits for a person would meet its deadline at once.
                yield cls(client, queue, TimeSkipper(client, config=TimeSkippingConfig(enabled=False)))

    def durable(self, workflow: WorkflowEntry | str, **options: Unpack[OptionArguments]) -> DurableWorkflow:
        """Return a facade of a hosted workflow.

        Args:
            workflow: As for `DurableWorkflow`.
            **options: Arguments of `DurableOptions`.
        """
        return DurableWorkflow(workflow, client=self._skipper.client, task_queue=self.task_queue, **options)

    async def skip_time(self, thread: Checkpoint | str, duration: timedelta) -> bool:
        """Let time pass for a thread that waits: its reminders and deadlines come due, in about a second.

        Only for threads that a facade of `durable` has begun. It uses the SDK's per-workflow time skipping, which is
        experimental.

        Args:
            thread: A handle, or a thread id.
            duration: How far to skip.

        Returns:
            False when the run has come to its end before.
        """
        thread_id = thread if isinstance(thread, str) else thread.thread_id
        return await self._skipper.fast_forward(self.client.get_workflow_handle(thread_id), duration)

    async def replay(self, thread: Checkpoint | str) -> None:
        """Replay a thread's latest run; see `replay_history`."""
        thread_id = thread if isinstance(thread, str) else thread.thread_id
        await replay_history(await self.client.get_workflow_handle(thread_id).fetch_history())
