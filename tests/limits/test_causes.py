"""Temporal writes an error's causes with it: those that would not fit are left out, or said by copies that do."""

from __future__ import annotations

import itertools

import pytest
from agent_framework_temporal.activities.failures import _MAX_CAUSES_BYTES, cause_of
from agent_framework_temporal.adapter.framework.error_data import text_of
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, DefaultPayloadConverter
from temporalio.exceptions import ApplicationError


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def chained(*errors: Exception) -> Exception:
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]


def test_an_ordinary_error_is_its_cause() -> None:
    error = chained(ValueError("bad"), KeyError("worse"))
    assert cause_of(error) is error


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x" * 200_000),
        chained(ValueError("bad"), ValueError("x" * 200_000)),
        chained(ValueError("bad"), ApplicationError("failed", "x" * 200_000)),
        chained(ValueError("bad"), Unspeakable()),
        chained(ValueError("bad"), ValueError("\ud800")),
    ],
    ids=["text", "cause", "details", "no-text", "surrogate"],
)
def test_said_by_a_copy(error: Exception) -> None:
    copy = cause_of(error)
    assert copy is not None
    assert copy is not error
    failure = Failure()
    DefaultFailureConverter().to_failure(copy, DefaultPayloadConverter(), failure)
    assert failure.ByteSize() <= _MAX_CAUSES_BYTES + 1_000
    assert failure.message == text_of(error)
    assert failure.application_failure_info.type == type(error).__name__


@pytest.mark.parametrize(
    "error",
    [
        ValueError("字" * 50_000),
        chained(*(ValueError(str(number)) for number in range(30))),
        chained(*(ValueError("x" * 60_000) for _ in range(3))),
    ],
    ids=["bytes", "many", "together"],
)
def test_left_out(error: Exception) -> None:
    assert cause_of(error) is None


def test_a_circle() -> None:
    first, second, third = ValueError("1"), ValueError("2"), ValueError("3")
    chained(first, second, third, second)
    assert cause_of(first) is None
