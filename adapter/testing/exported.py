"""Marks what this package exports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from agent_framework_temporal.workflows.exported import exported

_Exported = TypeVar("_Exported", bound=type[Any] | Callable[..., Any])


def exported_for_tests(found: _Exported) -> _Exported:
    """Give a class or function the module users import it from: this package, wherever it is defined."""
    return exported(found, "agent_framework_temporal.testing")
