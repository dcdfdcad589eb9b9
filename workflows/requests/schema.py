"""Holds an answer to the JSON Schema of its request's response type, and a message to that of the start executor's.

At once and without the type. Of answers only updates are held to it. Pydantic, on the worker, has the last word: it
knows validators no schema can say.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import jsonschema_rs
from pydantic_core import from_json, to_json

from .. import limits
from ..messages import PendingRequest, json_bytes
from .signals import RejectedResponseError

MAX_ERRORS = 5
MAX_ERROR_TEXT = 300


MAX_LISTED_BYTES = 8 * 1024
"""Of a larger response only the first error is told: a list of them is made whole, and may take seconds."""
_MAX_COMPILED = 256
"""Compiled schemas that a worker keeps; the requests of a run mostly share a few."""


def check_schema(request: PendingRequest, response: Any) -> None:
    """Check a response; requests of a type pydantic does not know have no schema and take anything.

    Raises:
        RejectedResponseError: With the first places that do not fit, never with the value.
    """
    errors = misfits(request.response_schema, response, "response")
    if not errors:
        return
    raise RejectedResponseError(
        f"The response to request {request.request_id!r} does not fit {request.response_type}: {'; '.join(errors)}",
        errors,
    )


def fits_schema(request: PendingRequest, response: Any) -> bool:
    """Tell whether a response fits, or nothing can be said: then pydantic decides alone."""
    return _fits(_validator(request.response_schema), response)


def misfits(schema: dict[str, Any] | None, value: Any, what: str) -> list[str]:
    """Say the first places of a value that do not fit a schema, never with the value; none where it fits.

    Args:
        schema: None takes anything.
        value: The value.
        what: Names it as a whole.
    """
    validator = _validator(schema)
    if validator is None or _fits(validator, value):
        return []
    errors = []
    for error in _first_errors(validator, value):
        place = ".".join(map(str, error.instance_path)) or what
        errors.append(f"{place}: {error.message}"[:MAX_ERROR_TEXT])
    return errors


def _fits(validator: jsonschema_rs.Draft202012Validator | None, value: Any) -> bool:
    try:
        return validator is None or validator.is_valid(value)
    except (jsonschema_rs.ValidationError, ValueError, RecursionError):
        return True  # A value that no schema can be held to.


def _first_errors(validator: jsonschema_rs.Draft202012Validator, value: Any) -> list[jsonschema_rs.ValidationError]:
    if json_bytes(value) <= MAX_LISTED_BYTES:
        return list(itertools.islice(validator.iter_errors(value), MAX_ERRORS))
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        return [error]
    return []


def _validator(schema: dict[str, Any] | None) -> jsonschema_rs.Draft202012Validator | None:
    return None if schema is None else _compiled(to_json(schema))


@functools.lru_cache(maxsize=_MAX_COMPILED)
def _compiled(schema: bytes) -> jsonschema_rs.Draft202012Validator | None:
    """Compile a schema, once for all requests of the worker that share it; None where it cannot be used."""
    if len(schema) > limits.MAX_SCHEMA_BYTES:
        return None
    try:
        return jsonschema_rs.Draft202012Validator(
            from_json(schema),
            mask="the value",
            retriever=_refuse,
            pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=limits.MAX_BACKTRACKS),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, RecursionError):
        return None


def _refuse(uri: str) -> Any:
    """Refuse to load a schema from elsewhere: a workflow does not touch the network."""
    raise ValueError(f"{uri} is not part of the schema")
