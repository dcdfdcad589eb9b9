"""A pytest plugin that keeps what became of each row of the gallery, prints it in the summary and writes it to a file.

The file is what `python -m tests.parity.matrix` makes the table of docs/support.md of.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[2] / "build" / "parity.json"
MODES = ("cached", "replayed")
Outcomes = dict[str, dict[str, str]]
"""row name -> mode -> passed, failed or skipped."""

_PROPERTY = "parity"
_COLLECTOR = pytest.StashKey["Collector"]()
_VERSIONS = ("agent-framework-core", "agent-framework-orchestrations", "temporalio")


class Collector:
    """Takes the reports of the parity tests; under xdist those of its workers arrive here too."""

    def __init__(self) -> None:
        self.outcomes: Outcomes = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the worst outcome of a test's set-up, call and tear-down."""
        for name, value in report.user_properties:
            if name != _PROPERTY or not isinstance(value, list | tuple):
                continue
            row, mode = value
            modes = self.outcomes.setdefault(row, {})
            if report.outcome != "passed" or (report.when == "call" and modes.get(mode) is None):
                modes[mode] = report.outcome


def pytest_configure(config: pytest.Config) -> None:
    """Collect in the process that prints the summary, not in the processes of xdist."""
    if not hasattr(config, "workerinput"):
        config.stash[_COLLECTOR] = collector = Collector()
        config.pluginmanager.register(collector)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Say with the test itself which row it is of, so that its reports carry it from process to process."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    if "row" in parameters and "replay" in parameters:
        item.user_properties.append((_PROPERTY, [parameters["row"].name, MODES[parameters["replay"]]]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print a line for each group, and one for each row that is not as in process."""
    outcomes = config.stash[_COLLECTOR].outcomes
    if not outcomes:
        return
    terminalreporter.section("parity with the in-process run")
    for line in table(outcomes):
        terminalreporter.write_line(line)
    if is_complete(outcomes):
        write(outcomes)
        terminalreporter.write_line(f"-> {FILE.relative_to(FILE.parents[1])}; `python -m tests.parity.matrix` shows it")


def table(outcomes: Outcomes) -> Iterator[str]:
    """Yield the lines of the terminal's table."""
    from tests.parity.gallery import GALLERY  # A plugin is loaded before pytest rewrites what tests import.

    yield f"{'':18}{'cached':>10}{'replayed':>10}"
    for group in dict.fromkeys(row.group for row in GALLERY):
        names = [row.name for row in GALLERY if row.group == group and row.name in outcomes]
        cells = [
            f"{sum(outcomes[name].get(mode) == 'passed' for name in names)}/"
            f"{sum(mode in outcomes[name] for name in names)}"
            for mode in MODES
        ]
        if names:
            yield f"{group:18}" + "".join(f"{cell:>10}" for cell in cells)
        for name in names:
            misses = [f"{mode} {outcome}" for mode, outcome in outcomes[name].items() if outcome != "passed"]
            if misses:
                yield f"  {name}: {', '.join(misses)}"


def is_complete(outcomes: Outcomes) -> bool:
    """Tell whether every row was run in every mode; a selection of rows must not pass for all of them."""
    from tests.parity.gallery import GALLERY

    return all(mode in outcomes.get(row.name, {}) for row in GALLERY for mode in MODES)


def write(outcomes: Outcomes) -> None:
    """Write the result file."""
    versions = {name: importlib.metadata.version(name) for name in _VERSIONS}
    versions["python"] = platform.python_version()
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps({"versions": versions, "outcomes": outcomes}, indent=1, sort_keys=True) + "\n")


def read() -> Outcomes:
    """Read the result file.

    Raises:
        SystemExit: When there is none, or it is of another gallery.
    """
    if not FILE.exists():
        raise SystemExit(f"There is no {FILE}: run `make test ARGS=tests/parity` first.")
    outcomes: Outcomes = json.loads(FILE.read_text())["outcomes"]
    if not is_complete(outcomes):
        raise SystemExit(f"{FILE} does not know every row: run `make test ARGS=tests/parity` again.")
    return outcomes
