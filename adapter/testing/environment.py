"""A server and a worker for tests, in one context manager."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Unpack

from agent_framework_temporal.adapter.checkpoints.handle import Checkpoint, thread_id_of
from agent_framework_temporal.adapter.client.durable_workflow import DurableWorkflow
from agent_framework_temporal.adapter.client.options import DurableOptions, OptionArguments
from agent_framework_temporal.adapter.commands.dev_server import start_dev_server
from agent_framework_temporal.adapter.errors import HostingError
from agent_framework_temporal.adapter.framework.definition import WorkflowSource
from agent_framework_temporal.adapter.plugin import AgentFrameworkPlugin
from temporalio.client import Client
from temporalio.testing import TimeSkipper, TimeSkippingConfig
from temporalio.worker import Worker

from .exported import exported_for_tests
from .replay import replay_history

_SERVER_FLAGS = ("--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true")


@exported_for_tests
class DurableTestEnvironment:
    """A real Temporal server, and a worker that hosts workflows; `start` makes one.

    Args:
        client: Connected to the server.
        task_queue: The queue the worker polls.
        skipper: Skips time.
        workflows: What the worker hosts.
    """

    def __init__(
        self, client: Client, task_queue: str, skipper: TimeSkipper, workflows: Sequence[WorkflowSource] = ()
    ) -> None:
        self.client = client
        """A connected client."""
        self.task_queue = task_queue
        """Where the workflows are hosted."""
        self.workflows: tuple[WorkflowSource, ...] = tuple(workflows)
        """The hosted workflows."""
        self._skipper = skipper

    @classmethod
    @asynccontextmanager
    async def start(
        cls, workflows: Sequence[WorkflowSource], *, replay_each_task: bool = False, **plugin: Any
    ) -> AsyncIterator[DurableTestEnvironment]:
        """Start an in-memory server and a worker; both stop when the context exits. Takes about a second.

        One environment is enough for a whole test session: each test has its own threads.

        Args:
            workflows: What the worker hosts.
            replay_each_task: Keep nothing on the worker between supersteps, as if another worker took over each time.
                Slower, but reveals state that no checkpoint holds.
            **plugin: More arguments for `AgentFrameworkPlugin`.

        Raises:
            HostingError: When a workflow cannot be hosted.
            ServerUnreachableError: When the server does not start, for example because the extra `dev` is missing.
        """
        hosting = _plugin(workflows, replay_each_task, plugin)
        await hosting.prepare()  # Refuses what cannot be hosted before anything starts.
        async with (
            running_server() as server,
            server.host(workflows, replay_each_task=replay_each_task, **plugin) as hosted,
        ):
            yield hosted

    @asynccontextmanager
    async def host(
        self, workflows: Sequence[WorkflowSource], *, replay_each_task: bool = False, **plugin: Any
    ) -> AsyncIterator[DurableTestEnvironment]:
        """Host workflows on one more worker, in the event loop of the caller; it stops when the context exits.

        Takes milliseconds. The worker has its own task queue on the same server.

        Args:
            workflows: See `start`.
            replay_each_task: See `start`.
            **plugin: See `start`.

        Raises:
            HostingError: When a workflow cannot be hosted.
        """
        queue = f"test-{uuid.uuid4().hex[:8]}"
        cold: dict[str, Any] = {"max_cached_workflows": 0} if replay_each_task else {}
        hosting = _plugin(workflows, replay_each_task, plugin)
        async with Worker(self.client, task_queue=queue, plugins=[hosting], **cold):
            yield DurableTestEnvironment(self.client, queue, self._skipper, workflows)

    def durable(
        self,
        workflow: WorkflowSource | str,
        *,
        options: DurableOptions | None = None,
        **changes: Unpack[OptionArguments],
    ) -> DurableWorkflow:
        """Return a facade of a hosted workflow; arguments as for `DurableWorkflow`.

        Args:
            workflow: The workflow's factory or instance, or its name.
            options: Options of the runs.
            **changes: Arguments of `DurableOptions`; they override those of `options`.

        Raises:
            HostingError: When this environment hosts nothing.
        """
        if not self.workflows:
            raise HostingError(
                "This environment hosts no workflows. Call the fixture `durable` instead, or host some with "
                "`async with durable_env.host([build]) as environment`."
            )
        return DurableWorkflow(
            workflow, client=self._skipper.client, task_queue=self.task_queue, options=options, **changes
        )

    async def skip_time(self, checkpoint: Checkpoint | str, duration: timedelta) -> bool:
        """Skip time for a waiting thread: its reminders and deadlines come due, in about a second.

        Works only for threads started through a facade from `durable`. It uses the SDK's per-workflow time skipping,
        which is experimental.

        Args:
            checkpoint: The thread's handle, or its id.
            duration: How far to skip.

        Returns:
            False when the run ended before the time was up.
        """
        return await self._skipper.fast_forward(self.client.get_workflow_handle(thread_id_of(checkpoint)), duration)

    async def replay(self, checkpoint: Checkpoint | str) -> None:
        """Replay a thread's latest run; see `replay_history`."""
        await replay_history(await self.client.get_workflow_handle(thread_id_of(checkpoint)).fetch_history())


@asynccontextmanager
async def running_server() -> AsyncIterator[DurableTestEnvironment]:
    """Start an in-memory server; yields an environment that hosts nothing yet."""
    async with await start_dev_server(extra_args=_SERVER_FLAGS) as server:
        client = await server.connect()
        # Off until a test skips time: otherwise a run that waits for a person would reach its deadline at once.
        yield DurableTestEnvironment(client, "", TimeSkipper(client, config=TimeSkippingConfig(enabled=False)))


def _plugin(
    workflows: Sequence[WorkflowSource], replay_each_task: bool, arguments: Mapping[str, Any]
) -> AgentFrameworkPlugin:
    kept: dict[str, Any] = {"cache_bytes": 0} if replay_each_task else {}
    return AgentFrameworkPlugin(workflows, **{**arguments, **kept})
