"""Temporal history as a checkpoint storage of the framework's: for reading checkpoints, with no worker running."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from agent_framework import CheckpointStorage, WorkflowCheckpoint
from temporalio.client import Client

from ...workflows.exported import exported
from ...workflows.messages import WORKFLOW_TYPE, CheckpointRef
from ..encoding.decoding import decoded
from ..errors import CheckpointNotFoundError, HistoryReadOnlyError, NotSealedError, PayloadError
from ..framework.definition import WorkflowDefinition, WorkflowSource, build_now, define
from ..logging import data_logger
from ..temporal.client import framed_client
from ..temporal.server import list_runs, rpc_errors, workflow_name_of
from .handle import Checkpoint, thread_id_of
from .history import FrameReader, StoredFrame, load_checkpoint, run_frames
from .label import decoded_checkpoint
from .lineage import CheckpointInfo, Locator, checkpoint_infos, thread_frames
from .thread import UNREADABLE, is_foreign, latest_run_id

_LOGGER = data_logger("agent_framework_temporal")


@exported
class HistoryCheckpointStorage:
    """The checkpoints that durable runs have left in Temporal history, as the framework's `CheckpointStorage`.

    For debugging and inspection: `Workflow.run(checkpoint_id=..., checkpoint_storage=HistoryCheckpointStorage(...))`
    goes on in this process from any superstep of a durable run. It only reads: checkpoints get into history by the
    supersteps of a worker. It needs the server and no worker.

    Args:
        client: A connected Temporal client with the codec and external storage the runs were written with.
        workflow: The workflow's factory or instance: checkpoints are decoded to the types it declares.
        checkpoint: A thread's handle, or its id: lists take in this thread only. Without it they take in every thread
            of the workflow in the namespace, found by a visibility query, which may miss what began in the last second.
            Any checkpoint can be loaded either way.

    Raises:
        HostingError: When the workflow cannot be hosted, or the client has a payload converter of its own.

    Cost, in round trips: reading a history takes one for each 200 events, which is 33 supersteps. `load` reads back to
    the last keyframe before the checkpoint; a run that this storage has not seen costs a visibility query more.
    Lists read every history of the thread, or of all threads. Nothing is written.
    """

    def __init__(self, client: Client, workflow: WorkflowSource, *, checkpoint: Checkpoint | str | None = None) -> None:
        self.client: Client = framed_client(client)
        self._source, _ = build_now(workflow)
        self._thread_id = None if checkpoint is None else thread_id_of(checkpoint)
        self._hosted: WorkflowDefinition | None = None
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
        return await decoded_checkpoint(raw, hosted)

    async def list_checkpoints(self, *, workflow_name: str) -> list[WorkflowCheckpoint]:
        """Load every checkpoint, oldest first; one that this process cannot decode is left out with a warning.

        Raises:
            ThreadNotFoundError: When `checkpoint` is of no thread of this workflow.
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
                reader = FrameReader(self.client, thread_id, run_id)
                async for _, raw in reader.restore_all(reversed(frames)):
                    try:
                        checkpoint: WorkflowCheckpoint = await decoded(raw, hosted.catalog)
                    except PayloadError as error:
                        _LOGGER.warning("A checkpoint of thread %r is not listed: %s", thread_id, error)
                    else:
                        found.setdefault(checkpoint.checkpoint_id, checkpoint)
        return sorted(found.values(), key=lambda checkpoint: checkpoint.timestamp)

    async def list_checkpoint_ids(self, *, workflow_name: str) -> list[str]:
        """Return the ids of every checkpoint, oldest first; none is decoded.

        Raises:
            ThreadNotFoundError: When `checkpoint` is of no thread of this workflow.
        """
        hosted = await self._definition()
        if workflow_name != hosted.name:
            return []
        found: dict[str, CheckpointInfo] = {}
        with rpc_errors(self.client, f"list the checkpoints of workflow {workflow_name!r}"):
            async for thread_id, run_id, stored in self._frames(hosted):
                found.update({info.checkpoint_id: info for info in checkpoint_infos(thread_id, run_id, stored)})
        return [info.checkpoint_id for info in sorted(found.values(), key=lambda info: info.timestamp)]

    async def get_latest(self, *, workflow_name: str) -> WorkflowCheckpoint | None:
        """Load the newest checkpoint of the thread, or of all threads; only that one is decoded.

        Raises:
            ThreadNotFoundError: When `checkpoint` is of no thread of this workflow.
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
            "Temporal history accepts checkpoints only from a worker's supersteps, so those of a run in this process "
            "are not kept. To keep them, copy the checkpoint into another storage and run with that storage: `await "
            "other.save(await history.load(checkpoint_id))`. To continue durably, use "
            "`DurableWorkflow.run(checkpoint_id=...)`."
        )

    async def delete(self, checkpoint_id: str) -> bool:
        """Refuse: Temporal deletes a run with its whole history, never an event of it.

        Raises:
            HistoryReadOnlyError: Always.
        """
        raise HistoryReadOnlyError(
            f"Checkpoint {checkpoint_id!r} cannot be deleted by itself: it is part of its run's history. Delete the "
            "whole run (`temporal workflow delete --workflow-id ...`), or leave it to the namespace's retention."
        )

    async def _definition(self) -> WorkflowDefinition:
        if self._hosted is None:
            self._hosted = await define(self._source)
        return self._hosted

    async def _raw(self, checkpoint_id: str, hosted: WorkflowDefinition) -> bytes:
        try:
            return await load_checkpoint(self.client, await self._locator.locate(checkpoint_id))
        except CheckpointNotFoundError:
            if self._thread_id is None:
                raise
            # A later run of the thread may hold a copy of it, when the run that made it is past its retention.
            async for thread_id, run_id, stored in self._frames(hosted):
                if any(info.checkpoint_id == checkpoint_id for info in checkpoint_infos(thread_id, run_id, stored)):
                    ref = CheckpointRef(thread_id=thread_id, run_id=run_id, checkpoint_id=checkpoint_id)
                    return await load_checkpoint(self.client, ref)
            raise

    async def _frames(self, hosted: WorkflowDefinition) -> AsyncIterator[tuple[str, str, StoredFrame]]:
        """Yield what the thread, or every thread, has stored, each run's newest first."""
        if self._thread_id is not None:
            run_id = await latest_run_id(self.client, self._thread_id, hosted.name)
            async for run, stored in thread_frames(self.client, self._thread_id, run_id):
                self._locator.saw(self._thread_id, run)
                yield self._thread_id, run, stored
            return
        async for thread_id, run_id, _ in self._runs(hosted):
            async for found in self._run_frames(thread_id, run_id):
                yield thread_id, run_id, found

    async def _runs(self, hosted: WorkflowDefinition) -> AsyncIterator[tuple[str, str, datetime | None]]:
        """Yield thread, run and end of every run as servers list them: open ones first, then the newest end first."""
        async for info in list_runs(self.client, f"WorkflowType = '{WORKFLOW_TYPE}'"):
            thread_id, run_id = info.execution.workflow_id, info.execution.run_id
            try:
                owner = await workflow_name_of(self.client, info)
            except UNREADABLE as error:
                if not await is_foreign(self.client, thread_id, run_id, error):
                    raise
                continue
            if owner == hosted.name:
                self._locator.saw(thread_id, run_id)
                yield thread_id, run_id, info.close_time.ToDatetime(UTC) if info.HasField("close_time") else None

    async def _run_frames(self, thread_id: str, run_id: str) -> AsyncIterator[StoredFrame]:
        """Yield what a run that was listed has stored, newest first; nothing of one deleted since, or of a stranger."""
        try:
            async for found in run_frames(self.client, thread_id, run_id):
                if isinstance(found, StoredFrame):
                    yield found
        except CheckpointNotFoundError:
            return
        except NotSealedError as error:
            if not await is_foreign(self.client, thread_id, run_id, error):
                raise

    async def _latest(self, hosted: WorkflowDefinition) -> CheckpointInfo | None:
        if self._thread_id is not None:
            async for thread_id, run_id, stored in self._frames(hosted):
                return checkpoint_infos(thread_id, run_id, stored)[0]
            return None
        latest: CheckpointInfo | None = None
        async for thread_id, run_id, ended in self._runs(hosted):
            if latest is not None and ended is not None and ended < latest.timestamp:
                break  # Whatever follows had ended before.
            async for found in self._run_frames(thread_id, run_id):
                newest = checkpoint_infos(thread_id, run_id, found)[0]
                latest = newest if latest is None or newest.timestamp > latest.timestamp else latest
                break
        return latest


def is_history_of(storage: CheckpointStorage | None, client: Client) -> bool:
    """Tell whether `storage` is the history that `client` reads, so that a reference into it is enough."""
    if not isinstance(storage, HistoryCheckpointStorage):
        return False
    theirs = storage.client
    return (theirs.namespace, theirs.service_client.config.target_host) == (
        client.namespace,
        client.service_client.config.target_host,
    )
