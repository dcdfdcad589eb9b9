"""Whom a message of a workflow reaches first, and what that takes."""

from __future__ import annotations

from typing import Any, Union

from pydantic_core import to_json

from ...workflows.messages import MessageFacts
from .definition import WorkflowDefinition
from .values import json_schema

_MAX_BYTES = 4 * 1024
"""It travels with the start of each run; of a larger schema the worker alone tells what fits."""


def message_facts(hosted: WorkflowDefinition | None) -> MessageFacts:
    """Describe where a message begins; empty for a caller without the definition, and for a function."""
    if hosted is None or hosted.is_functional:
        return MessageFacts()
    return MessageFacts(start_executor=hosted.start_executor_id, message_schema=_schema(hosted.catalog.input_types))


def _schema(declared: tuple[Any, ...]) -> dict[str, Any] | None:
    found = json_schema(Union[declared]) if declared else None  # noqa: UP007 - of as many types as there are
    return found if found and len(to_json(found)) <= _MAX_BYTES else None
