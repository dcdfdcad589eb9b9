"""A ledger that executors append to, in this process and in others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bursts._flows import LEDGER


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the ledger of this test."""
    path = tmp_path / "ledger"
    monkeypatch.setenv(LEDGER, str(path))
    return path
