"""Exceptions as data: their class, what they were made with and what they say.

No code of an exception's class runs where it is made again: neither its constructor nor its `__str__`. Whether it says
the same without them is found out where it is written, by the process in which it was raised.
"""

from __future__ import annotations

import builtins
import types
from collections.abc import Sequence
from typing import Any, TypeVar

from ..framework.catalog import TypeCatalog, known_error
from ..framework.standard import SCALARS
from ..framework.static import class_attribute, mro, type_key

_KEPT = (*SCALARS, bytes)
_BUILTIN = frozenset(id(found) for found in vars(builtins).values() if isinstance(found, type))
_FALLBACK = "builtins:RuntimeError"
_ErrorT = TypeVar("_ErrorT", bound=BaseException)


def exception_args(error: BaseException) -> list[Any] | None:
    """Return the arguments that rebuild an exception; None when they are not plain scalars."""
    args = _given(error)
    return args if all(type(arg) in SCALARS for arg in args) else None


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


def new_exception(
    module: str, name: str, args: list[Any] | None, text: str | None = None, *, catalog: TypeCatalog | None = None
) -> Exception | None:
    """Rebuild the exception an executor raised, if its class may be made here; else None.

    That may be an exception of Python or the framework, one of this package, and with a catalog those that the
    workflow's modules name or that are registered.

    Args:
        module: Module of its class.
        name: Qualified name of its class.
        args: Its arguments, if it says `text` when it is made with them; None where only the text is known.
        text: What it said; an exception that would say something else is not rebuilt.
        catalog: The types of the workflow.
    """
    key = f"{module}:{name}"
    cls = catalog.error_class(key) if catalog is not None else known_error(key)
    silent = cls is not None and type(class_attribute(cls, "__str__")) is types.WrapperDescriptorType
    if cls is None or (args is None and not silent):
        return None
    try:
        error = made(cls, [text or ""] if args is None else args)
    except (TypeError, ValueError):
        return None
    return error if type(error) is cls and (text is None or not silent or str(error) == text) else None


def _given(error: BaseException) -> list[Any]:
    args = error.args
    if type(error).__module__ == "builtins":
        reduced = error.__reduce__()  # OSError leaves the file name out of its args.
        args = reduced[1] if isinstance(reduced, tuple) else args
    return list(args)
