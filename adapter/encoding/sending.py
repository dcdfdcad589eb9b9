"""A caller's value on its way to a superstep: as JSON where that arrives as the same value, else as typed text too.

JSON is what everyone can read and send, and what a stranger's message comes as; but it says neither which of two like
classes an object is of, nor that a list was a tuple. Whether it would arrive as it was given is found out before it is
sent, with the code that will read it. The typed text is that of checkpoints, checked on arrival: `conformance.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...workflows.messages import Value
from ...workflows.value_limits import TOO_DEEP
from ..advice import Advice, Step, Way
from ..errors import PayloadError
from ..framework.catalog import TypeCatalog
from ..framework.values import NoJSONError, build, from_json_value, shown, to_json_value, wire_type
from .conformance import UnfitError, check
from .decoding import decoded, loads
from .differences import difference
from .encoding import dumps

_SHOWN_BYTES = 4 * 1024
"""Of JSON for people beside the typed text."""
_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})


def encoded(value: Any, what: str, declared: tuple[Any, ...] | None, catalog: TypeCatalog | None) -> Value:
    """Return a value as it travels.

    Args:
        value: What the caller gave.
        what: Names the value in errors, e.g. "The message".
        declared: The types that are expected; None where that is not known here.
        catalog: The types of the workflow; None for a caller without its definition, who can send JSON only.

    Raises:
        PayloadError: When it would not arrive as it is, naming the part; or cannot be read where it arrives.
    """
    data, refusal = _json(value, what)
    key = wire_type(value)
    if refusal is None:
        changed = None if is_plain(value) else _changed(value, data, key, declared, catalog)
        if changed is None:
            return Value(value=data, type=key)
        if catalog is None:
            raise PayloadError(
                Advice(
                    f"{what} ({type(value).__name__}) would not arrive unchanged: {changed}. Send plain JSON data, or ",
                    Step(Way.TYPES),
                    ".",
                )
            )
    elif catalog is None:
        raise refusal
    try:
        typed = _typed(value, declared or (), catalog)
    except (UnfitError, PayloadError) as error:
        if refusal is not None:
            raise PayloadError(f"{refusal} With its types it cannot either: {error}.") from error
        raise PayloadError(
            f"{what} ({type(value).__name__}) would not arrive unchanged: {error}. Send its parts, and build it in "
            "the executor."
        ) from error
    return Value(value=_for_people(value), type=key, typed=typed)


def encoded_mapping(given: dict[str, Any], what: str, key: str | None, catalog: TypeCatalog | None) -> Value:
    """Return arguments by name as they travel; see `encoded`."""
    found = encoded(given, what, (dict,), catalog)
    return found.model_copy(update={"type": key})


def _json(value: Any, what: str) -> tuple[Any, NoJSONError | None]:
    try:
        return to_json_value(value, what), None
    except NoJSONError as error:
        return None, error


def _changed(
    value: Any, data: Any, key: str | None, declared: tuple[Any, ...] | None, catalog: TypeCatalog | None
) -> str | None:
    """Say what JSON would make another thing of; None if it arrives as it was given."""
    arrive: Callable[[], Any]
    if catalog is not None and declared is not None:
        arrive = lambda: from_json_value(data, key, declared, catalog)  # noqa: E731
    elif catalog is not None:
        return "its type can be left out only where it is declared"
    elif type(value) in _CONTAINERS:
        arrive = lambda: data  # noqa: E731
    else:
        arrive = lambda: build(data, type(value))  # noqa: E731
    try:
        return difference(value, arrive())
    except Exception as error:  # Validators, and comparisons, are the values' own code.
        return f"{type(value).__name__} could not be made of its JSON ({type(error).__name__})"


def _typed(value: Any, declared: tuple[Any, ...], catalog: TypeCatalog) -> str:
    """Return the typed text of a value.

    Raises:
        UnfitError: When it would be refused on arrival, or be another.
        PayloadError: When it cannot be written.
    """
    try:
        check(value, declared, catalog)
        data = dumps(value, catalog)
        changed = difference(value, loads(data, catalog))
    except RecursionError as error:
        raise UnfitError("", TOO_DEEP) from error
    if changed is not None:
        raise UnfitError("", changed)
    return data.decode()


def _for_people(value: Any) -> Any:
    found = shown(value)
    if found.size <= _SHOWN_BYTES:
        return found.data
    return f"({type(value).__name__}, {found.size:,} bytes)"


async def received(
    value: Any, typed: str | None, key: str | None, declared: tuple[Any, ...], catalog: TypeCatalog
) -> Any:
    """Return a caller's value as a superstep gets it; see `encoded`.

    Args:
        value: JSON data.
        typed: The typed text beside it, if there is one.
        key: The name of the value's type, if the sender knew one.
        declared: The types that are expected.
        catalog: The types of the workflow.

    Raises:
        PayloadError: When the typed text is not what its own classes would make, or names others.
    """
    if typed is None:
        return from_json_value(value, key, declared, catalog)
    found = await decoded(typed.encode("utf-8", "surrogatepass"), catalog)
    try:
        check(found, declared, catalog, arrived=True)
    except UnfitError as error:
        raise PayloadError(f"A value that was sent with its types is none that these would make: {error}.") from error
    except RecursionError as error:
        raise PayloadError("A value that was sent with its types is nested too deeply.") from error
    return found


def is_plain(value: Any) -> bool:
    """Tell whether a value is what JSON itself holds, exactly: its every type and key."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if kind is list:
            waiting += item
        elif kind is dict:
            if any(type(key) is not str for key in item):
                return False
            waiting += item.values()
        elif kind is float:
            if not math.isfinite(item):
                return False
        elif kind not in _SCALARS:
            return False
    return True


_SCALARS = frozenset({str, int, bool, type(None)})
