"""What the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows import LEDGER


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the flows, in this process and in workers of their own, an empty ledger."""
    monkeypatch.setenv(LEDGER, str(tmp_path / "ledger"))
    (tmp_path / "ledger").touch()
    return tmp_path / "ledger"
