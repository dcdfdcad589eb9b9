"""Going on from a checkpoint that a person has edited: it travels whole in the run's start, and says who and when."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from agent_framework import WorkflowCheckpoint
from temporalio.client import Client

from ...workflows.messages import CheckpointFacts, CheckpointRef, EditFacts, RunInput
from ...workflows.value_limits import MAX_ID, clean_text
from ..checkpoints.edit_check import accept
from ..checkpoints.edit_document import EditDocument
from ..checkpoints.editing import CheckpointEdit, editable
from ..checkpoints.frames import Frame, digest, packed
from ..checkpoints.label import EDITED_AT, EDITED_BY
from ..checkpoints.lineage import edited_id
from ..encoding.differences import difference
from ..encoding.encoding import dumps
from ..errors import EditRefusedError, PayloadError
from ..framework.definition import WorkflowDefinition
from ..temporal.converter import MAX_PAYLOAD_BYTES, stores_outside

Edit: TypeAlias = Callable[[CheckpointEdit], object] | Mapping[str, Any]
"""What changes a checkpoint: a function (sync or async) that is given it, or JSON as the command line writes it."""


@dataclass(frozen=True, slots=True)
class EditOrder:
    """An edit as a caller wants it."""

    edit: Edit
    by: str
    """Who edits."""
    in_place: bool = False
    """Whether the thread itself goes on from it."""


async def begin_from_edit(
    run_input: RunInput,
    client: Client,
    thread_id: str,
    hosted: WorkflowDefinition,
    order: EditOrder,
    raw: bytes,
    *,
    previous_run_id: str | None = None,
) -> None:
    """Put an edited copy of a checkpoint into a run's input, as its base.

    Args:
        run_input: The input.
        client: A client with our payload converter.
        thread_id: Temporal workflow id of the thread that goes on from it.
        hosted: The workflow.
        order: The edit.
        raw: The checkpoint as it is.
        previous_run_id: The thread's last run, where the thread has begun.

    Raises:
        EditRefusedError: When what becomes of it does not fit the workflow's types, or nothing has changed.
        PayloadError: When it holds what cannot travel, or too much of it.
    """
    edited = await edited_checkpoint(raw, hosted, order.edit)
    at = datetime.now(UTC).isoformat()
    checkpoint = dataclasses.replace(
        edited,
        workflow_name=hosted.name,
        checkpoint_id=edited_id(thread_id),
        previous_checkpoint_id=edited.checkpoint_id,
        timestamp=at,
        metadata={**edited.metadata, EDITED_BY: order.by, EDITED_AT: at},
    )
    await give_checkpoint(run_input, client, thread_id, hosted, checkpoint)
    run_input.edited = EditFacts(by=order.by, at=at, previous_run_id=previous_run_id)


async def edited_checkpoint(raw: bytes, hosted: WorkflowDefinition, edit: Edit) -> WorkflowCheckpoint:
    """Return what an edit makes of a checkpoint; it has the same id and metadata yet.

    Raises:
        EditRefusedError: See `begin_from_edit`.
    """
    original, draft = editable(raw, hosted), editable(raw, hosted)
    if isinstance(edit, Mapping):
        EditDocument(original, hosted.declared, hosted.catalog).apply(edit, draft)
    else:
        done = edit(draft)
        if inspect.isawaitable(done):
            await done
    accept(draft, original, hosted.declared, hosted.catalog)
    edited = draft.finished()
    if difference(original.finished(), edited) is None:
        raise EditRefusedError.of(["nothing was changed, so nothing was started."])
    return edited


async def give_checkpoint(
    run_input: RunInput, client: Client, thread_id: str, hosted: WorkflowDefinition, checkpoint: WorkflowCheckpoint
) -> None:
    """Put a checkpoint into a run's input, as its base.

    Raises:
        PayloadError: When it holds what cannot travel, or too much of it.
    """
    raw = dumps(checkpoint, hosted.catalog)
    frame, _ = await packed(Frame(checkpoint=raw, payloads=b""), None)
    if len(frame) > MAX_PAYLOAD_BYTES and not stores_outside(client.data_converter):
        raise PayloadError(
            f"Checkpoint {checkpoint.previous_checkpoint_id or checkpoint.checkpoint_id!r} takes {len(frame):,} "
            f"bytes, more than the {MAX_PAYLOAD_BYTES:,} that fit in a Temporal payload. Configure external storage "
            "on the client's data converter."
        )
    run_input.base = CheckpointRef(thread_id=thread_id, run_id="", checkpoint_id=checkpoint.checkpoint_id)
    run_input.graph_hash = hosted.graph_hash
    run_input.base_facts = CheckpointFacts(
        checkpoint_id=checkpoint.checkpoint_id,
        previous_checkpoint_id=checkpoint.previous_checkpoint_id,
        superstep=checkpoint.iteration_count,
        digest=digest(raw),
        size_bytes=len(raw),
        frame_bytes=len(frame),
        graph_hash=hosted.graph_hash,
        timestamp=checkpoint.timestamp,
    )
    run_input.with_frame(frame)


def editor_name(given: str | None, client: Client) -> str:
    """Return who edits: whom the caller names, or else the client's identity.

    Raises:
        ValueError: When it is no name.
    """
    name = client.identity if given is None else given
    if not 1 <= len(name) <= MAX_ID or name != clean_text(name):
        raise ValueError(f"`edited_by` must be 1 to {MAX_ID} characters, got {clean_text(name)!r:.60}.")
    return name
