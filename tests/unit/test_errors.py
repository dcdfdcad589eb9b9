"""The errors: one tree, caught as the framework's own, and nothing private in what a caller meets."""

from __future__ import annotations

import inspect
import pickle
import re

import agent_framework_temporal
import pytest
from agent_framework_temporal import DurableWorkflowError, PayloadError, RunFailedError
from agent_framework_temporal.adapter import errors as _errors

ERRORS = [error for _, error in inspect.getmembers(_errors, inspect.isclass) if issubclass(error, DurableWorkflowError)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_is_exported_and_caught_as_the_frameworks_own(error: type[DurableWorkflowError]) -> None:
    assert issubclass(error, DurableWorkflowError)
    assert getattr(agent_framework_temporal, error.__name__) is error
    assert str(error("what to do next")) == "what to do next"
    assert str(pickle.loads(pickle.dumps(error("text")))) == "text"  # noqa: S301 - our own bytes.


def test_the_tree_in_the_documentation_is_the_tree() -> None:
    stack: list[str] = []
    documented: dict[str, str] = {}
    for line in (_errors.__doc__ or "").splitlines():
        found = re.match(r"^    ([│├└─ ]*)(\w+Error)\b", line)
        if found:
            depth = len(found[1]) // 4
            del stack[depth:]
            documented[found[2]] = stack[-1] if stack else "WorkflowException"
            stack.append(found[2])
    assert documented == {error.__name__: error.__bases__[0].__name__ for error in ERRORS}


def test_the_ends_of_a_run_are_caught_together() -> None:
    names = {error.__name__ for error in ERRORS if issubclass(error, RunFailedError)}
    assert names == {
        "RequestExpiredError",
        "RunCancelledError",
        "RunFailedError",
        "RunInterruptedError",
        "RunTerminatedError",
        "RunTimedOutError",
        "WorkerLostError",
    }


def test_a_value_that_cannot_travel_is_a_type_error_as_well() -> None:
    assert issubclass(PayloadError, TypeError)
