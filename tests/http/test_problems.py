"""Each error of ours is a problem of its own, by one table."""

from __future__ import annotations

import json

import pytest
from agent_framework_temporal import DurableWorkflowError, EditRefusedError
from agent_framework_temporal.adapter import errors
from agent_framework_temporal.adapter.http.problems import STATUS, problem_of
from temporalio.service import RPCError, RPCStatusCode


def _classes(cls: type[Exception]) -> list[type[Exception]]:
    found = [cls]
    for inner in cls.__subclasses__():
        found += _classes(inner)
    return [kind for kind in found if vars(errors).get(kind.__name__) is kind]


@pytest.mark.parametrize("cls", _classes(DurableWorkflowError))
def test_each_has_a_status_and_a_kind(cls: type[Exception]) -> None:
    assert cls in STATUS, f"say in problems.py what {cls.__name__} is to a caller of the API"
    found = problem_of(cls("what to do next"))
    assert found.problem.status == STATUS[cls]
    assert found.problem.detail == "what to do next"
    kind = found.problem.type.removeprefix("urn:agent-framework-temporal:problem:")
    assert kind and kind == kind.lower() and found.problem.title.lower().replace(" ", "-") == kind
    assert ("Retry-After" in found.headers) == (STATUS[cls] in (429, 503))


def test_kinds_are_different() -> None:
    kinds = [problem_of(cls("")).problem.type for cls in STATUS]
    assert len(kinds) == len(set(kinds))


def test_one_of_another_release_is_that_of_its_base() -> None:
    class Newer(errors.AlreadyRunningError):
        pass

    assert problem_of(Newer("x")).problem == problem_of(errors.AlreadyRunningError("x")).problem


def test_places_and_causes() -> None:
    assert problem_of(EditRefusedError.of(["state: no", "messages: no"])).problem.errors == [
        "state: no",
        "messages: no",
    ]
    refused = DurableWorkflowError("no such attribute")
    refused.__cause__ = RPCError("no", RPCStatusCode.INVALID_ARGUMENT, b"")
    assert problem_of(refused).problem.status == 400
    assert problem_of(ValueError("as the framework says")).problem.status == 422
    assert problem_of(RuntimeError("as the framework says")).problem.status == 409
    assert problem_of(problem_of(ValueError("x"))).problem.detail == "x"


def test_what_nobody_foresaw_tells_nothing() -> None:
    for error in (KeyError("secret"), RecursionError("secret"), OSError("/secret")):
        problem = problem_of(error).problem
        assert problem.status == 500 and "secret" not in json.dumps(problem.model_dump())
