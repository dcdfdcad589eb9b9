"""Fixtures of the tests that steer threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.steering._line import GATES, Folder


@pytest.fixture
def gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Return the gates of executors in this process, and in those that it starts."""
    monkeypatch.setenv(GATES, str(tmp_path))
    return Folder(tmp_path)
