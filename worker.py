"""The deployable worker: hosts the workflows it is given on a task queue until it is told to stop.

    python worker.py --workflow package.module:attr [--workflow ...] --task-queue NAME

`python worker.py --help` lists flags, environment variables and exit codes; the command itself is
`adapter/commands/worker.py`.
"""

from __future__ import annotations

from agent_framework_temporal.adapter.commands.worker import command, main

__all__ = ["command", "main"]

if __name__ == "__main__":
    command()
