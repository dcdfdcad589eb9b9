"""Tells whose checkpoint raw bytes are, before any type in them is resolved, and what changed in the graph since.

A changed workflow may no longer declare the types its old checkpoints hold. Its checkpoints could then not be decoded
to learn why they do not fit, so their label is read on its own, with every object in them left as inert as JSON.
"""

from __future__ import annotations

import io
import pickle  # Only to skip over objects: no class or function is ever looked up.
from dataclasses import dataclass
from typing import Any

from ._errors import CheckpointCorruptedError, CheckpointNotFoundError, GraphChangedError
from ._hosting import HostedWorkflow, graph_differences

GRAPH_METADATA = "graph_signature"
"""Key of a checkpoint's metadata under which a superstep notes the graph."""


@dataclass(frozen=True, slots=True)
class CheckpointLabel:
    """Which workflow made a checkpoint."""

    checkpoint_id: str
    workflow_name: str
    graph_hash: str
    metadata: dict[str, Any]


def read_label(raw: bytes) -> CheckpointLabel:
    """Read the label of a raw checkpoint; no round trip, and no type is resolved.

    Raises:
        CheckpointCorruptedError: When the bytes are no checkpoint.
    """
    try:
        fields = _InertUnpickler(io.BytesIO(raw)).load().fields
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

    def __new__(cls, *arguments: Any, **keywords: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.fields: dict[str, Any] = {}

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


class _InertUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for every name."""
        return _Inert
