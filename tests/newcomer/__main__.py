"""See the package: `python -m tests.newcomer`. It needs no package but Python's own."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.docs._pages import PAGES, README, ROOT
from tests.newcomer.pages import PageRun
from tests.newcomer.place import Place, PortTakenError, place
from tests.newcomer.report import Report
from tests.newcomer.tour import Tour


def main() -> int:
    """Do the pages; returns 0 when nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.newcomer", description="Do the pages word for word.")
    add = parser.add_argument
    add("pages", nargs="*", help="docs/NAME.md; by default the README and all pages")
    add("--python", type=Path, default=Path(os.path.realpath(sys.executable)), help="the newcomer's Python, 3.11+")
    add("--keep", action="store_true", help="keep the folder it is done in, to look around")
    options = parser.parse_args()
    chosen = [ROOT / page for page in options.pages]
    # What was started is ended also where this is told to stop.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    root = Path(tempfile.mkdtemp(prefix="newcomer-"))
    reports: list[Report] = []
    try:
        with place(root, options.python) as made:
            _walk(made, chosen, reports)
    except PortTakenError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if options.keep:
            print(f"Kept: {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)
    failed = [report.page for report in reports if report.failures]
    done = sum(report.done for report in reports)
    print(f"{len(reports)} pages, {done} blocks and commands done; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _walk(made: Place, chosen: list[Path], reports: list[Report]) -> None:
    def begin(name: str) -> Report:
        reports.append(Report(name))
        return reports[-1]

    tour = begin("README.md")
    Tour(made, tour).walk(to_install=bool(chosen) and README not in chosen)
    print(tour, flush=True)
    if tour.failures:
        return
    for page in [page for page in chosen or PAGES if page != README]:
        report = begin(str(page.relative_to(ROOT)))
        PageRun(made, page, report).walk()
        print(report, flush=True)
    project = made.tour / "my-agents"
    if project.is_dir():  # What the page on the command line has made.
        report = begin("my-agents/README.md")
        PageRun(made, project / "README.md", report, project).walk()
        print(report, flush=True)


if __name__ == "__main__":
    sys.exit(main())
