"""The support matrix: the rows of the gallery and what became of them when the parity tests ran.

make test ARGS=tests/parity            runs every row and writes build/parity.json
python -m tests.parity.matrix          prints the table made of it
python -m tests.parity.matrix --write  puts it into docs/support.md
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tests.parity.gallery import GALLERY
from tests.parity.outcomes import MODES, Outcomes, read

PAGE = Path(__file__).resolve().parents[2] / "docs" / "support.md"
BEGIN, END = "<!-- support matrix: begin -->", "<!-- support matrix: end -->"
_MARKS = {"passed": "yes", "failed": "no", "skipped": "not run"}


def render(outcomes: Outcomes) -> str:
    """Return the table as Markdown."""
    lines = ["| | As in process | Also with nothing cached | Compared |", "|---|---|---|---|"]
    for group in dict.fromkeys(row.group for row in GALLERY):
        lines.append(f"| **{group}** | | | |")
        for row in GALLERY:
            if row.group == group:
                marks = " | ".join(_MARKS[outcomes[row.name][mode]] for mode in MODES)
                lines.append(f"| {row.feature} | {marks} | {'all' if row.checkpoints else 'all but checkpoints'} |")
    return "\n".join(lines)


def passing() -> Outcomes:
    """Return the outcomes of a test run that passes, which is the only kind that is released."""
    return {row.name: dict.fromkeys(MODES, "passed") for row in GALLERY}


def shown() -> str:
    """Return the table the page shows."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip()


def write(table: str) -> None:
    """Put the table into the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or write it into the README."""
    parser = argparse.ArgumentParser(description="Make the support matrix of the last parity test run.")
    parser.add_argument("--write", action="store_true", help="put it into docs/support.md")
    table = render(read())
    if parser.parse_args(arguments).write:
        write(table)
    else:
        print(table)


if __name__ == "__main__":
    main()
