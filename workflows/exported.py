"""Marks what the package exports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_Exported = TypeVar("_Exported", bound=type[Any] | Callable[..., Any])

PACKAGE = "agent_framework_temporal"


def exported(found: _Exported) -> _Exported:
    """Give a class or function the module users import it from, in tracebacks, pickles and stored failures.

    The module it is defined in may move; this name never does.
    """
    found.__module__ = PACKAGE
    return found
