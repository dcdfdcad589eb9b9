"""The rules of the wire models, of every model there is: fields and values of a newer release are no errors."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

import agent_framework_temporal.adapter.checkpoints.history  # noqa: F401 - has models that read a part of others
import pytest
from agent_framework_temporal import NewerReleaseError
from agent_framework_temporal.adapter.temporal.converter import FramedPayloadConverter
from agent_framework_temporal.workflows import messages
from agent_framework_temporal.workflows.messages import (
    VERSION,
    LoggedEvent,
    NewerVersionError,
    RunInput,
    SuperstepResult,
    Versioned,
    WireModel,
)
from pydantic import BaseModel


def _models(base: type[BaseModel] = WireModel) -> Iterator[type[BaseModel]]:
    for cls in base.__subclasses__():
        if cls.__module__.startswith("agent_framework_temporal"):
            yield cls
            yield from _models(cls)


MODELS = sorted(set(_models()), key=lambda model: model.__name__)


def closed(annotation: Any) -> bool:
    """Tell whether a type takes only values that are known today."""
    origin = get_origin(annotation)
    if origin is Literal:
        return True
    if origin in (Union, types.UnionType):
        return any(closed(part) for part in get_args(annotation)) and str not in get_args(annotation)
    return any(closed(part) for part in get_args(annotation))


def _hints(model: type[BaseModel]) -> dict[str, Any]:
    return {name: field.annotation for name, field in model.model_fields.items()}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_model_is_open(model: type[BaseModel]) -> None:
    assert [name for name, hint in _hints(model).items() if closed(hint)] == []
    assert model.model_config.get("extra") == "ignore"


def test_a_closed_field_would_be_seen() -> None:
    assert closed(Literal["a"])
    assert closed(Literal["a"] | None)
    assert closed(list[Literal["a", "b"]])
    assert not closed(Literal["a"] | str | None)
    assert len(MODELS) > 25


@pytest.mark.parametrize("model", [model for model in MODELS if "version" in model.model_fields], ids=str)
def test_a_version_is_read(model: type[BaseModel]) -> None:
    assert issubclass(model, Versioned)


def test_only_a_greater_version_is_refused() -> None:
    known = {"workflow_name": "any", "mode": "message"}
    assert RunInput.model_validate({**known, "version": 0}).version == 0
    assert RunInput.model_validate(known).version == VERSION
    with pytest.raises(NewerVersionError, match=r"A RunInput of version 99 was written by a newer release.*Upgrade"):
        RunInput.model_validate({**known, "version": 99})
    # Readers are told by an error that callers can catch.
    converter = FramedPayloadConverter()
    (payload,) = converter.to_payloads([{"state": "running", "version": 99}])
    with pytest.raises(NewerReleaseError, match="SuperstepResult of version 99"):
        converter.from_payloads([payload], [SuperstepResult])


def test_an_open_field_says_what_is_known() -> None:
    """In the JSON Schema, for those who write clients in other languages."""
    schema = messages.RunStatus.model_json_schema()["properties"]["state"]["anyOf"]
    assert schema == [
        {"enum": ["running", "waiting", "paused", "idle", "failed", "cancelled"], "type": "string"},
        {"type": "string"},
    ]


def test_records_of_ours_have_no_origin() -> None:
    """By that a reader tells those of a newer release from the framework's events."""
    assert LoggedEvent(offset=0, type="response_accepted").origin is None
