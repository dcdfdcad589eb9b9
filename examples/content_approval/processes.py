"""The worker of the demo: a process of its own, as it is deployed, so that it can really be killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Self

_ROOT = Path(__file__).parents[2]
_START_SECONDS = 60
_STOP_SECONDS = 5
_CONFIGURED_BY = ("TEMPORAL_", "AGENT_FRAMEWORK_TEMPORAL_")


class DemoError(Exception):
    """Why the demo cannot go on, for the person who started it."""


class WorkerProcess:
    """A running `agent-framework-temporal-worker`. An async context manager that stops it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._told_to_end = False
        self._last_words: deque[str] = deque(maxlen=5)
        self._log = asyncio.create_task(self._read_log())

    @classmethod
    async def start(
        cls, workflow: str, *, address: str, task_queue: str, config_file: Path, variables: Mapping[str, str]
    ) -> Self:
        """Start it; it polls the task queue when this returns.

        Args:
            workflow: What it hosts, as `module:attribute`.
            address: The Temporal server.
            task_queue: The task queue it serves.
            config_file: Temporal client configuration to use instead of the person's own.
            variables: Added to its environment.

        Raises:
            DemoError: When it does not come up.
        """
        # The person's own profile may lead to Temporal Cloud, with TLS and an API key: not for this server.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_CONFIGURED_BY)}
        command = [sys.executable, "-m", "agent_framework_temporal.worker", "--workflow", workflow]
        command += ["--task-queue", task_queue, "--address", address, "--config-file", str(config_file)]
        process = await asyncio.create_subprocess_exec(
            *(*command, "--shutdown-timeout", "1"),
            cwd=_ROOT,
            env={**environment, **variables},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            # A terminal's ctrl-C is for the demo, which then stops the worker in good order.
            start_new_session=True,
        )
        worker = cls(process)
        try:
            await worker._until_serving()
        except BaseException:
            await worker.kill()
            raise
        return worker

    @property
    def pid(self) -> int:
        """Its process id; Temporal knows it as `pid@host`."""
        return self._process.pid

    async def watch(self) -> None:
        """Wait until it ends.

        Raises:
            DemoError: When nobody here told it to.
        """
        code = await self._process.wait()
        await self._log
        if not self._told_to_end:
            said = "".join(f"\n  {line}" for line in self._last_words)
            raise DemoError(f"Worker {self.pid} ended by itself with exit code {code}.{said}")

    async def kill(self) -> None:
        """Send SIGKILL: it can neither report nor clean up."""
        self._told_to_end = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._log

    async def stop(self) -> None:
        """Stop it in good order, or without if that takes too long. Stopping it again does nothing."""
        self._told_to_end = True
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        except TimeoutError:
            await self.kill()
        await self._log

    async def _until_serving(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), _START_SECONDS)
        except TimeoutError:
            raise DemoError(f"Worker {self.pid} did not say within {_START_SECONDS} s that it serves.") from None
        if not line.startswith(b"Serving "):
            await self.watch()
            raise DemoError(f"Worker {self.pid} says {line.decode(errors='replace')!r} instead of what it serves.")

    async def _read_log(self) -> None:
        # Also so that a full pipe never blocks the worker.
        assert self._process.stderr is not None  # noqa: S101 - for the type checker: it is a pipe
        async for line in self._process.stderr:
            self._last_words.append(line.decode(errors="replace").rstrip())
