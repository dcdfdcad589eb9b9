"""Tells whose checkpoint raw bytes are, and what has changed in the workflow's graph since.

A changed workflow may no longer declare the types its old checkpoints hold. Its checkpoints could then not be decoded
to learn why they do not fit, so their label is read on its own, from their text and without any type.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from agent_framework import WorkflowCheckpoint, WorkflowEvent, WorkflowMessage

from ..advice import Advice, Step, Way
from ..encoding.decoding import loads
from ..encoding.document import parse
from ..encoding.off_loop import off_loop
from ..errors import (
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    CodeChangedError,
    GraphChangedError,
    PayloadError,
)
from ..framework.definition import WorkflowDefinition
from ..framework.graph import graph_differences
from ..framework.internals import current_key
from ..framework.static import MAIN, main_module, type_key

GRAPH_METADATA = "graph_signature"
"""Key of a checkpoint's metadata under which a superstep notes the graph."""

EDITED_BY, EDITED_AT = "edited_by", "edited_at"
"""Keys of a checkpoint's metadata that say which person has edited it, and when."""


@dataclass(frozen=True, slots=True)
class CheckpointLabel:
    """Which workflow made a checkpoint."""

    checkpoint_id: str
    workflow_name: str
    graph_hash: str
    metadata: dict[str, Any]


def loads_checkpoint(raw: bytes, hosted: WorkflowDefinition) -> WorkflowCheckpoint:
    """Decode a raw checkpoint of a workflow, to go on from it.

    Raises:
        CheckpointNotFoundError: For another workflow's checkpoint.
        GraphChangedError: When the graph has changed since, naming what changed.
        PayloadError: When it holds a type that is not declared.
        CheckpointCorruptedError: When the bytes are no checkpoint.
    """
    try:
        checkpoint = loads(raw, hosted.catalog)
    except PayloadError:
        # The type may be gone with the executor that declared it: that is the better answer.
        check_label(read_label(raw), hosted.name, hosted)
        raise
    if not isinstance(checkpoint, WorkflowCheckpoint):
        raise CheckpointCorruptedError(f"The checkpoint's bytes are a {type(checkpoint).__name__}, not a checkpoint.")
    label = CheckpointLabel(
        checkpoint.checkpoint_id, checkpoint.workflow_name, checkpoint.graph_signature_hash, checkpoint.metadata
    )
    check_label(label, hosted.name, hosted)
    _check_fields(checkpoint)
    return checkpoint


async def decoded_checkpoint(raw: bytes, hosted: WorkflowDefinition) -> WorkflowCheckpoint:
    """Do as `loads_checkpoint`, beside the event loop where it takes long."""
    return await off_loop(len(raw), lambda: loads_checkpoint(raw, hosted))


async def label_of(raw: bytes) -> CheckpointLabel:
    """Do as `read_label`, beside the event loop where it takes long."""
    return await off_loop(len(raw), lambda: read_label(raw))


def read_label(raw: bytes) -> CheckpointLabel:
    """Read the label of a raw checkpoint; no round trip, and no type is resolved.

    Raises:
        CheckpointCorruptedError: When the bytes are no checkpoint.
    """
    try:
        document = parse(raw)
        key, fields = document.fields(document.body)
        if current_key(key) != type_key(WorkflowCheckpoint):
            raise ValueError(f"they are those of a {key!r:.60}")
        label = CheckpointLabel(
            checkpoint_id=_text(fields["checkpoint_id"]),
            workflow_name=_text(fields["workflow_name"]),
            graph_hash=_text(fields["graph_signature_hash"]),
            metadata=document.plain(fields["metadata"]),
        )
    except Exception as error:  # Damaged text may lack anything.
        raise CheckpointCorruptedError(
            Advice(
                f"The checkpoint's bytes are not a valid checkpoint ({type(error).__name__}: {error}). Choose an "
                "earlier one with ",
                Step(Way.CHECKPOINTS),
                ".",
            )
        ) from error
    return label


def read_superstep(raw: bytes) -> int:
    """Read after how many supersteps a raw checkpoint was made; no type is resolved.

    Raises:
        CheckpointCorruptedError: When the bytes are no checkpoint.
    """
    try:
        document = parse(raw)
        _, fields = document.fields(document.body)
        return int(document.plain(fields["iteration_count"]))
    except Exception as error:  # Damaged text may lack anything.
        raise CheckpointCorruptedError(f"The checkpoint's bytes are not a valid checkpoint ({error}).") from error


