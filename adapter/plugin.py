"""The Temporal plugin: one class for clients, workers and replayers."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.plugin import SimplePlugin
from temporalio.worker import ReplayerConfig, Worker, WorkerConfig, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from ..activities.cache import DEFAULT_BYTES, CheckpointCache
from ..activities.containment import tasks_contained
from ..activities.deployment import publish_graphs
from ..activities.hosting import Buildable, check_names, host_all, host_now
from ..activities.mirrors import Mirrors
from ..activities.pacemaker import pacing
from ..activities.placement.invocation import InvocationActivity
from ..activities.resources import leave_shared
from ..activities.revival import Revival
from ..activities.superstep import SuperstepActivity
from ..activities.warm import WarmInstances
from ..workflows.exported import exported
from ..workflows.messages import SUPERSTEP_ACTIVITY
from ..workflows.workflow import AgentFrameworkWorkflow
from .checkpoints.mirror import MirrorSource
from .errors import HostingError
from .framework.definition import WorkflowDefinition, WorkflowSource, is_source
from .framework.selection import ExecutorSelection
from .temporal.client import framed_client
from .temporal.converter import with_frames
from .temporal.packing import packing
from .temporal.process_exit import settle_at_exit
from .temporal.reading import reading, reading_client

_PASSED_THROUGH = ("pydantic", "pydantic_core", "jsonschema_rs", "agent_framework_temporal")
"""Modules the sandbox takes from outside: pydantic and jsonschema_rs for speed, ours because the wire models must be
the same classes that the payload converter knows. None does anything that is not deterministic when imported."""

_SDK_STICKY_TIMEOUT = timedelta(seconds=10)
_STICKY_TIMEOUT = timedelta(seconds=3)
"""How long the server waits for the worker that has a workflow in its cache, before any worker may go on with it. The
SDK's ten seconds are most of what a run loses when its worker is killed; replaying one of ours takes little."""

_SDK_HEARTBEAT_THROTTLE = timedelta(seconds=60)
_HEARTBEAT_THROTTLE = timedelta(milliseconds=50)
"""The SDK would hold heartbeats back for most of their timeout: one that is sent late may undo what was written past
it."""


