"""Pending requests as they are handed on, and as they are shown: a schema is the same for many of them.

In a superstep's result and in what a run hands to the next, each schema is there once, under its digest, and requests
refer to it. Whoever asks the run for its requests gets them with their schemas in them, as far as an answer has room.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from pydantic_core import to_json

from .. import limits
from ..messages import PendingRequest, json_bytes

Schemas: TypeAlias = dict[str, dict[str, Any]]
"""JSON Schemas by their digest."""
MAX_ANSWER_BYTES = 512 * 1024
"""Of the schemas in an answer of query `pending_requests`, which has to fit a payload beside the requests."""


def packed(pending: Iterable[PendingRequest]) -> tuple[list[PendingRequest], Schemas]:
    """Return requests as they are handed on, without what all of them have in common, and their schemas."""
    schemas: Schemas = {}
    left = limits.MAX_SCHEMAS_BYTES
    ids: dict[int, str] = {}  # The same object, mostly.
    found: list[PendingRequest] = []
    for request in pending:
        update: dict[str, Any] = {"thread_id": "", "workflow_name": None}
        for name in ("request_schema", "response_schema"):
            schema = getattr(request, name)
            digest = None
            if schema is not None:
                digest = ids.get(id(schema)) or ids.setdefault(id(schema), _digest(schema))
                if digest not in schemas:
                    left -= json_bytes(schema)
                    if left >= 0:
                        schemas[digest] = schema
                    else:
                        left += json_bytes(schema)
            update |= {name: None, f"{name}_id": digest if digest in schemas else None}
        found.append(request.model_copy(update=update))
    return found, schemas


def unpack(pending: Sequence[PendingRequest], schemas: Schemas, *, thread_id: str, workflow_name: str) -> None:
    """Give requests back what `packed` took from them."""
    for request in pending:
        request.thread_id = thread_id
        request.workflow_name = workflow_name
        request.readable = None  # In a frame that nobody who asks the run has.
        complete([request], schemas)


def shown(pending: Iterable[PendingRequest]) -> list[PendingRequest]:
    """Return requests as a query answers with them: each schema is in at least one of them, and in all if it fits."""
    requests = list(pending)
    sizes = {
        digest: json_bytes(schema)
        for digest, schema in {
            digest: schema for request in requests for digest, schema in _schemas(request) if schema is not None
        }.items()
    }
    left = MAX_ANSWER_BYTES - sum(sizes.values())
    given: set[str] = set()
    found: list[PendingRequest] = []
    for request in requests:
        left_out: dict[str, Any] = {}
        for name, (digest, schema) in zip(("request_schema", "response_schema"), _schemas(request), strict=True):
            if schema is None or digest not in given:
                given.add(digest)
            elif sizes[digest] <= left:
                left -= sizes[digest]
            else:
                left_out[name] = None
        found.append(request.model_copy(update=left_out) if left_out else request)
    return found


def complete(pending: Sequence[PendingRequest], schemas: Schemas | None = None) -> None:
    """Give requests the schemas they refer to.

    Args:
        pending: The requests.
        schemas: The schemas; those that other requests have when left out.
    """
    if schemas is None:
        schemas = {digest: schema for request in pending for digest, schema in _schemas(request) if schema is not None}
    for request in pending:
        if request.request_schema is None:
            request.request_schema = schemas.get(request.request_schema_id or "")
        if request.response_schema is None:
            request.response_schema = schemas.get(request.response_schema_id or "")


def _schemas(request: PendingRequest) -> tuple[tuple[str, dict[str, Any] | None], ...]:
    return (
        (request.request_schema_id or "", request.request_schema),
        (request.response_schema_id or "", request.response_schema),
    )


def _digest(schema: dict[str, Any]) -> str:
    return hashlib.blake2b(to_json(schema), digest_size=8).hexdigest()
