"""Temporal writes an error's causes with it: those that would not fit or could not travel are left out."""

from __future__ import annotations

import itertools

import pytest
from agent_framework_temporal.activities.failures import cause_of
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
        ValueError("字" * 50_000),
        chained(ValueError("bad"), ValueError("x" * 200_000)),
        chained(*(ValueError(str(number)) for number in range(30))),
        chained(ValueError("bad"), ApplicationError("failed", "x" * 200_000)),
        chained(ValueError("bad"), Unspeakable()),
        chained(ValueError("bad"), ValueError("\ud800")),
    ],
    ids=["text", "bytes", "cause", "many", "details", "no-text", "surrogate"],
)
def test_left_out(error: Exception) -> None:
    assert cause_of(error) is None


def test_a_circle() -> None:
    first, second, third = ValueError("1"), ValueError("2"), ValueError("3")
    chained(first, second, third, second)
    assert cause_of(first) is None
