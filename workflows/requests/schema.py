"""Holds an answer to the JSON Schema of its request's response type, at once and without the type.

Only updates are held to it. Pydantic, on the worker, has the last word: it knows validators no schema can say.
"""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from ..messages import PendingRequest
from .signals import RejectedAnswerError

MAX_ERRORS = 5
MAX_ERROR_TEXT = 300
_MAX_BACKTRACKS = 100_000
"""A pattern of the type's author meets a text of anybody: a workflow task must not be held up by it."""


def check_schema(request: PendingRequest, response: Any) -> None:
    """Check a response; requests of a type pydantic does not know have no schema and take anything.

    Raises:
        RejectedAnswerError: With the first places that do not fit, never with the value.
    """
    if request.response_schema is None:
        return
    try:
        validator = jsonschema_rs.Draft202012Validator(
            request.response_schema,
            mask="the value",
            retriever=_refuse,
            pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_MAX_BACKTRACKS),
        )
        errors = []
        for error in validator.iter_errors(response):
            place = ".".join(map(str, error.instance_path)) or "response"
            errors.append(f"{place}: {error.message}"[:MAX_ERROR_TEXT])
            if len(errors) == MAX_ERRORS:
                break
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, RecursionError):
        return  # A schema that cannot be used, or a value it cannot be held to: pydantic decides alone.
    if errors:
        raise RejectedAnswerError(
            f"The response to request {request.request_id!r} does not fit {request.response_type}: {'; '.join(errors)}",
            errors,
        )


def _refuse(uri: str) -> Any:
    """Refuse to load a schema from elsewhere: a workflow does not touch the network."""
    raise ValueError(f"{uri} is not part of the schema")
