"""A real local Temporal server, with its Web UI, from the binary that the extra `dev` installs.

Nothing is downloaded at run time. For development, tests and demos: one process, SQLite, no authentication.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError

from ...workflows.display import terminal_line, terminal_text
from ...workflows.exported import exported
from ..errors import ServerUnreachableError
from ..temporal.process_exit import settle_at_exit
from .parser import CommandParser

if sys.platform != "win32":
    import fcntl

_IP = "127.0.0.1"
_GUARD = Path(__file__).with_name("dev_server_guard.py")
_START_SECONDS = 30
_INSTALL_HINT = "Install it with `pip install 'agent-framework-temporal[dev]'`"


@exported
class DevServer:
    """A running dev server. An async context manager that stops it; `start_dev_server` makes one.

    It also stops when the process that started it ends, however that happens.
    """

    def __init__(
        self,
        process: _ServerProcess,
        address: str,
        namespace: str,
        ui_url: str,
        database: Path | None,
        http_url: str | None = None,
    ) -> None:
        self._process = process
        self.address = address
        """The address clients connect to, `host:port`."""
        self.namespace = namespace
        """The namespace it was started with."""
        self.ui_url = ui_url
        """The address of the Web UI."""
        self.database = database
        """The file that threads are kept in, or `None` when they end with the server."""
        self.http_url = http_url
        """The address of Temporal's HTTP API, or `None` when no port was asked for."""

    async def connect(self, **options: Any) -> Client:
        """Connect a new client.

        Args:
            **options: As for `Client.connect`, for instance `plugins=[AgentFrameworkPlugin(...)]`.
        """
        return await Client.connect(self.address, **{"namespace": self.namespace, **options})

    async def stop(self) -> None:
        """Stop the server. Stopping it again does nothing."""
        await self._process.stop()

    async def wait(self) -> int:
        """Wait until the server ends by itself; returns its exit code."""
        return await self._process.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


@exported
async def start_dev_server(
    *,
    database: Path | str | None = None,
    port: int | None = None,
    ui_port: int | None = None,
    http_port: int | None = None,
    namespace: str = "default",
    search_attributes: Sequence[SearchAttributeKey[Any]] = (),
    log_level: str = "error",
    extra_args: Sequence[str] = (),
) -> DevServer:
    """Start a dev server on this machine; it is ready when this returns, in about a second.

    Args:
        database: SQLite file that threads are kept in across restarts; made if missing, with its folder. By default
            they are kept in memory and end with the server.
        port: Port of the server; by default, and for 0, any free one.
        ui_port: Port of the Web UI; by default, and for 0, any free one.
        http_port: Port of Temporal's HTTP API, which `http_url` then names; 0 for any free one. By default nobody is
            told where it is.
        namespace: Namespace to make besides `default`.
        search_attributes: Search attributes to register.
        log_level: Level of the server's own log, on standard error: debug, info, warn, error or never.
        extra_args: More arguments for `temporal server start-dev`, for instance `--dynamic-config-value`.

    Raises:
        ServerUnreachableError: When there is no `temporal` binary, a port is taken, another server uses the database,
            or the server does not start.
    """
    binary = find_binary()
    # Chosen here: the server would put its UI at its port plus 1000, which need be neither free nor a port.
    port, ui_port = (_free_port(wanted) for wanted in (port, ui_port))
    http_port = _free_port(http_port) if http_port is not None else None
    path = _resolved(database)
    command = [binary, "server", "start-dev", "--ip", _IP, "--port", str(port), "--ui-port", str(ui_port)]
    command += ["--namespace", namespace, "--log-level", log_level, *_FAST_TASKS]
    command += ["--db-filename", str(path)] if path is not None else []
    command += ["--http-port", str(http_port)] if http_port is not None else []
    for key in search_attributes:
        # KEYWORD_LIST is spelt KeywordList on the command line.
        kind = key.indexed_value_type.name.title().replace("_", "")
        command += ["--search-attribute", f"{key.name}={kind}"]
    process = await _ServerProcess.start([*command, *extra_args], path)
    try:
        await _until_ready(process, f"{_IP}:{port}", namespace)
    except BaseException:
        await process.stop()
        raise
    http_url = f"http://{_IP}:{http_port}" if http_port is not None else None
    return DevServer(process, f"{_IP}:{port}", namespace, f"http://{_IP}:{ui_port}", path, http_url)


_LOG_LEVELS = ("debug", "info", "warn", "error", "never")
_FAST_TASKS = ("--dynamic-config-value", "history.transferProcessorMaxPollRPS=2000")
"""A server reads the queue of new tasks at most 20 times a second for each shard, and the dev server has but one: after
a short burst every step of every workflow takes 50 ms, whatever it does (measured; about 7 ms with this)."""


