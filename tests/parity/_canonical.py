"""Events and checkpoints in a form in which two runs of one workflow can be compared: that of the testing helpers."""

from __future__ import annotations

from agent_framework_temporal.testing.canonical import Canonical

__all__ = ["Canonical"]
