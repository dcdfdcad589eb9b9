"""What the facade does with threads besides running them: handles, lists of checkpoints, requests, cancellation."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from agent_framework import CheckpointStorage
from temporalio.client import Client, ScheduleHandle

from ...workflows.messages import PendingRequest
from ..checkpoints.lineage import CheckpointInfo
from ..checkpoints.mirror import MirrorStorage, ThreadSource, copy_missing
from ..checkpoints.thread import latest_run_id
from ..errors import PayloadError
from ..framework.definition import HostedWorkflow, WorkflowEntry, build_now, define
from ..temporal.client import framed_client, rpc_errors
from .calls import Caller
from .handle import Checkpoint
from .options import DurableOptions


class ThreadOperations:
    """The part of `DurableWorkflow` that does not run anything.

    Args:
        workflow: See `DurableWorkflow`.
        client: See `DurableWorkflow`.
        task_queue: See `DurableWorkflow`.
        options: Options of new runs.
    """

    def __init__(self, workflow: WorkflowEntry | str, client: Client, task_queue: str, options: DurableOptions) -> None:
        if not task_queue:
            raise ValueError("`task_queue` must name the queue a worker polls.")
        self._entry: WorkflowEntry | None = None
        self._name: str | None = None
        if isinstance(workflow, str):
            self._name = workflow
        else:
            # An async factory can only be called in a loop: its name is known with the first run.
            self._entry, self._name = build_now(workflow)
        self._hosted: HostedWorkflow | None = None
        self._client = framed_client(client)
        self._caller = Caller(self._client, task_queue, options)
        self._own: Checkpoint | None = None

    @property
    def name(self) -> str:
        """The workflow's name; of an async factory known after the first run, empty before."""
        return self._name or ""

    def checkpoint(self, thread_id: str | None = None) -> Checkpoint:
        """Return a handle to a thread: no round trip.

        Args:
            thread_id: Temporal workflow id of the thread, new or existing; a new unique one when left out.
        """
        return Checkpoint(workflow_name=self.name, thread_id=thread_id or f"{self.name or 'thread'}-{uuid.uuid4()}")

    async def checkpoints(self, thread: Checkpoint | str | None = None) -> list[CheckpointInfo]:
        """List the checkpoints of a thread over all its runs, oldest first; no worker is needed, none is decoded.

        Costs one round trip, and another for each 200 events of the thread's history.

        Args:
            thread: A handle, or a thread id; the facade's own thread when left out.

        Raises:
            ThreadNotFoundError: When there is no such thread, or it belongs to another workflow.
        """
        await self._definition()  # An async factory's name is known only now.
        thread_id = thread if isinstance(thread, str) else self._handle(thread).thread_id
        return await self._caller.checkpoints(thread_id, self.name)

    async def copy_checkpoints(self, storage: CheckpointStorage, thread: Checkpoint | str | None = None) -> list[str]:
        """Copy what a storage lacks of a thread's checkpoints, oldest first; no worker is needed.

        For threads that had no mirror, or whose mirror was down when the last worker stopped. Costs one `load` for each
        checkpoint that is lacking and one more, a `save` for each, and two round trips for each 200 history events.

        Args:
            storage: Takes the copies.
            thread: A handle, or a thread id; the facade's own thread when left out.

        Returns:
            The ids of the checkpoints that were copied.

        Raises:
            ThreadNotFoundError: When there is no such thread (any more), or it belongs to another workflow.
            PayloadError: When the facade was made from the workflow's name.
            Exception: What the storage raises.
        """
        hosted = await self._definition()
        if hosted is None:
            raise PayloadError("Checkpoints are decoded: make the facade from the workflow's factory, not its name.")
        thread_id = thread if isinstance(thread, str) else self._handle(thread).thread_id
        run_id = await latest_run_id(self._client, thread_id, self.name)
        source = ThreadSource(self._client, thread_id, run_id, hosted.catalog)
        with rpc_errors(self._client, f"copy the checkpoints of thread {thread_id!r}"):
            return await copy_missing(source, MirrorStorage(storage))

    async def pending_requests(self, checkpoint: Checkpoint | None = None) -> list[PendingRequest]:
        """Return what the thread waits for, as plain JSON: one query, which a worker answers.

        Raises:
            ThreadNotFoundError: When the thread has no run.
            NoWorkerError: When no worker answers.
        """
        return await self._caller.queries.pending_requests(self._handle(checkpoint).thread_id)

    async def cancel(self, checkpoint: Checkpoint | None = None) -> None:
        """Cancel what runs in the thread; the cancellation reaches the running executor. One round trip.

        Raises:
            ThreadNotFoundError: When the thread has no open run.
        """
        await self._caller.queries.cancel(self._handle(checkpoint).thread_id)

    async def retry(self, checkpoint: Checkpoint | None = None) -> None:
        """Try again what a paused run failed at; follow it then with `run_stream(checkpoint=...)`.

        For runs with the option `pause_on_failure`; one without it has ended, and `run_stream(checkpoint=...)` resumes
        it. Costs one query and one signal: 4 history events with the workflow task, and those of the superstep.

        Raises:
            ThreadNotFoundError: When the thread has no open run.
            AlreadyRunningError: When it is running.
            PendingRequestsError: When it waits for responses.
            NoWorkerError: When no worker answers.
        """
        await self._caller.queries.retry(self._handle(checkpoint).thread_id)

    async def schedule(
        self, schedule_id: str, message: Any, *, cron: str | Sequence[str], time_zone: str | None = None
    ) -> ScheduleHandle:
        """Let Temporal begin a thread with a message at fixed times, whether or not any process of ours runs then.

        Each action begins a thread of its own, whose id is the schedule's and the time: the threads of a schedule are
        listed by `await handle.describe()`. Threads of one schedule may overlap.

        Args:
            schedule_id: Name of the schedule.
            message: For the start executor; the same each time.
            cron: When, as five fields (`0 3 * * *`), or several of these.
            time_zone: Of the cron fields, as `Europe/Berlin`; UTC when left out.

        Returns:
            The SDK's handle, to trigger, pause, change or delete it.

        Raises:
            PayloadError: When the message cannot travel.
            ThreadExistsError: When there is a schedule of that name.

        Cost: one round trip; two more for a facade that has not run anything. The schedule itself is no run.
        """
        hosted = await self._definition()
        return await self._caller.schedule(schedule_id, message, self.name, hosted, cron=cron, time_zone=time_zone)

    def _handle(self, checkpoint: Checkpoint | None) -> Checkpoint:
        if checkpoint is not None:
            return checkpoint
        if self._own is None:
            self._own = self.checkpoint()
        return self._own

    async def _definition(self) -> HostedWorkflow | None:
        if self._hosted is None and self._entry is not None:
            self._hosted = await define(self._entry)
            self._name = self._hosted.name
        return self._hosted
