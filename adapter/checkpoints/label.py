"""Tells whose checkpoint raw bytes are, and what has changed in the workflow's graph since.

A changed workflow may no longer declare the types its old checkpoints hold. Its checkpoints could then not be decoded
to learn why they do not fit, so their label is read on its own, with every object in them left as inert as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from agent_framework import WorkflowCheckpoint

from ..errors import (
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    GraphChangedError,
    PayloadError,
)
from ..framework.catalog import TypeCatalog
from ..framework.definition import HostedWorkflow
from ..framework.graph import graph_differences
from .pickling import loads
from .unpickling import CheckpointUnpickler

GRAPH_METADATA = "graph_signature"
"""Key of a checkpoint's metadata under which a superstep notes the graph."""


@dataclass(frozen=True, slots=True)
class CheckpointLabel:
    """Which workflow made a checkpoint."""

    checkpoint_id: str
    workflow_name: str
    graph_hash: str
    metadata: dict[str, Any]


def loads_checkpoint(raw: bytes, hosted: HostedWorkflow) -> WorkflowCheckpoint:
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
    return checkpoint


def read_label(raw: bytes) -> CheckpointLabel:
    """Read the label of a raw checkpoint; no round trip, and no type is resolved.

    Raises:
        CheckpointCorruptedError: When the bytes are no checkpoint.
    """
    try:
        fields = _InertUnpickler(raw).load().fields
        label = CheckpointLabel(
            checkpoint_id=fields["checkpoint_id"],
            workflow_name=fields["workflow_name"],
            graph_hash=fields["graph_signature_hash"],
            metadata=fields["metadata"],
        )
    except Exception as error:  # Damaged bytes make an unpickler raise almost any type.
        raise CheckpointCorruptedError(
            f"The checkpoint's bytes are no checkpoint ({type(error).__name__}: {error}). Choose an earlier one with "
            "`DurableWorkflow.checkpoints`."
        ) from error
    return label


def check_label(label: CheckpointLabel, workflow_name: str, hosted: HostedWorkflow | None) -> None:
    """Refuse a checkpoint of another workflow or of a graph that has changed since.

    Args:
        label: The checkpoint's label.
        workflow_name: Name of the workflow that is to go on from it.
        hosted: That workflow; None where only its name is known, and the worker compares the graphs.

    Raises:
        CheckpointNotFoundError: For another workflow's checkpoint.
        GraphChangedError: Naming what changed.
    """
    if label.workflow_name != workflow_name:
        raise CheckpointNotFoundError(
            f"Checkpoint {label.checkpoint_id!r} belongs to workflow {label.workflow_name!r}, not to "
            f"{workflow_name!r}. Use it with that workflow, or choose one of `DurableWorkflow.checkpoints`."
        )
    if hosted is not None and label.graph_hash != hosted.graph_hash:
        raise GraphChangedError(
            f"Workflow {workflow_name!r} has changed since checkpoint {label.checkpoint_id!r} was made: "
            f"{graph_changes(label.metadata, hosted)}. Go on from it with the graph it was made with, or start a new "
            "thread."
        )


def graph_changes(metadata: dict[str, Any], hosted: HostedWorkflow) -> str:
    """Say what changed in the graph since a checkpoint with this metadata was made."""
    before = metadata.get(GRAPH_METADATA)
    changes = graph_differences(before, hosted.graph_signature) if isinstance(before, dict) else []
    return "; ".join(changes) or "its graph signature differs"


class _Inert:
    """Stands for any class, function or object of a pickle; all it does is keep a checkpoint's fields."""

    fields: dict[str, Any]

    def __new__(cls, *arguments: Any, **keywords: Any) -> _Inert:
        inert = super().__new__(cls)
        inert.fields = {}
        return inert

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 2:  # Of a class with __slots__, as the framework's checkpoint is.
            state = state[1]
        self.fields = state if isinstance(state, dict) else {}

    def __setitem__(self, key: Any, value: Any) -> None:
        """Take an item of a dictionary's subclass."""

    def append(self, item: Any) -> None:
        """Take an item of a list's subclass."""

    def extend(self, items: Any) -> None:
        """Take items of a list's subclass."""

    def add(self, item: Any) -> None:
        """Take an item of a set's subclass."""

    def update(self, items: Any) -> None:
        """Take items of a set's subclass."""


class _InertUnpickler(CheckpointUnpickler):
    """Knows no type but the stand-in."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, cast(TypeCatalog, None), {})  # No name is looked up in the catalog.

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for every name."""
        return _Inert

    def _may_call(self, cls: type[Any]) -> bool:
        return cls is _Inert

    def _may_instantiate(self, cls: Any) -> bool:
        return cls is _Inert