class _ServerProcess:
    """The server's process, what it says on standard error, and its lock on the database.

    Not `WorkflowEnvironment.start_local`: that reports success on a port where another server listens, lets the server
    print its banner into our output, and a terminal's ctrl-C stop it before those who still use it.
    """

    def __init__(self, process: Process, lock: contextlib.ExitStack) -> None:
        self.last_words: str = ""
        self.ready = False
        self._process = process
        self._lock = lock
        self._stopping = False
        self._log = asyncio.create_task(self._pass_log_on())

    @classmethod
    async def start(cls, command: Sequence[str], database: Path | None) -> Self:
        """Start it, under a guard that stops it when this process ends."""
        with contextlib.ExitStack() as lock:
            if database is not None:
                lock.enter_context(_sole_user(database))
            guarded = [sys.executable, "-I", "-S", str(_GUARD), *command]
            process = await asyncio.create_subprocess_exec(
                *guarded, stdin=PIPE, stdout=DEVNULL, stderr=PIPE, start_new_session=True
            )
            return cls(process, lock.pop_all())

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def wait(self) -> int:
        await asyncio.wait([self._log])
        return await self._process.wait()

    async def stop(self) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        self._stopping = True
        with self._lock:
            self._process.stdin.close()
            await self.wait()

    async def _pass_log_on(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - for the type checker: it is a pipe
        while chunk := await self._process.stderr.read(65536):
            # A server that is told to stop reports every task it drops as an error, and one that starts that it is not
            # ready yet; what it says when it does not start is in the error.
            if not self._stopping:
                text = chunk.decode(errors="replace").strip()
                self.last_words = text.splitlines()[-1] if text else self.last_words
                if self.ready:
                    print(terminal_text(text), file=sys.stderr, flush=True)


async def _until_ready(process: _ServerProcess, address: str, namespace: str) -> None:
    """Wait until the server serves the namespace: when its port opens, it does not yet."""
    settle_at_exit()
    why = ""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while process.returncode is None:
                try:
                    client = await Client.connect(address, namespace=namespace)
                    await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
                except (RuntimeError, RPCError) as error:
                    why = str(error)
                    await asyncio.sleep(0.05)
                else:
                    process.ready = True
                    return
            await process.wait()
            why = process.last_words or f"it ended with exit code {process.returncode}"
    raise ServerUnreachableError(f"The dev server did not start: {why}")


@contextlib.contextmanager
def _sole_user(database: Path) -> Iterator[None]:
    """Hold a lock beside the database: two servers on one file fail on each other's transactions, at random."""
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        lock_file = database.with_name(f"{database.name}.lock").open("w")
    except OSError as error:
        raise ServerUnreachableError(
            f"The dev server cannot keep threads in {database}: {error.strerror}. Choose another file."
        ) from error
    with lock_file as lock:
        if sys.platform == "win32":
            yield
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ServerUnreachableError(
                f"Another dev server uses {database}. Connect to that one, stop it, or choose another file."
            ) from error
        yield


def find_binary() -> str:
    """Return the path of the `temporal` binary: beside this Python, where the extra puts it, else on PATH.

    Raises:
        ServerUnreachableError: When there is none.
    """
    beside = Path(sys.executable).with_name("temporal.exe" if os.name == "nt" else "temporal")
    found = str(beside) if beside.is_file() else shutil.which("temporal")
    if found is None:
        raise ServerUnreachableError(
            f"There is no `temporal` binary beside {sys.executable} or on PATH. {_INSTALL_HINT}, or connect to a "
            "server that runs elsewhere."
        )
    return found


def _resolved(database: Path | str | None) -> Path | None:
    return Path(database).expanduser().resolve() if database is not None else None


def _free_port(wanted: int | None) -> int:
    """Return `wanted`, or for None and 0 any free port.

    Raises:
        ServerUnreachableError: When the wanted port is taken, or is not one.
    """
    if wanted is not None and not 0 <= wanted < 65536:
        raise ServerUnreachableError(f"{wanted} is not a valid port: use 1 to 65535, or 0 for any free one.")
    with socket.socket() as probe:
        if wanted:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_IP, wanted or 0))
        except OSError as error:
            raise ServerUnreachableError(
                f"The dev server cannot listen on port {wanted}: {error.strerror}. Choose another, or stop what does."
            ) from error
        number: int = probe.getsockname()[1]
        return number


def command() -> NoReturn:
    """Run a dev server and exit; the console script `agent-framework-temporal-dev-server`."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a dev server until SIGINT or SIGTERM; returns the exit code."""
    parser = CommandParser(
        prog="agent-framework-temporal-dev-server",
        description="Run a local Temporal server with its Web UI, for development.",
    )
    add = parser.add_argument
    add("--database", type=Path, metavar="FILE", help="keep threads in this SQLite file across restarts")
    add("--port", type=int, default=7233, help="port of the server (default 7233; 0: any free one)")
    add("--ui-port", type=int, default=8233, help="port of the Web UI (default 8233; 0: any free one)")
    add("--http-port", type=int, help="serve Temporal's HTTP API, for curl, on this port (0: any free one)")
    add("--namespace", default="default", help="namespace to create (default: default)")
    add("--log-level", default="error", choices=_LOG_LEVELS, help="level of the server's own log (default: error)")
    parser.add_completion()
    options = parser.parse_args(arguments)
    try:
        asyncio.run(_serve(options))
    except ServerUnreachableError as error:
        print(terminal_text(f"agent-framework-temporal-dev-server: {error}", margin="  "), file=sys.stderr)
        return 1
    return 0


async def _serve(options: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Before the server starts: a signal while it does must not leave it behind.
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    server = await start_dev_server(
        database=options.database,
        port=options.port,
        ui_port=options.ui_port,
        http_port=options.http_port,
        namespace=options.namespace,
        log_level=options.log_level,
    )
    async with server:
        kept = f"threads are kept in {server.database}" if server.database else "threads end with it (no --database)"
        where = f"{server.address}, namespace {server.namespace!r}, Web UI {server.ui_url}"
        where += f", HTTP API {server.http_url}" if server.http_url else ""
        print(terminal_line(f"Temporal dev server at {where}; {kept}"), flush=True)
        ended, asked = asyncio.ensure_future(server.wait()), asyncio.ensure_future(stopping.wait())
        await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not stopping.is_set():
            raise ServerUnreachableError(f"The dev server ended by itself with exit code {ended.result()}.")
