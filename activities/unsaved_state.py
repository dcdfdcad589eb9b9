"""Warns of state that no checkpoint holds: an attribute of an executor or of its class that a superstep changed.

In process such state lives on with the instance. Here the next superstep may run on another worker, where it starts
again; silently, and in the worst case as an endless loop.
"""

from __future__ import annotations

import functools
import hashlib
import pickle  # Only to compare a value with itself; never loaded.
from typing import Any

from agent_framework import Executor, Workflow

from ..adapter.framework.catalog import executors_of
from ..adapter.framework.internals import EXECUTOR_ATTRIBUTES
from ..adapter.logging import data_logger

_LOGGER = data_logger("agent_framework_temporal.worker")
_MAX_BYTES = 1024 * 1024
"""Larger attributes are models or indexes, not state, and would cost every superstep their pickling."""


class Snapshot(dict[str, dict[str, bytes]]):
    """Digests of attributes by executor id and name; not the values."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, frozenset[str]] = {}
        """All attributes there were, also those that cannot be compared."""


class UnsavedState:
    """Compares executors before and after a superstep; warns once for each executor and attribute."""

    def __init__(self) -> None:
        self._warned: set[tuple[str, str, str]] = set()

    def snapshot(self, workflow: Workflow) -> Snapshot:
        """Return the picklable attributes of the user's executors that have no `on_checkpoint_save`.

        Those of an executor's class count as its own, where it does not hide them: state that a handler sets first has
        often a default there, and a container there is shared by all that run in the process.
        """
        found = Snapshot()
        for executor in executors_of(workflow):
            if _is_unsaved(executor):
                attributes = _attributes(executor)
                found.names[executor.id] = frozenset(attributes)
                found[executor.id] = {name: digest for name, value in attributes.items() if (digest := _digest(value))}
        return found

    def compare(self, workflow: Workflow, before: Snapshot) -> None:
        """Warn of what changed since `before`."""
        after = self.snapshot(workflow)
        for executor_id, attributes in after.items():
            known = before.get(executor_id, {})
            for name, value in attributes.items():
                key = (workflow.name, executor_id, name)
                is_new = executor_id in before and name not in before.names[executor_id]
                if key in self._warned or (known.get(name, value) == value and not is_new):
                    continue
                self._warned.add(key)
                _LOGGER.warning(
                    "Executor %r of workflow %r %s its attribute %r in a superstep, but does not override "
                    "on_checkpoint_save: no checkpoint contains it, and the next superstep may run without it. Keep "
                    "it in ctx.set_state(), or save and restore it with on_checkpoint_save and on_checkpoint_restore.",
                    executor_id,
                    workflow.name,
                    "set" if is_new else "changed",
                    name,
                )


def _is_unsaved(executor: Executor) -> bool:
    cls = type(executor)
    return cls.on_checkpoint_save is Executor.on_checkpoint_save and not cls.__module__.startswith("agent_framework")


def _attributes(executor: Executor) -> dict[str, Any]:
    """Return what an executor has that is the user's and may be state."""
    found: dict[str, Any] = {}
    computed: set[str] = set()
    for cls in reversed(type(executor).__mro__):
        if cls is object or cls.__module__.startswith("agent_framework"):
            continue
        for name, value in vars(cls).items():
            if isinstance(value, functools.cached_property):
                computed.add(name)  # What it has computed lies on the executor, and is computed again.
            elif not (name.startswith("__") or callable(value) or hasattr(type(value), "__get__")):
                found[name] = value
    found.update(vars(executor))
    left_out = EXECUTOR_ATTRIBUTES | computed
    return {name: value for name, value in found.items() if name not in left_out and not callable(value)}


def _digest(value: object) -> bytes | None:
    digest = _Digest()
    try:
        pickle.Pickler(digest).dump(value)
    except Exception:  # A value that cannot be pickled is a client or a lock, not state.
        return None
    return digest.digest()


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