@exported
class AgentFrameworkPlugin(SimplePlugin):
    """Hosts framework workflows on a Temporal worker, and gives clients the matching data converter.

    Pass it to `Worker(plugins=[...])`, or to `Client.connect(plugins=[...])`, from where workers created with that
    client inherit it. A client that only starts and answers runs does not need `workflows`, and the facade does not
    need the plugin.

    Args:
        workflows: What the worker hosts: factories `() -> Workflow` (sync or async), which give each superstep its own
            instance; or `Workflow` instances, each used by one superstep at a time while others wait (for tests and
            single-user use). A workflow is hosted under its `name`.
        cache_bytes: Limit on what the worker caches between supersteps, 128 MB: raw checkpoints, and warm instances
            that hold exactly one checkpoint each. The cache only saves time: without it a superstep reads its
            checkpoint from history, one round trip for each 200 events back to the last keyframe. 0 disables it.
        mirrors: Checkpoint storages of the framework, or factories of one (sync or async), by the name that runs select
            with `DurableWorkflow(mirror=...)`. Each checkpoint of such a run is copied there, one `save` in the
            background; history remains the source of truth. A mirror that is down or hangs neither fails nor slows a
            run. It is logged, reported in the thread's event log (`mirror_behind`, `mirror_caught_up`), counted in the
            metrics `agent_framework_mirror_failures` and `agent_framework_mirror_behind`, and caught up from history. A
            storage must not block the event loop. A storage that a workflow was built with acts as an unnamed mirror of
            its runs.
        caller_checkpoints: Whether a thread may start from a checkpoint that its caller supplies, from a storage that
            the worker does not know. If False, only from checkpoints in history or in a mirror of the run.
        executors: Which executors run on this worker: ids or patterns such as `gpu-*`, or with a leading `!` to exclude
            (`!gpu-*`: all others); all. It rejects the others, so place those on their own task queue with
            `ExecutorPolicy(task_queue=...)`. Factories can ask `takes_executor`.
        sandboxed: Whether this package's own workflow runs in the SDK's sandbox; your own workflows on this worker do
            in any case. It is tested and replayed there and calls none of your code, and in production the sandbox
            would cost CPU with each superstep.

    Raises:
        HostingError: When an entry cannot be hosted: a duplicate or auto-generated name, a factory that builds a
            different graph each time, or a message type local to a function. Factories are called twice, here; async
            ones, and those that need a running event loop, when the worker starts and before it polls, so that the
            error is raised by `async with Worker(...)` or `worker.run()`.
    """

    def __init__(
        self,
        workflows: Sequence[WorkflowSource] = (),
        *,
        cache_bytes: int = DEFAULT_BYTES,
        mirrors: Mapping[str, MirrorSource] | None = None,
        caller_checkpoints: bool = True,
        executors: Sequence[str] = (),
        sandboxed: bool = False,
    ) -> None:
        if is_source(workflows):
            raise HostingError("`workflows` takes a list: `AgentFrameworkPlugin(workflows=[build])`.")
        settle_at_exit()
        self._selection = ExecutorSelection(executors)
        with self._selection.building():
            self._sources = [host_now(source) or source for source in workflows]
        check_names(source.hosted.name for source in self._sources if isinstance(source, Buildable))
        self._hosts = bool(self._sources)
        self._is_sandboxed = sandboxed
        self._hosted: dict[str, WorkflowDefinition] = {}
        self._deployment: tuple[Client, WorkerDeploymentVersion] | None = None
        self._warm = WarmInstances(cache_bytes // 2)
        self._mirrors = Mirrors(mirrors or {})
        self._revival = Revival(self._hosted)
        self._client: tuple[Client, str] | None = None
        superstep = SuperstepActivity(
            self._hosted,
            CheckpointCache(cache_bytes // 2),
            self._warm,
            self._mirrors,
            caller_checkpoints=caller_checkpoints,
            selection=self._selection,
        )
        invocation = InvocationActivity(self._hosted, self._selection)
        super().__init__(
            "agent_framework_temporal.AgentFrameworkPlugin",
            data_converter=with_frames,
            activities=[superstep.superstep, invocation.invocation] if self._hosts else None,
            workflows=[AgentFrameworkWorkflow],
            workflow_runner=self._workflow_runner,
        )
        self._activities = (superstep, invocation)

    async def prepare(self) -> list[str]:
        """Build and check every workflow; the worker does this before it polls.

        Returns:
            The names of what is hosted.

        Raises:
            HostingError: For the first one that cannot be hosted.
        """
        if not self._hosted:
            with self._selection.building():
                hosted = await host_all(self._sources)
            for found in hosted.values():
                found.selection = self._selection
            self._hosted.update(hosted)
            self._sources = []  # What was built to be checked is not needed any more.
        return sorted(self._hosted)

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """See base class. A client without this plugin gets our payload converter here.

        Raises:
            HostingError: When two plugins that host workflows meet on one worker.
        """
        activities = list(config.get("activities") or ())
        if self._hosts and any(getattr(found, "__name__", "") == SUPERSTEP_ACTIVITY for found in activities):
            raise HostingError(
                "This worker already has an AgentFrameworkPlugin with workflows, perhaps from its client. List all "
                "workflows in one plugin, and pass it to either the client or the worker."
            )
        # The client's own plugin, without workflows, registers it too.
        config["workflows"] = [found for found in config.get("workflows") or () if found is not AgentFrameworkWorkflow]
        config = super().configure_worker(config)
        if config.get("sticky_queue_schedule_to_start_timeout") == _SDK_STICKY_TIMEOUT:
            config["sticky_queue_schedule_to_start_timeout"] = _STICKY_TIMEOUT
        if config.get("max_heartbeat_throttle_interval") == _SDK_HEARTBEAT_THROTTLE:
            config["max_heartbeat_throttle_interval"] = _HEARTBEAT_THROTTLE
        config["client"] = reading_client(framed_client(config["client"]))
        self._client = (config["client"], config["task_queue"]) if self._hosts else None
        self._deployment = None
        deployment = config.get("deployment_config")
        if self._hosts and deployment is not None and deployment.use_worker_versioning:
            self._deployment = (config["client"], deployment.version)
        return config

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        """See base class."""
        config = super().configure_replayer(config)
        config["data_converter"] = reading(with_frames(config.get("data_converter")))
        return config

    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:
        """See base class.

        Raises:
            HostingError: For the first workflow that cannot be hosted.
        """
        try:
            await self.prepare()
        except BaseException as error:
            for refusing in self._activities:
                refusing.refused = error
            await _start_and_stop(worker, next)
            raise
        async with self._running():
            with tasks_contained(), pacing(worker):
                await next(worker)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        beside: list[asyncio.Task[None]] = []
        if self._deployment is not None:
            client, version = self._deployment
            graphs = {name: hosted.graph_hash for name, hosted in self._hosted.items()}
            beside.append(asyncio.create_task(publish_graphs(client, version, graphs)))
        if self._client is not None:
            beside.append(asyncio.create_task(self._revival.run(*self._client)))
        try:
            yield
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self._warm.close()
            await leave_shared(hosted.shared for hosted in self._hosted.values())
            await self._mirrors.close()

    def _workflow_runner(self, runner: WorkflowRunner | None) -> WorkflowRunner:
        if runner is None:
            runner = SandboxedWorkflowRunner()
        if isinstance(runner, SandboxedWorkflowRunner):
            restrictions = runner.restrictions.with_passthrough_modules(*_PASSED_THROUGH)
            runner = dataclasses.replace(runner, restrictions=restrictions)
        return packing(runner, self._revival.notice, sandboxed=self._is_sandboxed)


async def _start_and_stop(worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:
    """Run a worker that is told to stop already: who leaves `async with Worker(...)` waits until it has stopped."""
    stopping = asyncio.create_task(worker.shutdown())
    try:
        with contextlib.suppress(Exception):
            await next(worker)
    finally:
        stopping.cancel()
