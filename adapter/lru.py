"""What is kept while there is room: one bounded cache for all that remembers something."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class BoundedCache(Generic[_Key, _Value]):
    """Values by key, whose sizes together stay within a bound: the least recently used are dropped first.

    Args:
        bound: Of the sum of sizes, in what they count: bytes, or one for each value. 0 keeps nothing.
        on_drop: Called with the key and the value of all that is dropped, or replaced by another value.
    """

    def __init__(self, bound: int, on_drop: Callable[[_Key, _Value], object] | None = None) -> None:
        self._bound = bound
        self._on_drop = on_drop
        self._entries: OrderedDict[_Key, tuple[_Value, int]] = OrderedDict()
        self._size = 0

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def get(self, key: _Key) -> _Value | None:
        """Return a value, which counts as used now; None where there is none."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: _Key, value: _Value, size: int = 1) -> None:
        """Keep a value; one that is over the bound alone is dropped, and nothing else for it."""
        self.drop(key)
        if size > self._bound:
            if self._on_drop is not None:
                self._on_drop(key, value)
            return
        self._entries[key] = (value, size)
        self._size += size
        while self._size > self._bound:
            self.drop(next(iter(self._entries)))

    def take(self, key: _Key) -> _Value | None:
        """Return a value and keep it no longer; it is not dropped. None where there is none."""
        value, size = self._entries.pop(key, (None, 0))
        self._size -= size
        return value

    def drop(self, key: _Key) -> None:
        """Drop a value, if it is there."""
        value, size = self._entries.pop(key, (None, 0))
        self._size -= size
        if value is not None and self._on_drop is not None:
            self._on_drop(key, value)

    def clear(self) -> None:
        """Drop all."""
        while self._entries:
            self.drop(next(iter(self._entries)))
