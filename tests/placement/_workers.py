"""Worker processes by the dozen: forked from one that has everything imported, each is there at once.

    python -m tests.placement._workers

reads a line of JSON for each, `{"arguments": [...], "environment": {...}}` of the worker command, and prints its
process id. All are killed when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

from agent_framework_temporal.adapter.commands import worker
from temporalio.client import Client

from tests.placement import _flows  # noqa: F401 - imported once, for all of them.

_ROOT = Path(__file__).parents[2]


class Workers:
    """Starts and kills worker processes.

    Args:
        process: That forks them.
        client: Of their server.
    """

    def __init__(self, process: Process, client: Client) -> None:
        self._process = process
        self._client = client

    async def start(self, task_queue: str, workflow: str, *executors: str) -> int:
        """Start one that hosts a workflow of `_flows`; returns its process id."""
        arguments = [
            f"--workflow=tests.placement._flows:{workflow}",
            f"--task-queue={task_queue}",
            f"--address={self._client.service_client.config.target_host}",
            f"--namespace={self._client.namespace}",
            *(f"--executors={pattern}" for pattern in executors),
        ]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(
            json.dumps({"arguments": arguments, "environment": dict(os.environ)}).encode() + b"\n"
        )
        return int(await self._process.stdout.readline())

    @staticmethod
    def kill(pid: int) -> None:
        """Kill one with SIGKILL."""
        os.kill(pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def worker_processes(client: Client) -> AsyncIterator[Workers]:
    """Give what starts worker processes; they are killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.placement._workers"), cwd=_ROOT, stdin=PIPE, stdout=PIPE
    )
    try:
        yield Workers(process, client)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def main() -> None:
    """Fork the workers, and end them."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody asks how they end.
    children: list[int] = []
    for line in sys.stdin:
        wanted = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.environ.update(wanted["environment"])
            os._exit(worker.main(wanted["arguments"]))
        children.append(child)
        print(child, flush=True)
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
