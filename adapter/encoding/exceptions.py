"""Exceptions as data: their class, what they were made with and what they say.

No code of an exception's class runs where it is made again: neither its constructor nor its `__str__`. Whether it says
the same without them is found out where it is written, by the process in which it was raised.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, TypeVar

from ..framework.catalog import TypeCatalog
from ..framework.standard import SCALARS
from ..framework.static import mro, type_key

_KEPT = (*SCALARS, bytes)
_BUILTIN = frozenset(id(found) for found in vars(builtins).values() if isinstance(found, type))
_FALLBACK = "builtins:RuntimeError"
_ErrorT = TypeVar("_ErrorT", bound=BaseException)


def described(error: BaseException, catalog: TypeCatalog) -> tuple[str, list[Any]]:
    """Return the class key and the arguments by which `made` makes an exception that says the same.

    A RuntimeError, where the class is none that may be made again, or needs its own code to say it.
    """
    said = str(error)
    key, args = type_key(type(error)), _given(error)
    if catalog.error_class(key) is type(error):
        for arguments in (args, [said]):
            if says(type(error), arguments, said):
                return key, arguments
    return _FALLBACK, [said]


def says(cls: type[BaseException], args: Sequence[Any], said: str) -> bool:
    """Tell whether an exception that is made without its class's code says the same; runs the class's `__str__`."""
    try:
        copy = made(cls, args)
        return type(copy) is cls and str(copy) == said
    except Exception:  # It is the class's own code, and arguments that may not be the constructor's.
        return False


def made(cls: type[_ErrorT], args: Sequence[Any]) -> _ErrorT:
    """Make an exception of plain scalars by the builtin class that it derives from.

    Raises:
        ValueError: For arguments that are no plain scalars.
        TypeError: For arguments that the builtin class does not take.
    """
    if any(type(arg) not in _KEPT for arg in args):
        raise ValueError("an exception's arguments are plain values")
    builtin: Any = next(owner for owner in mro(cls) if id(owner) in _BUILTIN)
    error: _ErrorT = builtin.__new__(cls, *args)
    builtin.__init__(error, *args)
    return error


def _given(error: BaseException) -> list[Any]:
    args = error.args
    if type(error).__module__ == "builtins":
        reduced = error.__reduce__()  # OSError leaves the file name out of its args.
        args = reduced[1] if isinstance(reduced, tuple) else args
    return list(args)
