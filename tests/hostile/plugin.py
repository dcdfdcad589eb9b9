"""Runs one section with more examples than the suite, and writes what came of it: `-p tests.hostile.plugin`."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SECTION = "HOSTILE_SECTION"
REPORT = "HOSTILE_REPORT"
EXAMPLES = "HOSTILE_EXAMPLES"

_outcomes: Counter[str] = Counter()
_figures: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """Generate more inputs, where a test does not fix their number."""
    examples = int(os.environ.get(EXAMPLES, "100"))
    settings.register_profile(
        "hostile", max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("hostile")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what belongs to other sections."""
    from tests.hostile.sections import section_of

    wanted: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        marker = item.get_closest_marker("hostile")
        section = section_of(item.path, None if marker is None else str(marker.args[0]))
        (wanted if section == os.environ[SECTION] else others).append(item)
    items[:] = wanted
    config.hook.pytest_deselected(items=others)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count, and keep the figures that tests give with `record_property("figure", ...)`."""
    if report.when == "call" or report.outcome != "passed":
        _outcomes[report.outcome] += 1
    if report.when == "call":
        _figures.extend(str(value) for name, value in report.user_properties if name == "figure")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report."""
    if not hasattr(session.config, "workerinput"):
        Path(os.environ[REPORT]).write_text(json.dumps({"outcomes": _outcomes, "figures": _figures}))
