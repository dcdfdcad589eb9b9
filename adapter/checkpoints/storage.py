"""Temporal history as a checkpoint storage of the framework's: for reading checkpoints, with no worker running."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator

from agent_framework import CheckpointStorage, WorkflowCheckpoint
from temporalio.client import Client, WorkflowExecution

from ...workflows.exported import exported
from ...workflows.messages import WORKFLOW_TYPE, CheckpointRef
from ..errors import CheckpointNotFoundError, HistoryReadOnlyError, PayloadError
from ..framework.definition import HostedWorkflow, WorkflowEntry, build_now, define
from ..temporal.client import framed_client, rpc_errors
from .history import StoredFrame, load_checkpoint, restore, run_frames
from .label import loads_checkpoint
from .lineage import CheckpointInfo, Locator, infos, thread_frames
from .pickling import loads
from .thread import MEMO_WORKFLOW_NAME, latest_run_id

_LOGGER = logging.getLogger("agent_framework_temporal")


@exported
class HistoryCheckpointStorage:
    """The checkpoints that durable runs have left in Temporal history, as the framework's `CheckpointStorage`.

    For debugging and inspection: `Workflow.run(checkpoint_id=..., checkpoint_storage=HistoryCheckpointStorage(...))`
    goes on in this process from any superstep of a durable run. It only reads: checkpoints get into history by the
    supersteps of a worker. It needs the server and no worker.

    Args:
        client: A connected Temporal client with the codec and external storage the runs were written with.
        workflow: The workflow's factory or instance: checkpoints are decoded to the types it declares.
        thread_id: Lists take in this thread only; without it every thread of the workflow in the namespace, found by a
            visibility query, which may miss what began in the last second. Any checkpoint can be loaded either way.

    Raises:
        HostingError: When the workflow cannot be hosted, or the client has a payload converter of its own.

    Cost, in round trips: reading a history takes one for each 200 events, which is 33 supersteps. `load` reads back to
    the last keyframe before the checkpoint; a run that this storage has not seen costs a visibility query more.
    Lists read every history of the thread, or of all threads. Nothing is written.
    """

    def __init__(self, client: Client, workflow: WorkflowEntry, *, thread_id: str | None = None) -> None:
        self.client = framed_client(client)
        self._entry, _ = build_now(workflow)
        self._thread_id = thread_id
        self._hosted: HostedWorkflow | None = None
        self._locator = Locator(self.client)

    async def load(self, checkpoint_id: str) -> WorkflowCheckpoint:
        """Load a checkpoint, to go on from it.

        Raises:
            CheckpointNotFoundError: When there is none with this id, or it is another workflow's.
            CheckpointCorruptedError: When it does not restore to its digest.
            GraphChangedError: When the workflow has changed since, naming what changed.
            PayloadError: When it holds a type the workflow does not declare.
        """
        hosted = await self._definition()
        with rpc_errors(self.client, f"load checkpoint {checkpoint_id!r}"):
            raw = await self._raw(checkpoint_id, hosted)
        return loads_checkpoint(raw, hosted)

    async def list_checkpoints(self, *, workflow_name: str) -> list[WorkflowCheckpoint]:
        """Load every checkpoint, oldest first; one that this process cannot decode is left out with a warning.

        Raises:
            ThreadNotFoundError: When `thread_id` is no thread of this workflow.
        """
        hosted = await self._definition()
        if workflow_name != hosted.name:
            return []
        runs: dict[tuple[str, str], list[StoredFrame]] = {}
        found: dict[str, WorkflowCheckpoint] = {}
        with rpc_errors(self.client, f"list the checkpoints of workflow {workflow_name!r}"):
            async for thread_id, run_id, stored in self._frames(hosted):
                runs.setdefault((thread_id, run_id), []).append(stored)
            for (thread_id, run_id), frames in reversed(runs.items()):
                async for raw in self._restored(thread_id, run_id, frames):
                    try:
                        checkpoint: WorkflowCheckpoint = loads(raw, hosted.catalog)
                    except PayloadError as error:
                        _LOGGER.warning("A checkpoint of thread %r is left out of the list: %s", thread_id, error)
                    else:
                        found.setdefault(checkpoint.checkpoint_id, checkpoint)
        return sorted(found.values(), key=lambda checkpoint: checkpoint.timestamp)

    async def list_checkpoint_ids(self, *, workflow_name: str) -> list[str]:
        """Return the ids of every checkpoint, oldest first; none is decoded.

        Raises:
            ThreadNotFoundError: When `thread_id` is no thread of this workflow.
        """
        hosted = await self._definition()
        if workflow_name != hosted.name:
            return []
        found: dict[str, CheckpointInfo] = {}
        with rpc_errors(self.client, f"list the checkpoints of workflow {workflow_name!r}"):
            async for thread_id, run_id, stored in self._frames(hosted):
                found.update({info.checkpoint_id: info for info in infos(thread_id, run_id, stored)})
        return [info.checkpoint_id for info in sorted(found.values(), key=lambda info: info.timestamp)]

    async def get_latest(self, *, workflow_name: str) -> WorkflowCheckpoint | None:
        """Load the newest checkpoint of the thread, or of all threads; only that one is decoded.

        Raises:
            ThreadNotFoundError: When `thread_id` is no thread of this workflow.
        """
        hosted = await self._definition()
        if workflow_name != hosted.name:
            return None
        with rpc_errors(self.client, f"find the latest checkpoint of workflow {workflow_name!r}"):
            latest = await self._latest(hosted)
        return None if latest is None else await self.load(latest.checkpoint_id)

    async def save(self, checkpoint: WorkflowCheckpoint) -> str:
        """Refuse: only a worker's superstep adds to history. The framework logs that and goes on with its run.

        Raises:
            HistoryReadOnlyError: Always.
        """
        raise HistoryReadOnlyError(
            "Temporal history takes checkpoints from a worker's supersteps only, so those of a run in this process are "
            "not kept. To keep them, copy the checkpoint into another storage and run with that: `await "
            "other.save(await history.load(checkpoint_id))`. To go on durably, use "
            "`DurableWorkflow.run(checkpoint_id=...)`."
        )

    async def delete(self, checkpoint_id: str) -> bool:
        """Refuse: Temporal deletes a run with its whole history, never an event of it.

        Raises:
            HistoryReadOnlyError: Always.
        """
        raise HistoryReadOnlyError(
            f"Checkpoint {checkpoint_id!r} cannot be deleted alone: it is part of its run's history. Delete the whole "
            "run (`temporal workflow delete --workflow-id ...`), or leave it to the namespace's retention."
        )

    async def _definition(self) -> HostedWorkflow:
        if self._hosted is None:
            self._hosted = await define(self._entry)
        return self._hosted

    async def _raw(self, checkpoint_id: str, hosted: HostedWorkflow) -> bytes:
        try:
            return await load_checkpoint(self.client, await self._locator.locate(checkpoint_id))
        except CheckpointNotFoundError:
            if self._thread_id is None:
                raise
            # A later run of the thread may hold a copy of it, when the run that made it is past its retention.
            async for thread_id, run_id, stored in self._frames(hosted):
                if any(info.checkpoint_id == checkpoint_id for info in infos(thread_id, run_id, stored)):
                    ref = CheckpointRef(thread_id=thread_id, run_id=run_id, checkpoint_id=checkpoint_id)
                    return await load_checkpoint(self.client, ref)
            raise

    async def _frames(self, hosted: HostedWorkflow) -> AsyncIterator[tuple[str, str, StoredFrame]]:
        """Yield what the thread, or every thread, has stored, each run's newest first."""
        if self._thread_id is not None:
            run_id = await latest_run_id(self.client, self._thread_id, hosted.name)
            async for run, stored in thread_frames(self.client, self._thread_id, run_id):
                self._locator.saw(self._thread_id, run)
                yield self._thread_id, run, stored
            return
        async for execution in self._executions(hosted):
            with contextlib.suppress(CheckpointNotFoundError):  # Deleted since the query.
                async for found in run_frames(self.client, execution.id, execution.run_id):
                    if isinstance(found, StoredFrame):
                        yield execution.id, execution.run_id, found

    async def _executions(self, hosted: HostedWorkflow) -> AsyncIterator[WorkflowExecution]:
        """Yield the runs of every thread as servers list them: open ones first, then by their end, newest first."""
        async for execution in self.client.list_workflows(f"WorkflowType = '{WORKFLOW_TYPE}'"):
            if await execution.memo_value(MEMO_WORKFLOW_NAME, None) == hosted.name:
                self._locator.saw(execution.id, execution.run_id)
                yield execution

    async def _latest(self, hosted: HostedWorkflow) -> CheckpointInfo | None:
        if self._thread_id is not None:
            async for thread_id, run_id, stored in self._frames(hosted):
                return infos(thread_id, run_id, stored)[0]
            return None
        latest: CheckpointInfo | None = None
        async for execution in self._executions(hosted):
            if latest is not None and execution.close_time is not None and execution.close_time < latest.timestamp:
                break  # Whatever follows had ended before.
            with contextlib.suppress(CheckpointNotFoundError):
                async for found in run_frames(self.client, execution.id, execution.run_id):
                    if isinstance(found, StoredFrame):
                        newest = infos(execution.id, execution.run_id, found)[0]
                        latest = newest if latest is None or newest.timestamp > latest.timestamp else latest
                        break
        return latest

    async def _restored(self, thread_id: str, run_id: str, frames: list[StoredFrame]) -> AsyncIterator[bytes]:
        """Yield the raw checkpoints in a run's frames, oldest first."""
        raw, raw_id = b"", ""
        for stored in reversed(frames):
            base_id = stored.facts.base_checkpoint_id
            if base_id is not None and base_id != raw_id:
                ref = CheckpointRef(thread_id=thread_id, run_id=run_id, checkpoint_id=base_id)
                raw = await load_checkpoint(self.client, ref)
            frame = restore(stored, raw)
            raw, raw_id = frame.checkpoint, stored.facts.checkpoint_id
            if frame.entry:
                yield frame.entry
            yield raw


def is_history_of(storage: CheckpointStorage | None, client: Client) -> bool:
    """Tell whether `storage` is the history that `client` reads, so that a reference into it is enough."""
    if not isinstance(storage, HistoryCheckpointStorage):
        return False
    theirs = storage.client
    return (theirs.namespace, theirs.service_client.config.target_host) == (
        client.namespace,
        client.service_client.config.target_host,
    )
