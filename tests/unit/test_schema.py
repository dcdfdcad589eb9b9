"""Answers are held to JSON schemas in little time, whatever the answer is."""

from __future__ import annotations

import threading
from typing import Any

import jsonschema_rs
import pytest
from agent_framework_temporal.workflows.limits import MAX_SCHEMA_BYTES
from agent_framework_temporal.workflows.messages import PendingRequest
from agent_framework_temporal.workflows.requests.schema import (
    MAX_ERRORS,
    check_schema,
    fits_schema,
)
from agent_framework_temporal.workflows.requests.signals import RejectedResponseError

_NUMBERS = {"type": "array", "items": {"type": "integer"}}


def _request(schema: dict[str, Any] | None, request_id: str = "q") -> PendingRequest:
    return PendingRequest(
        request_id=request_id,
        thread_id="t",
        executor_id="e",
        asked_at="now",
        request_type="builtins:str",
        response_type="builtins:list",
        response_schema=schema,
    )


def test_the_first_places_are_told_and_never_the_value() -> None:
    with pytest.raises(RejectedResponseError, match="The response to request 'q' does not fit builtins:list") as caught:
        check_schema(_request(_NUMBERS), ["secret"] * 100)
    assert len(caught.value.errors) == MAX_ERRORS
    assert caught.value.errors[0].startswith("0: ")
    assert "secret" not in str(caught.value)


def test_of_a_large_answer_only_the_first_is_told() -> None:
    """All of them are made before one is looked at: of 100,000 that takes seconds."""
    with pytest.raises(RejectedResponseError) as caught:
        check_schema(_request(_NUMBERS), ["secret"] * 100_000)
    assert caught.value.errors == ['0: the value is not of type "integer"']


def test_a_schema_is_compiled_once_for_all_requests_that_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    original = jsonschema_rs.Draft202012Validator

    def compile_schema(schema: Any, **options: Any) -> Any:
        compiled.append(schema)
        return original(schema, **options)

    monkeypatch.setattr(jsonschema_rs, "Draft202012Validator", compile_schema)
    schema = {**_NUMBERS, "title": "compiled once"}
    for number in range(1_000):
        assert fits_schema(_request(dict(schema), f"q{number}"), [number])
        assert not fits_schema(_request(dict(schema), f"q{number}"), ["no"])
    assert compiled == [schema]


def test_a_compiled_schema_is_used_by_many_threads() -> None:
    request = _request({**_NUMBERS, "title": "of many threads"})
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(fits_schema(request, [1]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {"$ref": "http://localhost/schema.json"},
        {"type": 7},
        {"type": "string", "pattern": "("},
        {"enum": ["x" * MAX_SCHEMA_BYTES]},
    ],
    ids=lambda schema: repr(schema)[:40],
)
def test_where_a_schema_says_nothing_anything_may_fit(schema: dict[str, Any] | None) -> None:
    assert fits_schema(_request(schema), ["anything"])
    check_schema(_request(schema), ["anything"])


def test_answers_that_no_schema_can_be_held_to() -> None:
    nested: Any = 1
    for _ in range(5_000):
        nested = [nested]
    for value in (nested, 10**5_000, {"a": nested}, float("nan"), "\ud800"):
        fits_schema(_request(_NUMBERS), value)
        fits_schema(
            _request({"$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}), value
        )
