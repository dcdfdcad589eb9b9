"""What executors have noted, wherever they ran, and gates at which they wait."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.flows import LEDGER
from tests.placement._flows import GATES


class Ledger:
    """A file that executors write to, and a folder of gates; inherited by worker processes.

    Args:
        folder: Of the test.
        patch: Sets the environment.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.path = folder / "ledger"
        self._gates = folder
        patch.setenv(LEDGER, str(self.path))
        patch.setenv(GATES, str(folder))

    def lines(self, text: str) -> list[list[str]]:
        """Return the words of the lines that begin so, after the process's id."""
        found = self.path.read_text().splitlines() if self.path.exists() else []
        return [line.split() for line in found if line.partition(" ")[2].startswith(text)]

    def count(self, text: str) -> int:
        """Count the lines that begin so."""
        return len(self.lines(text))

    async def until(self, text: str, count: int = 1) -> None:
        """Wait until there are so many lines that begin so."""
        async with asyncio.timeout(60):
            while self.count(text) < count:
                await asyncio.sleep(0.02)

    def close(self, *names: str) -> None:
        """Let executors wait at gates."""
        for name in names:
            (self._gates / f"{name}.closed").touch()

    def open(self, *names: str) -> None:
        """Let them go on."""
        for name in names:
            (self._gates / f"{name}.closed").unlink()
