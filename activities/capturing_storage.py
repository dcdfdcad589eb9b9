"""The checkpoint storage of an inner run: it serves the base checkpoint and takes what the framework saves."""

from __future__ import annotations

import importlib.metadata
import platform
import uuid
from dataclasses import dataclass
from typing import Any, NoReturn

from agent_framework import WorkflowCheckpoint, WorkflowCheckpointException

from ..adapter.checkpoints.frames import digest
from ..adapter.checkpoints.label import GRAPH_METADATA
from ..adapter.encoding.decoding import loads
from ..adapter.encoding.encoding import dumps
from ..adapter.errors import CheckpointNotFoundError
from ..adapter.framework.catalog import TypeCatalog
from ..adapter.framework.definition import WorkflowDefinition
from ..adapter.framework.internals import EXECUTOR_STATE, STEP_CACHE, step_name
from ..workflows.messages import BetweenFacts
from .passed import PassedCheckpoints

_SUFFIX_DIGITS = 12
"""Of a checkpoint id; with 8 two checkpoints of a run of 10,000 would have the same id once in a hundred runs."""
_WORTH_NAMING = 64 * 1024
_MESSAGE_RUN_METADATA = "message_run_id"
"""Key of a checkpoint's metadata: the run whose message is being worked on."""
_VERSIONS = {
    "agent_framework_core": importlib.metadata.version("agent-framework-core"),
    "python": platform.python_version(),
}


@dataclass(frozen=True, slots=True)
class Captured:
    """A checkpoint as it was when the framework saved it."""

    checkpoint_id: str
    previous_checkpoint_id: str | None
    superstep: int
    timestamp: str
    has_messages: bool
    sources: tuple[str, ...]
    """Executors whose messages wait for the next superstep."""
    raw: bytes


class CapturingStorage:
    """A `CheckpointStorage` for one superstep; it encodes at once, as the framework goes on changing the objects.

    Args:
        hosted: The hosted workflow; its graph goes into each checkpoint's metadata, to say what changed one day.
        base: The checkpoint the superstep starts from.
        run_id: Temporal run id of the run that makes the checkpoints. It goes into their ids, so that an id alone says
            where to look; the rest of an id is random, as an attempt may be repeated.
    """

    def __init__(self, hosted: WorkflowDefinition | None, base: WorkflowCheckpoint | None, *, run_id: str) -> None:
        self._hosted = hosted
        self._run_id = run_id
        self.message_run_id: str = (base.metadata.get(_MESSAGE_RUN_METADATA) if base is not None else None) or run_id
        """The run whose message is being worked on, perhaps one long before."""
        self.base = base
        self.saved: list[Captured] = []
        self.passed: PassedCheckpoints = PassedCheckpoints()
        """Before the last of `saved`."""
        self.error: Exception | None = None
        self._standing: list[Captured] = []
        """What the supersteps before this one, in the same burst, have saved; without those that were passed."""

    def begin(self, run_id: str) -> None:
        """Make ready for another superstep of the instance, which may belong to the next run of its thread."""
        self._run_id = run_id
        self.base = None
        self.saved = []
        self.passed = PassedCheckpoints()
        self._standing = []

    def pass_on(self) -> None:
        """Make ready for the next superstep of a burst, which has saved nothing yet."""
        self.base = None
        self._standing, self.saved = self.saved, []

    def close_up(self) -> None:
        """Let what a superstep has saved follow what those before it, in the same burst, have."""
        if self._standing:
            *entry, before = self._standing
            self.passed.add(_between(before, "superstep"), before.raw, self.saved[-1].raw)
            self.saved = [*entry, self.saved[-1]]

    def fall_back(self) -> None:
        """Forget what a superstep has saved, but not those before it in the same burst."""
        if self.passed.facts and self.passed.facts[-1].checkpoint_id == self._standing[-1].checkpoint_id:
            self.passed.drop_newest()
        self.saved = self._standing

    @classmethod
    def holding(cls, base: WorkflowCheckpoint) -> CapturingStorage:
        """Return a storage that only serves `base`."""
        return cls(None, base, run_id="")

    @property
    def last(self) -> Captured | None:
        """The newest checkpoint, or None."""
        return self.saved[-1] if self.saved else None

    def must_continue(self, superstep: int, max_iterations: int) -> bool:
        """Tell, at `superstep_completed`, whether another superstep follows.

        Raises:
            Exception: What kept the checkpoint from being saved; the framework itself only logs it.
        """
        last = self.last
        if self.error is not None:
            raise self.error
        if last is None or last.superstep != superstep:
            raise WorkflowCheckpointException(
                f"Superstep {superstep} ended without a checkpoint. An executor's on_checkpoint_save may have failed: "
                "see the framework's warning in the worker's log."
            )
        return last.has_messages and superstep < max_iterations

    async def save(self, checkpoint: WorkflowCheckpoint) -> str:
        """Keep a checkpoint under an id of ours, which the framework then takes for its own."""
        if self._hosted is not None:
            self.identify(checkpoint)
            self.keep(checkpoint)
        return checkpoint.checkpoint_id

    def identify(self, checkpoint: WorkflowCheckpoint) -> None:
        """Give a checkpoint an id of ours, and the metadata."""
        assert self._hosted is not None  # noqa: S101 - a storage that only serves a base takes none
        checkpoint.checkpoint_id = f"{self._run_id}.{uuid.uuid4().hex[:_SUFFIX_DIGITS]}"
        checkpoint.workflow_name = self._hosted.name
        checkpoint.metadata = {
            **checkpoint.metadata,
            GRAPH_METADATA: self._hosted.graph_signature,
            "versions": _VERSIONS,
            _MESSAGE_RUN_METADATA: self.message_run_id,
        }

    def keep(self, checkpoint: WorkflowCheckpoint, *, passing: str | None = None) -> None:
        """Keep a checkpoint as it is now.

        Args:
            checkpoint: The checkpoint.
            passing: Where it takes the place of the last, which lies between then: what kind that is, as of
                `CheckpointInfo`.

        Raises:
            Exception: When it cannot be stored; the framework itself only logs it for a graph.
        """
        assert self._hosted is not None  # noqa: S101 - as above
        try:
            raw = dump_checkpoint(checkpoint, self._hosted.catalog)
        except Exception as error:
            self.error = error
            raise
        if passing is not None and self.saved:
            last = self.saved.pop()
            self.passed.add(_between(last, passing), last.raw, raw)
        self.saved.append(captured(checkpoint, raw))

    def keep_passed(self, most: int) -> None:
        """Keep at most so many of the checkpoints before the last, the newest, and close the gap that is left."""
        passed, last = self.passed, self.last
        passed.keep(most)
        if not passed.has_gap or last is None or self._hosted is None:
            return
        checkpoint: WorkflowCheckpoint = loads(passed.oldest(last.raw), self._hosted.catalog)
        checkpoint.previous_checkpoint_id = passed.origin
        raw = dump_checkpoint(checkpoint, self._hosted.catalog)
        if passed.facts:
            passed.close_gap(raw, last.raw)
        else:
            self.saved[-1] = captured(checkpoint, raw)
            passed.has_gap = False

    async def load(self, checkpoint_id: str) -> WorkflowCheckpoint:
        """Return the base checkpoint."""
        if self.base is None or self.base.checkpoint_id != checkpoint_id:
            raise CheckpointNotFoundError(f"Checkpoint {checkpoint_id!r} is not the base of this superstep.")
        return self.base

    async def list_checkpoints(self, *, workflow_name: str) -> list[WorkflowCheckpoint]:
        """Not offered inside a superstep."""
        _unavailable("list_checkpoints")

    async def list_checkpoint_ids(self, *, workflow_name: str) -> list[str]:
        """Not offered inside a superstep."""
        _unavailable("list_checkpoint_ids")

    async def get_latest(self, *, workflow_name: str) -> WorkflowCheckpoint | None:
        """Not offered inside a superstep."""
        _unavailable("get_latest")

    async def delete(self, checkpoint_id: str) -> bool:
        """Not offered inside a superstep."""
        _unavailable("delete")


