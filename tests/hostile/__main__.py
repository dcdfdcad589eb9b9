"""Tries all that a hostile neighbour would, section by section, and gives a figure for each: `make hostile`.

    python -m tests.hostile [--quick] [--section A ...]

Each section is a process of its own with a Temporal server of its own, and has a time limit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.hostile.plugin import EXAMPLES, REPORT, SECTION
from tests.hostile.sections import SECTIONS, TESTS, Section

_MINUTES = 20
"""For a section; a flood of 10,000 signals takes a few."""


@dataclass(frozen=True)
class Result:
    """What came of a section."""

    section: Section
    passed: int
    failed: int
    skipped: int
    figure: str
    seconds: float

    @property
    def is_green(self) -> bool:
        """Whether all of it holds, and there was something to hold."""
        return self.passed > 0 and self.failed == 0


def run(section: Section, *, quick: bool) -> Result:
    """Run the tests of a section."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        report = Path(folder) / "report.json"
        environment = {**os.environ, SECTION: section.letter, REPORT: str(report), EXAMPLES: "100" if quick else "2000"}
        if not quick:
            environment["FLOOD_SIGNALS"] = os.environ.get("FLOOD_SIGNALS", "10000")
        files = [str(path) for path in section.files()]
        # A test of the suite has 2 minutes; with more examples it may take longer.
        flags = ["-p", "tests.hostile.plugin", "--timeout", str(60 * _MINUTES), "--no-header"]
        try:
            subprocess.run(
                [sys.executable, "-m", "pytest", *flags, *files],
                cwd=TESTS.parent,
                env=environment,
                check=False,
                timeout=60 * _MINUTES,
            )
        except subprocess.TimeoutExpired:
            print(f"Section {section.letter} did not end within {_MINUTES} minutes.", file=sys.stderr)
        text = report.read_text() if report.exists() else '{"outcomes": {"failed": 1}, "figures": []}'
    found: dict[str, Any] = json.loads(text)
    outcomes, seconds = found["outcomes"], time.monotonic() - began
    passed = outcomes.get("passed", 0)
    return Result(
        section=section,
        passed=passed,
        failed=outcomes.get("failed", 0),
        skipped=outcomes.get("skipped", 0),
        figure="; ".join(found["figures"]) or f"{passed:,} cases",
        seconds=seconds,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the sections; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="as much as the suite does")
    letters = [section.letter for section in SECTIONS]
    parser.add_argument("--section", action="append", choices=letters, help="only this one; can be repeated")
    options = parser.parse_args(arguments)
    results = []
    for section in SECTIONS:
        if options.section is None or section.letter in options.section:
            print(f"\n{section.letter}. {section.claim}", flush=True)
            results.append(run(section, quick=options.quick))
    print()
    width = max(len(result.section.claim) for result in results)
    for result in results:
        mark = "ok" if result.is_green else "FAILED"
        skipped = f", {result.skipped} skipped" if result.skipped else ""
        counts = f"{result.passed:5,} passed, {result.failed} failed{skipped}, {result.seconds:.0f} s"
        print(f"{result.section.letter}  {result.section.claim:{width}}  {mark:6}  {counts}: {result.figure}")
    passed, failed = (sum(getattr(result, name) for result in results) for name in ("passed", "failed"))
    print(f"{passed} passed, {failed} failed")
    return 0 if all(result.is_green for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
