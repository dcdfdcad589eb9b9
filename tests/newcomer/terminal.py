"""A terminal with a shell in it, as a person has one: what runs in it is seen, answered and interrupted."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_MARK = "\x1e"
_PROMPT = re.compile(f"{_MARK}(\\d+){_MARK}")
_STOP_SECONDS = 40


class TerminalError(Exception):
    """What was waited for did not come; the text has what came instead."""


class Terminal:
    """A shell on a pseudo-terminal, in a session of its own.

    Args:
        variables: Its environment, and no other.
        folder: Where it begins.
    """

    def __init__(self, variables: Mapping[str, str], folder: Path) -> None:
        self._master, shells = pty.openpty()
        fcntl.ioctl(shells, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        settings = termios.tcgetattr(shells)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(shells, termios.TCSANOW, settings)
        self._shell = subprocess.Popen(
            ["/bin/bash", "--noprofile", "--norc", "--noediting", "-i"],
            stdin=shells,
            stdout=shells,
            stderr=shells,
            cwd=folder,
            env={**variables, "PS1": f"{_MARK}$?{_MARK}", "PS2": "", "TERM": "dumb"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(shells)
        self._seen = ""
        self._wait(_PROMPT, 20)

    def run(self, command: str, *, seconds: float = 60, answers: Sequence[tuple[str, str]] = ()) -> tuple[int, str]:
        """Run a command to its end.

        Args:
            command: As it would be typed.
            seconds: How long it may take.
            answers: What it asks, in order, and what is typed then.

        Returns:
            Its exit code, and what was to be seen: what it wrote, and the answers.
        """
        self._type(command)
        written = ""
        for question, answer in answers:
            written += self._wait(re.compile(re.escape(question)), seconds) + f"{answer}\n"
            self._type(answer)
        written += self._wait(_PROMPT, seconds)
        return int(self._code), written

    def start(self, command: str, until: str, *, seconds: float = 60) -> str:
        """Start a command that goes on, and wait until it has written a text."""
        self._type(command)
        return self.until(until, seconds=seconds)

    def until(self, text: str, *, seconds: float = 60) -> str:
        """Wait until what runs has written a text; returns what it wrote up to there."""
        return self._wait(re.compile(re.escape(text)), seconds)

    def interrupt(self) -> tuple[int, str]:
        """Press ctrl-C; returns exit code and what was written until it ended."""
        for last in (False, True):
            os.write(self._master, b"\x03")
            try:
                written = self._wait(_PROMPT, _STOP_SECONDS)
                break
            except TerminalError:
                if last:
                    raise  # A program that is only just starting may miss the first one.
        return int(self._code), written

    @property
    def foreground(self) -> int:
        """Process id of what runs in it."""
        found = os.tcgetpgrp(self._master)
        if found == self._shell.pid:
            raise TerminalError("nothing runs in this terminal")
        return found

    def ended(self) -> tuple[int, str]:
        """Wait until what runs ends; returns exit code and what it wrote."""
        written = self._wait(_PROMPT, _STOP_SECONDS)
        return int(self._code), written

    def close(self) -> None:
        """End what runs in it, and it."""
        with contextlib.suppress(OSError):
            group = os.tcgetpgrp(self._master)
            if group not in (0, self._shell.pid):
                os.killpg(group, signal.SIGTERM)
                with contextlib.suppress(TerminalError):
                    self._wait(_PROMPT, _STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            self._shell.kill()
        self._shell.wait()
        os.close(self._master)

    def _type(self, text: str) -> None:
        os.write(self._master, f"{text}\n".encode())

    def _wait(self, pattern: re.Pattern[str], seconds: float) -> str:
        limit = time.monotonic() + seconds
        while (found := pattern.search(self._seen)) is None:
            if pattern is not _PROMPT and _PROMPT.search(self._seen) is not None:
                raise TerminalError(f"it ended before it wrote {pattern.pattern!r}:\n{self._seen[-2000:]}")
            left = limit - time.monotonic()
            if left <= 0 or not select.select([self._master], [], [], left)[0]:
                raise TerminalError(f"no {pattern.pattern!r} after {seconds:.0f} s:\n{self._seen[-2000:]}")
            try:
                self._seen += os.read(self._master, 65536).decode(errors="replace").replace("\r\n", "\n")
            except OSError as error:
                raise TerminalError(f"the terminal is gone:\n{self._seen[-2000:]}") from error
        before, self._seen = self._seen[: found.start()], self._seen[found.end() :]
        if pattern is _PROMPT:
            self._code = found[1]
            return before
        return before + found[0]
