"""The range of agent-framework-core that is declared is the one that is tested."""

from __future__ import annotations

import importlib.metadata

import pytest
from packaging.version import Version

from tests.packaging.cores import CORE, PROJECT, declared, listed, to_try

ROOT = PROJECT.parent


def test_the_range_begins_with_the_oldest_that_is_tested() -> None:
    lower = [each.version for each in declared().specifier if each.operator == ">="]
    assert [Version(version) for version in lower] == [Version(listed()[0])]
    assert all(declared().specifier.contains(version) for version in listed())


def test_the_range_ends_before_the_next_major_version() -> None:
    """Up to there CI tests whatever is the newest; a major version may change anything."""
    newest = Version(listed()[-1])
    assert declared().specifier.contains(f"{newest.major}.{newest.minor + 1}.0")
    assert not declared().specifier.contains(f"{newest.major + 1}.0.0")


def test_the_whole_suite_runs_against_one_of_the_tested() -> None:
    assert importlib.metadata.version(CORE) in listed()


def test_ci_tests_both_ends() -> None:
    assert "test-cores" in (ROOT / ".ci" / "run").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert "tests.packaging.cores" in makefile
    assert "tests/unit tests/parity tests/facade" in makefile


@pytest.mark.parametrize(
    ("installed", "known", "latest", "expected"),
    [
        ("1.23.0", ["1.23.0"], "1.23.0", []),
        ("1.23.0", ["1.23.0"], None, []),
        ("1.23.0", ["1.23.0"], "1.24.1", ["1.24.1"]),
        ("1.24.1", ["1.23.0", "1.24.1"], "1.24.1", ["1.23.0"]),
        ("1.24.1", ["1.23.0", "1.24.1"], "1.25.0", ["1.23.0", "1.25.0"]),
        ("1.24.1", ["1.23.0", "1.24.1", "1.25.0"], None, ["1.23.0", "1.25.0"]),
    ],
)
def test_what_ci_tries(installed: str, known: list[str], latest: str | None, expected: list[str]) -> None:
    assert to_try(installed, known, latest) == expected
