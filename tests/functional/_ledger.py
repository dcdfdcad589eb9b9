"""What steps note of their runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path


def noted(ledger: Path) -> Counter[str]:
    """Return how often each line was noted; each begins with the process that did."""
    return Counter(line.partition(" ")[2] for line in ledger.read_text().splitlines())
