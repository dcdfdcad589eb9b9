"""Whether two checkpoints say the same: their bytes may differ though they do, by what is shared within them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def same_content(one: Any, other: Any) -> bool:
    """Compare two decoded values by their types and parts, whatever their classes make of `==`."""
    try:
        return _same(one, other)
    except RecursionError:
        return False


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping):
        # A key's type counts as well: storages that write JSON turn numbers into text, and 1 equals True.
        keys = {key: key for key in other}
        return len(one) == len(other) and all(
            key in keys and _same(key, keys[key]) and _same(value, other[key]) for key, value in one.items()
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    fields = _fields(one)
    if fields is None:
        return bool(one == other)
    theirs = _fields(other)
    return theirs is not None and _same(fields, theirs)


def _fields(value: Any) -> dict[str, Any] | None:
    """Return the attributes of an object; None for one that has none."""
    found: dict[str, Any] = {}
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found[name] = getattr(value, name)
    found.update(getattr(value, "__dict__", {}))
    return found or None
