"""What is tried, by section of the threats in SECURITY.md, and which tests try it.

A test belongs to the section that its marker names, `pytest.mark.hostile("E")`, else to that whose patterns find its
file, or under which SECURITY.md names it. A new file of a pattern, and any file with the marker, is taken in by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]
_NAMED = re.findall(r"^- \*\*([A-F])\d\*\* ((?:.|\n  )+)$", (TESTS.parent / "SECURITY.md").read_text(), re.MULTILINE)
_MARKER = re.compile(r'\bmark\.hostile\("([A-F])"\)')


@dataclass(frozen=True)
class Section:
    """One section.

    Args:
        letter: Its letter.
        claim: What is held.
        patterns: Files below `tests/` that show it.
    """

    letter: str
    claim: str
    patterns: tuple[str, ...]

    def named(self) -> list[str]:
        """Return the files that SECURITY.md names for it."""
        return [name for letter, names in _NAMED if letter == self.letter for name in _files(names)]

    def files(self) -> list[Path]:
        """Return the files that may have tests of it."""
        found = {path for pattern in [*self.patterns, *self.named()] for path in TESTS.glob(pattern)}
        marked = {path for path in TESTS.rglob("test_*.py") if self.letter in _MARKER.findall(path.read_text())}
        return sorted(found | marked)


SECTIONS = (
    Section(
        "A",
        "decoding runs nothing that the data chooses, in bounded memory",
        ("unit/test_hostile_*.py", "unit/test_fuzzed_decoders.py", "unit/test_encoding.py", "unit/test_graph.py"),
    ),
    Section("B", "threads are apart", ("facade/test_isolation.py", "facade/test_forged_*.py")),
    Section("C", "what is sealed is bound to its place", ("sealing/test_*.py",)),
    Section(
        "D",
        "nothing wedges a run",
        (
            *("requests/test_flood.py", "requests/test_bounded.py", "requests/test_unreadable.py"),
            *("requests/test_queries.py", "requests/test_starts.py", "requests/test_always_cancelled.py"),
            *("limits/test_arrival.py", "limits/test_broken_threads.py", "limits/test_unreadable.py"),
            *("unit/test_answers.py", "unit/test_arrivals.py", "unit/test_reading.py", "unit/test_schema.py"),
        ),
    ),
    Section("E", "what people see cannot be injected", ()),
    Section("F", "small servers, mirrors, and what must fit", ("requests/test_many.py", "limits/test_large_data.py")),
)


def _files(names: str) -> list[str]:
    return re.findall(r"`tests/([^`:]+)", names)


def section_of(path: Path, marked: str | None) -> str | None:
    """Return the section of a test."""
    if marked is not None:
        return marked
    inside = path.relative_to(TESTS)
    for section in SECTIONS:
        if any(inside.match(pattern) for pattern in [*section.patterns, *section.named()]):
            return section.letter
    return None
