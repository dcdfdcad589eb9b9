"""A failure is named when it happens."""

from __future__ import annotations

import io

import pytest

from tests._progress import Failures


def test_a_failure_is_named_at_once(pytestconfig: pytest.Config) -> None:
    shown = io.StringIO()
    failures = Failures(pytest.TerminalReporter(pytestconfig, shown))
    where = ("tests/test_it.py", 1, "test_it")
    for outcome, when, why in (
        ("passed", "call", None),
        ("failed", "call", "assert 1 == 2\n +  where 1 = one()"),
        ("failed", "teardown", "gone"),
    ):
        failures.pytest_runtest_logreport(pytest.TestReport("tests/test_it.py::test_it", where, {}, outcome, why, when))  # type: ignore[arg-type]
    assert shown.getvalue().splitlines() == [
        "",
        "FAILED tests/test_it.py::test_it: assert 1 == 2",
        "",
        "ERROR in teardown of tests/test_it.py::test_it: gone",
    ]
