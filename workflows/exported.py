"""Marks what the package exports."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

_Exported = TypeVar("_Exported", bound=type[Any] | Callable[..., Any])

PACKAGE = "agent_framework_temporal"


def exported(found: _Exported, module: str = PACKAGE) -> _Exported:
    """Give a class or function the module users import it from, in tracebacks, pickles and stored failures.

    The module it is defined in may move; this name never does. Annotations of a class are resolved while it is known
    where: whoever asks for them later, as `get_type_hints` and pydantic do, looks in the module that it names.

    Args:
        found: The class or function.
        module: Where users import it from.
    """
    if inspect.isclass(found) and "__annotations__" in vars(found):
        hints = get_type_hints(found, localns={found.__name__: found}, include_extras=True)
        found.__annotations__ = {name: hints[name] for name in found.__annotations__}
    found.__module__ = module
    return found
