"""`python -m agent_framework_temporal.adapter.cli` is the console script."""

from __future__ import annotations

from ..cli import command

if __name__ == "__main__":
    command()
