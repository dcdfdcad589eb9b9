"""Fixtures: a ledger of what executors do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.placement._ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger that executors here, and in worker processes started from here, write to."""
    return Ledger(tmp_path, monkeypatch)
