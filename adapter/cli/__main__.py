"""The console script, for `python -m`."""

from __future__ import annotations

from ..cli import command

if __name__ == "__main__":
    command()
