"""Python programs as processes of their own, forked from one that has imported what they need.

A second of CPU goes into the imports of a worker or a command, and the suite starts hundreds. What is started here is
a child of the tests like any other, with its own process id, signals, files and exit; it only has not been imported
anew. Where the start itself is tested (`tests/worker`, `tests/exits`, the examples, the tour) use `asyncio` directly.

    process = await asyncio.create_subprocess_exec(*python("worker.py", "--task-queue", "q"), stdout=PIPE)

On anything but Linux that is a process as always.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import importlib
import inspect
import io
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests._undisturbed import give_workflow_tasks_time

_ROOT = Path(__file__).parents[1]
_IMPORTED = (
    "agent_framework.orchestrations",
    "agent_framework_temporal.adapter.cli.app",
    "agent_framework_temporal.testing",
    "agent_framework_temporal.adapter.commands.worker",
    "temporalio.worker.workflow_sandbox",
)
"""None starts a thread or reads what a test sets in the environment."""
_ANEW = "agent_framework_temporal.adapter.cli"
"""A module below it takes the name of the function it is run by, once it is imported."""
_SUBREAPER = 36
_MOST = 1 << 20
"""Bytes of a request: arguments and environment."""


class _Python(str):
    """The interpreter, of a process that may be forked."""

    __slots__ = ()


def python(*arguments: str) -> tuple[str, ...]:
    """Return the command that runs Python with `arguments`, `-m MODULE ...` or `FILE ...`, for `asyncio`'s `exec`."""
    return (_Python(sys.executable), *arguments)


class _Forks:
    """The process that forks, as long as this one lives."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _MOST)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked", str(theirs.fileno())], cwd=_ROOT, pass_fds=[theirs.fileno()]
            )
        self._lock = threading.Lock()

    def fork(self, request: dict[str, Any], files: list[int]) -> int:
        """Return the process id of a child of ours."""
        with self._lock, _adopting():
            socket.send_fds(self._socket, [json.dumps(request).encode()], files)
            answer = self._socket.recv(64)
        if not answer:
            raise RuntimeError(f"The process that forks has ended with {self._process.wait()}; see its error above.")
        return int(answer)


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Make this process the parent of processes below it whose own parent ends."""
    libc = ctypes.CDLL(None)
    libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_SUBREAPER, 0, 0, 0, 0)


@functools.cache
def _forks() -> _Forks:
    return _Forks()


def _install() -> None:
    """Have `subprocess` fork what `python` made the command of, with the files that it would give it."""
    execute: Any = subprocess.Popen._execute_child  # type: ignore[attr-defined]
    signature = inspect.signature(execute)

    @functools.wraps(execute)
    def fork_or_execute(self: Any, *arguments: Any) -> None:
        given = signature.bind(self, *arguments).arguments
        command = given["args"]
        if not isinstance(command[0], _Python):
            execute(self, *arguments)
            return
        environment = os.environ if given["env"] is None else given["env"]
        request = {
            "arguments": [os.fspath(argument) for argument in command[1:]],
            "folder": os.fspath(given["cwd"] or os.getcwd()),
            "environment": dict(environment),
        }
        files = (given["p2cread"], given["c2pwrite"], given["errwrite"])
        self.pid = _forks().fork(request, [own if given_ == -1 else given_ for own, given_ in enumerate(files)])
        self._child_created = True
        self._close_pipe_fds(*(given[name] for name in _PIPES))

    subprocess.Popen._execute_child = fork_or_execute  # type: ignore[attr-defined]


_PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
if sys.platform == "linux":
    _install()


def _serve(requests: socket.socket) -> Callable[[], object]:
    """Fork for each request; returns in the children, with what they are to do."""
    while True:
        content, files, _, _ = socket.recv_fds(requests, _MOST, 3)
        if not content:
            os._exit(0)
        told, telling = os.pipe()
        between = os.fork()
        if between == 0:
            child = os.fork()
            if child:
                os.write(telling, str(child).encode())
                os._exit(0)  # Now the tests are the child's parent.
            for file in (requests.detach(), told, telling):
                os.close(file)
            return functools.partial(_become, json.loads(content), files)
        os.waitpid(between, 0)
        requests.send(os.read(told, 64))
        for file in (told, telling, *files):
            os.close(file)


def _become(request: dict[str, Any], files: list[int]) -> None:
    """Do as an interpreter that was just started, whose imports were very quick."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    for file in files:
        if file > 2:
            os.close(file)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    given = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)))
    output, errors = (io.BufferedWriter(io.FileIO(number, "w", closefd=False)) for number in (1, 2))
    out = io.TextIOWrapper(output, line_buffering=os.isatty(1), write_through=unbuffered)
    err = io.TextIOWrapper(errors, errors="backslashreplace", line_buffering=True, write_through=unbuffered)
    for name, stream in (("stdin", given), ("stdout", out), ("stderr", err)):
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    first, *rest = request["arguments"]
    if first == "-m":
        sys.path[0], sys.argv = os.getcwd(), ["-m", *rest[1:]]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0], sys.argv = os.path.dirname(os.path.abspath(first)), [first, *rest]
        runpy.run_path(first, run_name="__main__")


def _main() -> Callable[[], object]:
    for name in _IMPORTED:
        importlib.import_module(name)
    del sys.modules[_ANEW]
    give_workflow_tasks_time()
    assert len(os.listdir("/proc/self/task")) == 1, "an import has started a thread, which no child would have"
    gc.freeze()
    return _serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    _main()()
