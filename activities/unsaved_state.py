"""Warns of state that no checkpoint holds: an executor's attribute that a superstep changed, without a save hook.

In process such state lives on with the instance. Here the next superstep may run on another worker, where it starts
again; silently, and in the worst case as an endless loop.
"""

from __future__ import annotations

import hashlib
import logging
import pickle  # Only to compare a value with itself; never loaded.

from agent_framework import Executor, Workflow

from ..adapter.framework.catalog import executors_of
from ..adapter.framework.internals import EXECUTOR_ATTRIBUTES

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
_MAX_BYTES = 1024 * 1024
"""Larger attributes are models or indexes, not state, and would cost every superstep their pickling."""


class UnsavedState:
    """Compares executors before and after a superstep; warns once for each executor and attribute."""

    def __init__(self) -> None:
        self._warned: set[tuple[str, str, str]] = set()

    def snapshot(self, workflow: Workflow) -> dict[str, dict[str, bytes]]:
        """Return the picklable attributes of the user's executors that have no `on_checkpoint_save`."""
        return {executor.id: _attributes(executor) for executor in executors_of(workflow) if _is_unsaved(executor)}

    def compare(self, workflow: Workflow, before: dict[str, dict[str, bytes]]) -> None:
        """Warn of what changed since `before`."""
        after = self.snapshot(workflow)
        for executor_id, attributes in after.items():
            for name, value in attributes.items():
                key = (workflow.name, executor_id, name)
                if before.get(executor_id, {}).get(name, value) == value or key in self._warned:
                    continue
                self._warned.add(key)
                _LOGGER.warning(
                    "Executor %r of workflow %r changed its attribute %r in a superstep, but does not override "
                    "on_checkpoint_save: no checkpoint holds it, and the next superstep may run without it. Keep it in "
                    "ctx.set_state(), or save and restore it with on_checkpoint_save and on_checkpoint_restore.",
                    executor_id,
                    workflow.name,
                    name,
                )


def _is_unsaved(executor: Executor) -> bool:
    cls = type(executor)
    return cls.on_checkpoint_save is Executor.on_checkpoint_save and not cls.__module__.startswith("agent_framework")


def _attributes(executor: Executor) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, value in vars(executor).items():
        if name in EXECUTOR_ATTRIBUTES or callable(value):
            continue
        digest = _Digest()
        try:
            pickle.Pickler(digest).dump(value)
        except Exception:  # noqa: S112 - a value that cannot be pickled is a client or a lock, not state.
            continue
        found[name] = digest.digest()
    return found


class _Digest:
    """A file that only remembers the digest of what is written, and not more than so much of it."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._left = _MAX_BYTES
        self.digest = self._hash.digest

    def write(self, data: bytes | memoryview) -> int:
        size = len(data)
        self._left -= size
        if self._left < 0:
            raise ValueError("too large to be compared at every superstep")
        self._hash.update(data)
        return size
