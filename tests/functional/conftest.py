"""Fixtures: a ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows import LEDGER


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that steps note their runs in."""
    monkeypatch.setenv(LEDGER, str(tmp_path / "ledger"))
    return tmp_path / "ledger"
