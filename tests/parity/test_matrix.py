"""The support matrix cannot go stale, and says no where a row differs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.parity import matrix, outcomes
from tests.parity.gallery import GALLERY


def test_the_page_shows_what_the_gallery_generates() -> None:
    """A row that fails fails the test run, so the table of a run that passes is the one where all rows pass."""
    assert matrix.shown() == matrix.render(matrix.passing()), "run: python -m tests.parity.matrix --write"


def test_a_row_that_differs_is_shown_as_such() -> None:
    found = matrix.passing()
    found["linear"]["replayed"] = "failed"
    assert "| Chain of executors | yes | no | all |" in matrix.render(found)
    lines = list(outcomes.table(found))
    assert "  linear: replayed failed" in lines
    rows = sum(row.group == "Graph" for row in GALLERY)
    assert f"{'Graph':18}{f'{rows}/{rows}':>10}{f'{rows - 1}/{rows}':>10}" in lines


def test_a_part_of_the_rows_is_not_all() -> None:
    found = matrix.passing()
    assert outcomes.is_complete(found)
    del found["linear"]["cached"]
    assert not outcomes.is_complete(found)


@pytest.mark.parametrize(
    ("reports", "outcome"),
    [
        ([("setup", "passed"), ("call", "passed"), ("teardown", "passed")], "passed"),
        ([("setup", "passed"), ("call", "failed"), ("teardown", "passed")], "failed"),
        ([("setup", "passed"), ("call", "passed"), ("teardown", "failed")], "failed"),
        ([("setup", "skipped"), ("teardown", "passed")], "skipped"),
    ],
)
def test_worst_outcome_counts(reports: list[tuple[str, str]], outcome: str) -> None:
    collector = outcomes.Collector()
    for when, result in reports:
        report = SimpleNamespace(when=when, outcome=result, user_properties=[("parity", ["linear", "cached"])])
        collector.pytest_runtest_logreport(cast(Any, report))
    assert collector.outcomes == {"linear": {"cached": outcome}}
