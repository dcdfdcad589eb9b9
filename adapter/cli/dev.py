"""The command `dev`: a server, its Web UI, a worker and the console, which restart when code changes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from watchfiles import Change, PythonFilter, awatch

from ...activities.hosting import host
from ...workflows.display import shell_command
from ..commands.connection import configuration
from ..commands.dev_server import start_dev_server
from ..commands.exit_codes import UsageError
from ..commands.references import load_workflow
from .command import PROGRAM, Session, TaskQueue
from .console import can_serve, listening
from .example import message_words
from .lookup import DEFAULT_TASK_QUEUE
from .output import Output

_LOOPBACK = "127.0.0.1"
_STOP_SECONDS = 10
_NEEDS_MORE = "not served: it needs pip install 'agent-framework-temporal[cli,dev]'"
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
        Path | None,
        typer.Option(metavar="FILE", help="Keep threads in this file; without it they end with the server."),
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the server; 0: any free one.")] = 7233,
    ui_port: Annotated[int, typer.Option(help="Port of the Web UI; 0: any free one.")] = 8233,
    http_port: Annotated[
        int | None,
        typer.Option(help="Serve Temporal's HTTP API, for curl, on this port; 0: any free one."),
    ] = None,
    console: Annotated[
        bool, typer.Option(help="Serve the console, a page to watch threads and answer their requests.")
    ] = True,
    console_port: Annotated[int, typer.Option(help="Port of the console; 0: any free one.")] = 8234,
    reload: Annotated[bool, typer.Option(help="Restart the worker when a Python file here changes.")] = True,
) -> None:
    """Run a local server with its Web UI, a worker that restarts when code changes, and the console."""
    given = configuration(session.settings, of_file=False)
    if "target_host" in given:
        raise UsageError(
            "`dev` starts a server of its own, and TEMPORAL_ADDRESS names another: unset it, or host the workflow "
            "there with `agent-framework-temporal worker`"
        )
    queue = task_queue or DEFAULT_TASK_QUEUE
    # A workflow that cannot be hosted is told before a server is started for it.
    hosted = [await host(load_workflow(reference)) for reference in workflow]
    names = [each.name for each in hosted]
    message = message_words(hosted[0].catalog.input_types)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    # SIGHUP: the terminal's window is closed. Worker and console have sessions of their own, and would stay.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopping.set)
    namespace = session.settings.namespace or given.get("namespace", "default")
    async with contextlib.AsyncExitStack() as stack:
        # Owned by this process, so that the address stays and browsers wait while the console restarts.
        listener = stack.enter_context(_console_socket(console_port)) if console and can_serve() else None
        server = await stack.enter_async_context(
            await start_dev_server(
                database=database, port=port, ui_port=ui_port, http_port=http_port, namespace=namespace
            )
        )
        console_url = f"http://{_LOOPBACK}:{listener.getsockname()[1]}" if listener is not None else None
        flags = [] if queue == DEFAULT_TASK_QUEUE else ["--task-queue", queue]
        flags += [] if port == 7233 else ["--address", server.address]
        output = session.output
        output.json(
            {
                "address": server.address,
                "namespace": server.namespace,
                "ui_url": server.ui_url,
                **({"http_url": server.http_url} if server.http_url else {}),
                "console_url": console_url,
                "task_queue": queue,
                "workflows": names,
            },
            line=True,
        )
        output.facts(
            [
                ("server", f"{server.address}, namespace {server.namespace}"),
                ("Web UI", server.ui_url),
                ("HTTP API", server.http_url or ""),
                ("console", (console_url or _NEEDS_MORE) if console else ""),
                ("threads", f"kept in {server.database}" if server.database else "end with the server (no --database)"),
                ("workflows", f"{', '.join(names)} on task queue {queue}"),
                ("try", shell_command([PROGRAM, "run", "--workflow", names[0], *flags, *message])),
                ("stop", "ctrl-C"),
            ]
        )
        output.console.print()
        arguments = ["--task-queue", queue, "--address", server.address, "--namespace", server.namespace]
        for reference in workflow:
            arguments += ["--workflow", reference]
        programs = [_Program("worker", ["-m", "agent_framework_temporal.worker", *arguments])]
        if listener is not None and console_url is not None:
            descriptor = listener.fileno()
            flags = ["--descriptor", str(descriptor), "--base-url", console_url, "--temporal-ui", server.ui_url]
            command = ["-m", __package__, "console", *arguments, *flags]
            programs.append(_Program("console", command, descriptors=(descriptor,)))
        served = asyncio.ensure_future(_serve(programs, output, reload=reload, stopping=stopping))
        ended = asyncio.ensure_future(server.wait())
        await asyncio.wait({served, ended}, return_when=asyncio.FIRST_COMPLETED)
        stopping.set()
        await served
        if ended.done():
            raise RuntimeError(f"the dev server ended by itself with exit code {ended.result()}")
        ended.cancel()


def _console_socket(port: int) -> socket.socket:
    try:
        return listening(_LOOPBACK, port)
    except UsageError as error:
        raise UsageError(f"{error}, for the console: choose another --console-port, or --no-console") from error


@dataclass(frozen=True, slots=True)
class _Program:
    """What runs as a process of its own, as modules cannot be imported anew in one that runs."""

    name: str
    arguments: Sequence[str]
    descriptors: Sequence[int] = ()


async def _serve(programs: Sequence[_Program], output: Output, *, reload: bool, stopping: asyncio.Event) -> None:
    """Run programs until told to stop, with new processes for each change."""
    running: list[_Running] = []
    try:
        running = [await _Running.start(program, output) for program in programs]
        async for changed in _changes(stopping) if reload else _none(stopping):
            names = " and the ".join(program.name for program in programs)
            restart = "restarts" if len(programs) == 1 else "restart"
            output.line(f"{', '.join(changed)} changed: the {names} {restart}", style="yellow")
            await asyncio.gather(*(process.stop() for process in running))
            running = [await _Running.start(program, output) for program in programs]
    finally:
        await asyncio.gather(*(process.stop() for process in running))


class _Running:
    """A program's process."""

    def __init__(self, program: _Program, output: Output, process: Process) -> None:
        self._program = program
        self._output = output
        self._process = process
        self._watching = asyncio.create_task(self._tell_end())

    @classmethod
    async def start(cls, program: _Program, output: Output) -> _Running:
        # In a session of its own: ctrl-C is for us, who stop it in order.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
        # Not the JSON reader's: what a worker says is for people. What the console would say, its address, is said.
        worker_out = sys.stderr if output.as_json else None
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *program.arguments),
            env=environment,
            stdin=DEVNULL,
            stdout=worker_out if program.name == "worker" else DEVNULL,
            start_new_session=True,
            pass_fds=program.descriptors,
        )
        return cls(program, output, process)

    async def _tell_end(self) -> None:
        code = await self._process.wait()
        text = f"The {self._program.name} has ended with exit code {code}. It restarts when code changes."
        self._output.line(text, style="red")

    async def stop(self) -> None:
        self._watching.cancel()
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


