"""The Temporal plugin: one class for client, worker and replayer."""

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
from temporalio.worker import Worker, WorkerConfig, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from ..activities._cache import DEFAULT_BYTES, CheckpointCache
from ..activities._containment import tasks_contained
from ..activities._live import LiveRuns
from ..activities._mirrors import Mirrors
from ..activities._pacemaker import pacing
from ..activities._resources import leave_shared
from ..activities._superstep import SuperstepActivity
from ..workflows._messages import SUPERSTEP_ACTIVITY
from ..workflows._workflow import AgentFrameworkWorkflow
from ._client import framed_client
from ._converter import with_frames
from ._deployment import publish_graphs
from ._errors import HostingError
from ._hosting import Buildable, HostedWorkflow, WorkflowEntry, check_names, host_all, host_now, is_workflow
from ._mirror import MirrorEntry

_PASSED_THROUGH = ("pydantic", "pydantic_core", "jsonschema_rs", "agent_framework_temporal")
"""Modules the sandbox takes from outside: pydantic and jsonschema_rs for speed, ours because the wire models must be
the same classes that the payload converter knows. None does anything that is not deterministic when imported."""

_SDK_STICKY_TIMEOUT = timedelta(seconds=10)
_STICKY_TIMEOUT = timedelta(seconds=3)
"""How long the server waits for the worker that has a workflow in its cache, before any worker may go on with it. The
SDK's ten seconds are most of what a run loses when its worker is killed; replaying one of ours takes little."""

_SDK_HEARTBEAT_THROTTLE = timedelta(seconds=60)
_HEARTBEAT_THROTTLE = timedelta(milliseconds=50)
"""Live events travel in heartbeats, which the SDK would hold back for up to a minute."""


