"""Runs commands as a user's shell does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.forked import python

ROOT = Path(__file__).parents[2]
SCRIPT = str(Path(sys.executable).with_name("agent-framework-temporal"))
MODULE = (sys.executable, "-m", "agent_framework_temporal.adapter.cli")
SECONDS = 60


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it wrote, as one JSON value."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """What it wrote, as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this environment without what would configure a command, and with `extra`."""
    ours = ("TEMPORAL_", "AGENT_FRAMEWORK_TEMPORAL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "COLUMNS": "80", "USER": "tester", "LOGNAME": "tester", **(extra or {})}


@contextlib.asynccontextmanager
async def started(
    *arguments: str, folder: Path = ROOT, variables: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    """Start a command; it is killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *python(*MODULE[1:], *arguments),
        cwd=folder,
        env=environment(variables),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        # A test run in the background ignores ctrl-C, and what it starts would inherit that.
        preexec_fn=_heed_interrupts,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Commands:
    """Commands against one server.

    Args:
        address: The server.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    async def __call__(self, *arguments: str, code: int | None = 0, text: str = "", folder: Path = ROOT) -> Done:
        """Run a command to its end and expect an exit code.

        Args:
            *arguments: Command and flags.
            code: The exit code; None for any.
            text: Standard input.
            folder: Where it is called.
        """
        async with (
            started(*arguments, folder=folder, variables={"TEMPORAL_ADDRESS": self.address}) as process,
            asyncio.timeout(SECONDS),
        ):
            out, err = await process.communicate(text.encode())
        done = Done(process.returncode or 0, out.decode(), err.decode())
        assert code is None or done.code == code, f"{arguments}: {done}"
        assert "Traceback" not in done.err
        return done
