"""The demo as a person starts it: a process with a terminal or without, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_COMMAND = (sys.executable, "-m", "examples.content_approval.demo")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_READ_SECONDS = 60


@dataclass(frozen=True)
class Ended:
    """A demo that has ended."""

    code: int
    output: str
    errors: str


async def unattended(folder: Path, *arguments: str) -> Ended:
    """Run the demo without a terminal, with its database and all temporary files in `folder`."""
    process = await _start(folder, arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    async with _killed_at_last(process):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, output.decode(), errors.decode())


def left_behind(folder: Path) -> list[str]:
    """Return the command lines of processes that a demo of `folder` has not stopped; each names a file there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # It has ended meanwhile.
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found += [line] if str(folder) in line else []
    return found


class Terminal:
    """A demo in a terminal of 80 columns."""

    def __init__(self, process: Process, master: int) -> None:
        self.process = process
        self._master = master
        self._seen = ""

    async def until(self, text: str) -> str:
        """Read until `text` is on the screen; returns all since the last call, without control sequences."""
        async with asyncio.timeout(_READ_SECONDS):
            while text not in (shown := _CONTROL.sub("", self._seen)):
                self._seen += await self._read()
        before, found, after = shown.partition(text)
        self._seen = after
        return before + found

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._master, f"{text}\n".encode())

    async def end(self) -> str:
        """Read to the end and return it."""
        async with asyncio.timeout(_READ_SECONDS):
            while chunk := await self._read():
                self._seen += chunk
            await self.process.wait()
        return _CONTROL.sub("", self._seen)

    async def _read(self) -> str:
        try:
            return (await asyncio.to_thread(os.read, self._master, 65536)).decode(errors="replace")
        except OSError:  # What Linux says when the other side is closed.
            return ""


@contextlib.asynccontextmanager
async def attended(folder: Path, *arguments: str) -> AsyncIterator[Terminal]:
    """Run the demo in a terminal."""
    master, slave = pty.openpty()
    process = await _start(folder, arguments, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    try:
        async with _killed_at_last(process):
            yield Terminal(process, master)
    finally:
        os.close(master)


async def _start(folder: Path, arguments: tuple[str, ...], *, stdin: int, stdout: int, stderr: int) -> Process:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("CONTENT_APPROVAL_")}
    return await asyncio.create_subprocess_exec(
        *_COMMAND,
        *("--database", str(folder / "demo.db"), *arguments),
        cwd=ROOT,
        env={**variables, "TMPDIR": str(folder), "COLUMNS": "80", "TERM": "xterm-256color"},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


@contextlib.asynccontextmanager
async def _killed_at_last(process: Process) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if process.returncode is None:
            # Told to stop it stops its worker; killed it would leave that behind.
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
        await process.wait()