class AgentFrameworkPlugin(SimplePlugin):
    """Hosts framework workflows on a Temporal worker, and gives clients the data converter that goes with them.

    Pass it to `Worker(plugins=[...])`, or to `Client.connect(plugins=[...])` for workers made with that client to take
    it over. A client that only starts and answers runs needs no `workflows`, and the facade needs no plugin at all.

    Args:
        workflows: What the worker hosts, each a factory `() -> Workflow` (sync or async), of which each superstep gets
            its own instance; or a `Workflow` instance, used as it is by one superstep at a time while others wait their
            turn (for tests and single-user use). A workflow is hosted under its `name`.
        cache_bytes: Bound on what the worker keeps between supersteps, 128 MB: raw checkpoints, and live instances that
            hold exactly one checkpoint each. It only saves time: a superstep whose checkpoint is not there reads it
            from history, one round trip for each 200 events back to the last keyframe. 0 keeps nothing.
        mirrors: Checkpoint storages of the framework, or factories of one (sync or async), by the name that runs choose
            with `DurableWorkflow(mirror=...)`. Each checkpoint of such a run is copied there, one `save` in the
            background; history stays the truth. One that is down or hangs neither fails nor slows a run; it is logged,
            told in the thread's event log (`mirror_behind`, `mirror_caught_up`), counted in the metrics
            `agent_framework_mirror_failures` and `agent_framework_mirror_behind`, and caught up from history. A storage
            must not block the event loop. One that a workflow was built with is such a mirror of its runs, unnamed.

    Raises:
        HostingError: When an entry cannot be hosted: a duplicate or auto-generated name, a factory that builds a
            different graph each time, a message type local to a function. Factories are called twice, here; those
            that need a running loop, and async ones, when the worker starts, before it polls: the error comes out of
            `async with Worker(...)`, or `worker.run()`.
    """

    def __init__(
        self,
        workflows: Sequence[WorkflowEntry] = (),
        *,
        cache_bytes: int = DEFAULT_BYTES,
        mirrors: Mapping[str, MirrorEntry] | None = None,
    ) -> None:
        if is_workflow(workflows) or callable(workflows):
            raise HostingError("`workflows` takes a list: `AgentFrameworkPlugin(workflows=[build])`.")
        self._entries = [host_now(entry) or entry for entry in workflows]
        check_names(entry.hosted.name for entry in self._entries if isinstance(entry, Buildable))
        self._hosts = bool(self._entries)
        self.hosted: dict[str, HostedWorkflow] = {}
        self._deployment: tuple[Client, WorkerDeploymentVersion] | None = None
        self._live = LiveRuns(cache_bytes // 2)
        self._mirrors = Mirrors(mirrors or {})
        superstep = SuperstepActivity(self.hosted, CheckpointCache(cache_bytes // 2), self._live, self._mirrors)
        super().__init__(
            "agent_framework_temporal.AgentFrameworkPlugin",
            data_converter=with_frames,
            activities=[superstep.superstep] if self._hosts else None,
            workflows=[AgentFrameworkWorkflow],
            workflow_runner=_with_passthrough,
        )
        self._superstep = superstep

    async def prepare(self) -> dict[str, HostedWorkflow]:
        """Build and check every workflow; the worker does this before it polls.

        Returns:
            The hosted workflows by name.

        Raises:
            HostingError: For the first one that cannot be hosted.
        """
        if not self.hosted:
            self.hosted.update(await host_all(self._entries))
            self._entries = []  # What was built to be checked is not needed any more.
        return self.hosted

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """See base class. A client without this plugin is given our payload converter here.

        Raises:
            HostingError: When two plugins that host workflows meet on one worker.
        """
        activities = list(config.get("activities") or ())
        if self._hosts and any(getattr(found, "__name__", "") == SUPERSTEP_ACTIVITY for found in activities):
            raise HostingError(
                "This worker has an AgentFrameworkPlugin with workflows already, from its client perhaps. Name all "
                "workflows in one plugin, given to the client or to the worker."
            )
        # The client's own plugin, without workflows, registers it too.
        config["workflows"] = [found for found in config.get("workflows") or () if found is not AgentFrameworkWorkflow]
        config = super().configure_worker(config)
        if config.get("sticky_queue_schedule_to_start_timeout") == _SDK_STICKY_TIMEOUT:
            config["sticky_queue_schedule_to_start_timeout"] = _STICKY_TIMEOUT
        if config.get("max_heartbeat_throttle_interval") == _SDK_HEARTBEAT_THROTTLE:
            config["max_heartbeat_throttle_interval"] = _HEARTBEAT_THROTTLE
        config["client"] = framed_client(config["client"])
        self._deployment = None
        deployment = config.get("deployment_config")
        if self._hosts and deployment is not None and deployment.use_worker_versioning:
            self._deployment = (config["client"], deployment.version)
        return config

    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:
        """See base class.

        Raises:
            HostingError: For the first workflow that cannot be hosted.
        """
        try:
            await self.prepare()
        except BaseException as error:
            self._superstep.refused = error
            await _start_and_stop(worker, next)
            raise
        async with self._running():
            with tasks_contained(), pacing(worker):
                await next(worker)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        publishing = None
        if self._deployment is not None:
            client, version = self._deployment
            graphs = {name: hosted.graph_hash for name, hosted in self.hosted.items()}
            publishing = asyncio.create_task(publish_graphs(client, version, graphs))
        try:
            yield
        finally:
            if publishing is not None:
                publishing.cancel()
                await asyncio.gather(publishing, return_exceptions=True)
            await self._live.close()
            await leave_shared(hosted.shared for hosted in self.hosted.values())
            await self._mirrors.close()


async def _start_and_stop(worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:
    """Run a worker that is told to stop already: who leaves `async with Worker(...)` waits until it has stopped."""
    stopping = asyncio.create_task(worker.shutdown())
    try:
        with contextlib.suppress(Exception):
            await next(worker)
    finally:
        stopping.cancel()


def _with_passthrough(runner: WorkflowRunner | None) -> WorkflowRunner:
    if runner is None:
        runner = SandboxedWorkflowRunner()
    if isinstance(runner, SandboxedWorkflowRunner):
        return dataclasses.replace(runner, restrictions=runner.restrictions.with_passthrough_modules(*_PASSED_THROUGH))
    return runner
