"""The command `dev`: a server, its Web UI and a worker that starts anew when code changes, in one command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from watchfiles import PythonFilter, awatch

from ...activities.hosting import host
from ..commands.dev_server import start_dev_server
from ..commands.exit_codes import UsageError
from ..commands.references import load_workflow
from .command import PROGRAM, Session, TaskQueue
from .lookup import DEFAULT_TASK_QUEUE

_STOP_SECONDS = 10
_SETTLE_MILLISECONDS = 200
"""Editors write a file in several steps."""


async def dev(
    session: Session,
    *,
    workflow: Annotated[
        list[str],
        typer.Option("--workflow", "-w", metavar="MODULE:ATTR", help="Workflow to host; can be repeated."),
    ],
    task_queue: TaskQueue = None,
    database: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep threads in this file; else they end with the server.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the server; 0: one that is free.")] = 7233,
    ui_port: Annotated[int, typer.Option(help="Port of the Web UI; 0: one that is free.")] = 8233,
    reload: Annotated[bool, typer.Option(help="Start the worker anew when a Python file here changes.")] = True,
) -> None:
    """Run a local server with its Web UI, and a worker that starts anew when code changes."""
    if session.settings.address is not None:
        raise UsageError("`dev` starts a server of its own: leave --address and TEMPORAL_ADDRESS out, or use `worker`")
    queue = task_queue or DEFAULT_TASK_QUEUE
    # A workflow that cannot be hosted is told before a server is started for it.
    names = [(await host(load_workflow(reference))).name for reference in workflow]
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    namespace = session.settings.namespace or "default"
    async with await start_dev_server(
        database=database, port=port or None, ui_port=ui_port or None, namespace=namespace
    ) as server:
        address = "" if port == 7233 else f" --address {server.address}"
        queue_flag = "" if queue == DEFAULT_TASK_QUEUE else f" --task-queue {queue}"
        output = session.output
        output.json(
            {
                "address": server.address,
                "namespace": server.namespace,
                "ui_url": server.ui_url,
                "task_queue": queue,
                "workflows": names,
            },
            line=True,
        )
        output.facts(
            [
                ("server", f"{server.address}, namespace {server.namespace}"),
                ("Web UI", server.ui_url),
                ("threads", f"kept in {server.database}" if server.database else "end with the server (no --database)"),
                ("workflows", f"{', '.join(names)} on task queue {queue}"),
                ("try", f"{PROGRAM} run --workflow {names[0]}{queue_flag}{address} 'a message'"),
                ("stop", "ctrl-C"),
            ]
        )
        output.console.print()
        worker = _Worker(session, workflow, queue, server.address, server.namespace)
        served = asyncio.ensure_future(worker.run(reload=reload, stopping=stopping))
        ended = asyncio.ensure_future(server.wait())
        await asyncio.wait({served, ended}, return_when=asyncio.FIRST_COMPLETED)
        stopping.set()
        await served
        if ended.done():
            raise RuntimeError(f"the dev server ended by itself with exit code {ended.result()}")
        ended.cancel()


class _Worker:
    """The worker's process: a new one for each change, as modules cannot be imported anew in one that runs."""

    def __init__(
        self, session: Session, workflows: Sequence[str], task_queue: str, address: str, namespace: str
    ) -> None:
        self._output = session.output
        self._watching: asyncio.Task[None] | None = None
        self._command = [sys.executable, "-m", "agent_framework_temporal.worker", "--task-queue", task_queue]
        for reference in workflows:
            self._command += ["--workflow", reference]
        self._command += ["--address", address, "--namespace", namespace]

    async def run(self, *, reload: bool, stopping: asyncio.Event) -> None:
        """Serve until told to stop."""
        changes = _changes(stopping) if reload else _none(stopping)
        process = await self._start()
        try:
            async for changed in changes:
                self._output.line(f"{', '.join(changed)} changed: the worker starts anew", style="yellow")
                await self._stop(process)
                process = await self._start()
        finally:
            await self._stop(process)

    async def _start(self) -> Process:
        # In a session of its own: ctrl-C is for us, who stop it in order.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
        # Not the JSON reader's: what a worker says is for people.
        out = sys.stderr if self._output.as_json else None
        process = await asyncio.create_subprocess_exec(
            *self._command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=out, start_new_session=True
        )
        self._watching = asyncio.create_task(self._tell_end(process))
        return process

    async def _tell_end(self, process: Process) -> None:
        code = await process.wait()
        self._output.line(f"The worker has ended with exit code {code}. It starts anew when code changes.", style="red")

    async def _stop(self, process: Process) -> None:
        if self._watching is not None:
            self._watching.cancel()
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _changes(stopping: asyncio.Event) -> AsyncIterator[list[str]]:
    folder = Path.cwd()
    async for changed in awatch(
        folder, watch_filter=PythonFilter(), stop_event=stopping, step=_SETTLE_MILLISECONDS, raise_interrupt=False
    ):
        yield sorted({str(Path(path).relative_to(folder)) for _, path in changed})


async def _none(stopping: asyncio.Event) -> AsyncIterator[list[str]]:
    await stopping.wait()
    nothing: list[list[str]] = []
    for changed in nothing:
        yield changed
