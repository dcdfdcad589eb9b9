"""What a failed superstep reports: the whole table of what is tried again, and how long to wait before it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from agent_framework import WorkflowConvergenceException
from agent_framework.exceptions import ChatClientException
from agent_framework_temporal.activities.executor_rules import RetryRule, retry_rule
from agent_framework_temporal.activities.failures import (
    is_retryable,
    retry_after,
    to_application_error,
)
from agent_framework_temporal.adapter.checkpoints.pickling import new_exception
from agent_framework_temporal.adapter.errors import GraphChangedError, PayloadError
from agent_framework_temporal.workflows.messages import ExecutorRule, SuperstepFailure, SuperstepInput
from temporalio.exceptions import ApplicationError


class Answered(Exception):
    """An error of an HTTP client, in the shape its keywords give it."""

    def __init__(self, text: str = "", **attributes: Any) -> None:
        super().__init__(text)
        vars(self).update(attributes)


class Headers(dict[str, str]):
    """Looks its names up as they are written, as a plain dictionary does."""


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def _within(error: Exception, context: Exception, *, suppressed: bool = False) -> Exception:
    error.__context__ = context
    error.__suppress_context__ = suppressed
    return error


def _cycle() -> Exception:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def _limited(value: str, name: str = "Retry-After") -> Exception:
    return Answered(status_code=429, response=SimpleNamespace(headers=Headers({name: value})))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("any"), True),
        (ConnectionError("reset"), True),
        (TimeoutError(), True),
        (PayloadError("large"), False),
        (GraphChangedError("changed"), False),
        (Answered(status_code=500), True),
        (Answered(status_code=400), False),
        (Answered(status_code=401), False),
        (Answered(status_code=404), False),
        (Answered(status_code=422), False),
        *((Answered(status_code=status), True) for status in (408, 409, 425, 429, 502, 503, 529)),
        (Answered(status=403), False),
        (Answered(response=SimpleNamespace(status_code=403)), False),
        (Answered(response=SimpleNamespace(status=429)), True),
        (Answered(status_code="400"), True),
        (Answered(status_code=True), True),
        (Answered(status_code=None, response=None), True),
        (_caused(ChatClientException("wrapped"), Answered(status_code=401)), False),
        (_caused(ChatClientException("wrapped"), Answered(status_code=429)), True),
        (_within(RuntimeError("while handling"), Answered(status_code=400)), False),
        (_within(RuntimeError("instead"), Answered(status_code=400), suppressed=True), True),
        (_cycle(), True),
    ],
    ids=repr,
)
def test_whether_another_attempt_could_help(error: Exception, expected: bool) -> None:
    assert is_retryable(error) is expected


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (ValueError("any"), None),
        (_limited("20"), 20),
        (_limited("1.5"), 1.5),
        (_limited("0"), 0),
        (_limited("-5"), 0),
        (_limited("100000"), 600),
        (_limited("1e400"), 600),
        (_limited("inf"), 600),
        (_limited("nan"), None),
        (_limited("soon"), None),
        (_limited(""), None),
        (_limited("250", "retry-after-ms"), 0.25),
        (_limited("7", "RETRY-AFTER"), 7),
        (_limited("Wed, 21 Oct 2015 07:28:00 GMT"), 0),
        (_limited("Wed, 21 Oct 2115 07:28:00 GMT"), 600),
        (Answered(headers=Headers({"retry-after": "3"})), 3),
        (Answered(response=SimpleNamespace(headers=None)), None),
        (Answered(response=SimpleNamespace(headers=["retry-after"])), None),
        (_caused(ChatClientException("wrapped"), _limited("9")), 9),
        (_cycle(), None),
    ],
    ids=repr,
)
def test_the_wait_a_server_asks_for(error: Exception, seconds: float | None) -> None:
    assert retry_after(error) == (None if seconds is None else timedelta(seconds=seconds))


def test_a_date_to_wait_for_is_a_wait_until_then() -> None:
    then = datetime.now(UTC) + timedelta(seconds=60)
    for text in (format_datetime(then, usegmt=True), format_datetime(then).replace("+0000", "-0000")):
        wait = retry_after(_limited(text))
        assert wait is not None
        assert timedelta(seconds=55) < wait <= timedelta(seconds=60)


def _report(
    error: Exception, *, executor_failed: bool = True, failures: int = 1, rule: RetryRule | None = None
) -> tuple[ApplicationError, SuperstepFailure]:
    failure = SuperstepFailure()
    reported = to_application_error(
        error, failure, executor_failed=executor_failed, failures=failures, rule=rule or RetryRule()
    )
    assert reported.details == (failure,)
    return reported, failure


def test_an_executors_error_is_tried_again_until_its_attempts_are_used_up() -> None:
    assert [_report(ValueError("x"), failures=failures)[0].non_retryable for failures in (1, 2, 3, 4)] == [
        False,
        False,
        True,
        True,
    ]


def test_an_error_of_the_framework_is_final() -> None:
    reported, failure = _report(WorkflowConvergenceException("no"), executor_failed=False)
    assert reported.non_retryable
    assert (failure.error_module, failure.error_type) == (
        WorkflowConvergenceException.__module__,
        "WorkflowConvergenceException",
    )


def test_the_wait_is_given_to_the_server_unless_the_error_is_final() -> None:
    assert _report(_limited("20"))[0].next_retry_delay == timedelta(seconds=20)
    assert _report(_limited("20"), failures=3)[0].next_retry_delay is None


def test_the_wait_grows_with_failures_to_its_bound() -> None:
    rule = RetryRule(max_attempts=10_000, initial_interval=2, backoff=3, maximum_interval=50)
    waits = [_report(ValueError("x"), failures=failures, rule=rule)[0].next_retry_delay for failures in (1, 2, 3, 4)]
    assert waits == [timedelta(seconds=seconds) for seconds in (2, 6, 18, 50)]
    assert rule.wait(9_999) == timedelta(seconds=50)


def test_an_executors_rule_comes_before_the_runs() -> None:
    step = SuperstepInput(
        workflow_name="w",
        mode="continue",
        max_attempts=4,
        retry=ExecutorRule(retry_backoff=5.0),
        executors={"a": ExecutorRule(max_attempts=9, retry_initial_interval=0.5)},
    )
    assert retry_rule(step, "a") == RetryRule(max_attempts=9, initial_interval=0.5, backoff=5.0)
    assert retry_rule(step, "b") == retry_rule(step, None) == RetryRule(max_attempts=4, backoff=5.0)


@pytest.mark.parametrize(
    "error",
    [ValueError("bad", 1), FileNotFoundError(2, "No such file", "a.txt"), KeyError("k"), ConnectionError("offline")],
    ids=repr,
)
def test_the_caller_can_rebuild_the_error(error: Exception) -> None:
    _, failure = _report(error)
    wire = SuperstepFailure.model_validate_json(failure.model_dump_json())
    assert wire.error_args is not None
    rebuilt = new_exception(wire.error_module, wire.error_type, wire.error_args, wire.message)
    assert type(rebuilt) is type(error)
    assert str(rebuilt) == str(error) == wire.message


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x" * 5_000_000),
        ValueError(["not", "scalar"]),
        ValueError(float("nan")),
        ValueError("\ud800"),
        Unreadable("x" * 5_000_000),
        RuntimeError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_error_fits_the_wire(error: Exception) -> None:
    reported, failure = _report(error)
    text = failure.model_dump_json()
    assert len(text) < 200_000
    assert len(reported.message) < 100_000
    assert json.loads(text)["error_type"] == type(error).__name__
    if "x" * 100 in str(error.args) and not isinstance(error, Unreadable):
        assert failure.message.endswith("... (5,000,000 characters)")