def _text(field: Any) -> str:
    if type(field) is not str:
        raise ValueError(f"{field!r:.60} is not text")
    return field


GRAPH_CHANGED = (
    "Workflow graph has changed since the checkpoint was created. Please rebuild the original workflow before resuming."
)
"""The framework's words."""
CODE_CHANGED = (
    "Checkpoint {checkpoint_id!r} was created by a different version of workflow {name!r} and is not compatible with "
    "the current version. The workflow's step structure may have changed since this checkpoint was saved."
)
"""The framework's words of a functional workflow."""


def changed_error(checkpoint_id: str, metadata: dict[str, Any], hosted: WorkflowDefinition) -> GraphChangedError:
    """Return the error that says that a workflow has changed since a checkpoint was made, and what is different."""
    changes = graph_changes(metadata, hosted)
    if hosted.is_functional:
        words = CODE_CHANGED.format(checkpoint_id=checkpoint_id, name=hosted.name)
        return CodeChangedError(
            f"{words} What differs: {changes}. Run the thread on a worker with the code that made it, or start a new "
            "thread."
        )
    return GraphChangedError(
        f"Workflow {hosted.name!r} has changed since checkpoint {checkpoint_id!r} was made: {changes}. "
        f"{GRAPH_CHANGED} Or start a new thread."
    )


def check_label(label: CheckpointLabel, workflow_name: str, hosted: WorkflowDefinition | None) -> None:
    """Refuse a checkpoint of another workflow or of a graph that has changed since.

    Args:
        label: The checkpoint's label.
        workflow_name: Name of the workflow that is to go on from it.
        hosted: That workflow; None where only its name is known, and the worker compares the graphs.

    Raises:
        CheckpointNotFoundError: For another workflow's checkpoint.
        GraphChangedError: Naming what changed; a `CodeChangedError` of a functional workflow.
    """
    if label.workflow_name != workflow_name:
        raise CheckpointNotFoundError(
            Advice(
                f"Checkpoint {label.checkpoint_id!r} belongs to workflow {label.workflow_name!r}, not to "
                f"{workflow_name!r}. Use it with that workflow, or choose another with ",
                Step(Way.CHECKPOINTS),
                ".",
            )
        )
    same = hosted is None or label.graph_hash == hosted.graph_hash or _is_of_script(label.metadata, hosted)
    if hosted is not None and not same:
        raise changed_error(label.checkpoint_id, label.metadata, hosted)


def _is_of_script(metadata: dict[str, Any], hosted: WorkflowDefinition) -> bool:
    """Tell whether a checkpoint was made by the graph of the script that runs here, which the worker has imported."""
    signature, before = (
        json.dumps(found, sort_keys=True, default=str)
        for found in (hosted.graph_signature, metadata.get(GRAPH_METADATA))
    )
    return (
        main_module() != MAIN and re.sub(rf'"(?:\w+\.)*{re.escape(main_module())}\.', f'"{MAIN}.', before) == signature
    )


def graph_changes(metadata: dict[str, Any], hosted: WorkflowDefinition) -> str:
    """Say what changed in the graph since a checkpoint with this metadata was made."""
    before = metadata.get(GRAPH_METADATA)
    changes = graph_differences(before, hosted.graph_signature) if isinstance(before, dict) else []
    if hosted.is_functional:
        steps = [change.replace("executor", "step", 1) for change in changes if change.startswith("executor ")]
        return "; ".join(steps) or "the code of the workflow, or of a step or function that it calls"
    return "; ".join(changes) or "its graph signature differs"


def _check_fields(checkpoint: WorkflowCheckpoint) -> None:
    """Refuse what only looks like a checkpoint: what restores it would stumble somewhere over a part that is none."""
    messages = checkpoint.messages.values() if isinstance(checkpoint.messages, dict) else [None]
    pending = checkpoint.pending_request_info_events
    whole = (
        isinstance(checkpoint.state, dict)
        and isinstance(checkpoint.metadata, dict)
        and type(checkpoint.iteration_count) is int
        and all(
            isinstance(found, list) and all(isinstance(item, WorkflowMessage) for item in found) for found in messages
        )
        and isinstance(pending, dict)
        and all(isinstance(event, WorkflowEvent) and event.type == "request_info" for event in pending.values())
    )
    if not whole:
        raise CheckpointCorruptedError("A part of the checkpoint is invalid.")
