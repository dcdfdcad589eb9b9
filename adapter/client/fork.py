"""Beginning a thread from a checkpoint: of history by reference, of another storage by a copy in the run's input."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from agent_framework import CheckpointStorage, WorkflowCheckpoint, WorkflowCheckpointException
from temporalio.client import Client

from ...workflows.messages import RunInput
from ..checkpoints.frames import digest
from ..checkpoints.history import load_checkpoint
from ..checkpoints.label import GRAPH_CHANGED, changed_error, check_label, graph_changes, label_of
from ..checkpoints.lineage import Locator, is_ours, load_held
from ..encoding.decoding import loads
from ..encoding.differences import difference
from ..encoding.encoding import dumps
from ..errors import (
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    DurableWorkflowError,
    GraphChangedError,
)
from ..framework.definition import WorkflowDefinition
from ..temporal.server import rpc_errors
from .edit import give_checkpoint


async def begin_from_history(
    run_input: RunInput,
    client: Client,
    locator: Locator,
    thread_id: str,
    hosted: WorkflowDefinition | None,
    checkpoint_id: str,
) -> None:
    """Make a checkpoint in history a run's base, or in the storage that the workflow was built with.

    It is read here only to refuse it before anything runs.

    Raises:
        CheckpointNotFoundError: When it is not in history, or another workflow's.
        CheckpointCorruptedError: When it does not restore to its digest.
        GraphChangedError: When the workflow has changed since, naming what changed.
    """
    try:
        with rpc_errors(client, f"read checkpoint {checkpoint_id!r}"):
            ref = await locator.locate(checkpoint_id)
            raw = await load_checkpoint(client, ref)
            label = await label_of(raw)
    except CheckpointNotFoundError:
        storage = hosted.checkpoint_storage if hosted is not None else None
        if hosted is None or storage is None:
            raise
        await seed_from_storage(run_input, client, locator, thread_id, hosted, storage, checkpoint_id)
        return
    check_label(label, run_input.workflow_name, hosted)
    run_input.base = ref.model_copy(update={"digest": digest(raw)})
    run_input.graph_hash = label.graph_hash


async def seed_from_storage(
    run_input: RunInput,
    client: Client,
    locator: Locator,
    thread_id: str,
    hosted: WorkflowDefinition,
    storage: CheckpointStorage,
    checkpoint_id: str,
) -> None:
    """Put a checkpoint of any framework storage into a run's input, as its base.

    Where history holds another one under its id, it is somebody's own that follows that one, and gets an id that says
    so: it was edited, or the storage has turned what JSON does not have into something else.
    The storage's own `load` decodes it, in this process, as the framework would have it do. What comes back is encoded
    and read again by our own reader, which knows the workflow's types only, before anything of it is used.

    Raises:
        CheckpointNotFoundError: When the storage does not have it.
        CheckpointCorruptedError: When the storage gives something else.
        GraphChangedError: When another graph made it.
        PayloadError: When it holds what cannot travel, or too much of it.
    """
    try:
        loaded: Any = await storage.load(checkpoint_id)
    except DurableWorkflowError:
        raise
    except WorkflowCheckpointException as error:
        raise CheckpointNotFoundError(f"Checkpoint {checkpoint_id!r} cannot be loaded: {error}") from error
    if loaded is None:
        raise CheckpointNotFoundError(f"Checkpoint {checkpoint_id} not found: it is not in the given storage.")
    if type(loaded) is not WorkflowCheckpoint or loaded.checkpoint_id != checkpoint_id:
        raise CheckpointCorruptedError(
            f"The given storage returned something else for checkpoint {checkpoint_id!r}: a "
            f"{type(loaded).__name__}{' with another id' if type(loaded) is WorkflowCheckpoint else ''}. Choose "
            "another of its checkpoints."
        )
    if loaded.graph_signature_hash != hosted.graph_hash and hosted.is_functional:
        raise changed_error(checkpoint_id, loaded.metadata, hosted)
    if loaded.graph_signature_hash != hosted.graph_hash:
        raise GraphChangedError(
            f"Checkpoint {checkpoint_id!r} was made by a different graph than that of workflow {hosted.name!r}: "
            f"{graph_changes(loaded.metadata, hosted)}. {GRAPH_CHANGED} Or start from a checkpoint of this graph."
        )
    raw = dumps(loaded, hosted.catalog)
    # Of a workflow of another name with the same graph it is taken, as in process.
    checkpoint: WorkflowCheckpoint = dataclasses.replace(loads(raw, hosted.catalog), workflow_name=hosted.name)
    if await _differs(client, locator, hosted, checkpoint):
        checkpoint = dataclasses.replace(
            checkpoint, checkpoint_id=str(uuid.uuid4()), previous_checkpoint_id=checkpoint.checkpoint_id
        )
    await give_checkpoint(run_input, client, thread_id, hosted, checkpoint)


async def _differs(
    client: Client, locator: Locator, hosted: WorkflowDefinition, checkpoint: WorkflowCheckpoint
) -> bool:
    """Tell whether history holds another checkpoint under this one's id; a worker would refuse it then."""
    if not is_ours(checkpoint.checkpoint_id):
        return False
    try:
        with rpc_errors(client, f"look up checkpoint {checkpoint.checkpoint_id!r}"):
            held = await load_held(client, locator, checkpoint.checkpoint_id)
    except (CheckpointNotFoundError, CheckpointCorruptedError):
        return True
    if held is None:
        return False
    encoded = dumps(checkpoint, hosted.catalog)
    return difference(loads(held, hosted.catalog), loads(encoded, hosted.catalog)) is not None