async def _changes(stopping: asyncio.Event) -> AsyncIterator[list[str]]:
    folder = Path.cwd()
    async for changed in awatch(
        folder, watch_filter=SourceFilter(folder), stop_event=stopping, step=_SETTLE_MILLISECONDS, raise_interrupt=False
    ):
        yield sorted({str(Path(path).relative_to(folder)) for _, path in changed})


class SourceFilter(PythonFilter):
    """Takes the Python files of a project, and none of the environments, packages and caches that lie in it.

    Args:
        folder: The project's.
    """

    _NAMES = frozenset({*PythonFilter.ignore_dirs, "venv", "site-packages", "dist-packages"})

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __call__(self, change: Change, path: str) -> bool:
        """See base class."""
        if not super().__call__(change, path):
            return False
        found = Path(path)
        parents = found.relative_to(self._folder).parent.parts if found.is_relative_to(self._folder) else ()
        if any(name in self._NAMES or name.startswith(".") for name in parents):
            return False
        # An environment may have any name; this file makes it one.
        return not any(
            self._folder.joinpath(*parents[: count + 1], "pyvenv.cfg").exists() for count in range(len(parents))
        )


async def _none(stopping: asyncio.Event) -> AsyncIterator[list[str]]:
    await stopping.wait()
    nothing: list[list[str]] = []
    for changed in nothing:
        yield changed