def captured(checkpoint: WorkflowCheckpoint, raw: bytes) -> Captured:
    """Return a checkpoint with the facts that are told of it."""
    return Captured(
        checkpoint_id=checkpoint.checkpoint_id,
        previous_checkpoint_id=checkpoint.previous_checkpoint_id,
        superstep=checkpoint.iteration_count,
        timestamp=checkpoint.timestamp,
        has_messages=bool(checkpoint.messages),
        sources=tuple(checkpoint.messages),
        raw=raw,
    )


def _between(found: Captured, kind: str) -> BetweenFacts:
    return BetweenFacts(
        checkpoint_id=found.checkpoint_id,
        previous_checkpoint_id=found.previous_checkpoint_id,
        superstep=found.superstep,
        digest=digest(found.raw),
        size_bytes=len(found.raw),
        timestamp=found.timestamp,
        kind=None if kind == "superstep" else kind,
    )


def dump_checkpoint(checkpoint: WorkflowCheckpoint, catalog: TypeCatalog) -> bytes:
    """Return a checkpoint as text; an error names the part that cannot be stored, or the largest."""
    try:
        return dumps(checkpoint, catalog)
    except Exception as error:
        sizes: list[tuple[int, str]] = []
        for name, value in parts(checkpoint):
            try:
                sizes.append((len(dumps(value, catalog)), name))
            except Exception as cause:
                raise type(error)(f"{name}: {cause}") from error
        size, name = max(sizes, default=(0, ""))
        if size < _WORTH_NAMING:
            raise
        raise type(error)(f"The checkpoint: {error} Largest: {name} ({size:,} bytes).") from error


def parts(checkpoint: WorkflowCheckpoint) -> list[tuple[str, Any]]:
    """Return the parts of a checkpoint under the names a user knows, to find the one that is too large or unfit."""
    found: list[tuple[str, Any]] = []
    for key, value in checkpoint.state.items():
        if key == EXECUTOR_STATE and isinstance(value, dict):
            for executor_id, state in value.items():
                items = state.items() if isinstance(state, dict) else [("", state)]
                found += [(f"executor {executor_id!r}, state key {name!r}", item) for name, item in items]
        elif key == STEP_CACHE and isinstance(value, dict):
            found += [(f"result of step {step_name(name)!r}", item) for name, item in value.items()]
        else:
            found.append((f"shared state key {key!r}", value))
    for source, messages in checkpoint.messages.items():
        found.append((f"messages of executor {source!r}", messages))
    for request_id, event in checkpoint.pending_request_info_events.items():
        found.append((f"pending request {request_id!r}", event))
    return found


def _unavailable(name: str) -> NoReturn:
    raise NotImplementedError(f"`{name}` is not available inside a superstep. Use the facade's `checkpoints` instead.")
