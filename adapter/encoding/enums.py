"""Members of enumerations as data, and back without asking their class: neither `__call__` nor `_missing_` runs."""

from __future__ import annotations

import enum
from typing import Any

from ..errors import PayloadError
from ..framework.standard import integer_node, integer_of
from ..framework.static import class_attribute, has_base, type_key

_MAX_COMBINATIONS = 10_000
"""Of the members of one flag: each that is ever met is kept by its class, for good."""


def member_node(member: enum.Enum) -> Any:
    """Return a member as its class and its name, and the value of one that has none: a combination of flags.

    Raises:
        PayloadError: When it could not be found again.
    """
    cls = type(member)
    for name in (member.name, *_members(cls)):
        if name is not None and _members(cls).get(name) is member:
            return [type_key(cls), name] if "." in name else f"{type_key(cls)}.{name}"
    if type(member.value) is int and _combination(cls, member.value) is member:
        return [type_key(cls), None, integer_node(member.value)]
    raise PayloadError(
        f"{member!r} is not a member of {type_key(cls)} that can be found by name. Keep its value in the state instead."
    )


def member_of(cls: type[Any], name: Any, value: Any = None) -> Any:
    """Return the member that `member_node` wrote.

    Raises:
        ValueError: When there is none.
    """
    if not has_base(cls, enum.Enum):
        raise ValueError(f"{type_key(cls)} is not an enumeration")
    found = _combination(cls, integer_of(value)) if name is None else _members(cls).get(name)
    if found is None:
        raise ValueError(f"{type_key(cls)} has no member {name if name is not None else value!r:.60}")
    return found


def _members(cls: type[Any]) -> dict[str, Any]:
    return class_attribute(cls, "_member_map_")  # type: ignore[no-any-return]


def _combination(cls: type[Any], value: int) -> Any:
    """Return a combination of flags; None if there is none, or only code of the class could make it."""
    missing = class_attribute(cls, "_missing_")
    plain = missing is class_attribute(enum.Flag, "_missing_") or missing is class_attribute(enum.IntFlag, "_missing_")
    if not (plain and has_base(cls, enum.Flag) and class_attribute(cls, "_member_type_") in (object, int)):
        return None
    known = class_attribute(cls, "_value2member_map_")
    if value in known:
        return known[value]
    return missing.__func__(cls, value) if len(known) <= _MAX_COMBINATIONS else None
