"""The window of a terminal is closed in which `dev` runs: nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.cli._commands import started


async def test_nothing_stays_when_the_terminal_goes() -> None:
    flags = ("-w", "tests.flows:echo", "--port", "0", "--ui-port", "0", "--console-port", "0", "--no-reload")
    async with started("dev", *flags) as process, asyncio.timeout(60):
        assert process.stdout is not None
        while b"Serving echo" not in await process.stdout.readline():
            pass
        found = Path(f"/proc/{process.pid}/task").glob("*/children")
        children = {int(pid) for path in found for pid in path.read_text().split()}
        assert len(children) == 3, "server, worker and console"
        process.send_signal(signal.SIGHUP)
        _, errors = await process.communicate()
        assert process.returncode == 0, errors
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
