"""The processes that are killed: a Temporal server on a file, workers, and one that answers requests.

Workers and the responder are forked from a process that has imported everything and started nothing, as an import costs
two seconds of a processor and a run of a few hundred kills would spend most of its time there. They are real processes
all the same: each has an SDK core, connections and caches of its own.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

from agent_framework_temporal.adapter.commands.dev_server import _FAST_TASKS, _free_port, find_binary
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from tests.chaos.load import LEDGER, LOADS, answer_to

_ROOT = Path(__file__).parents[2]
PREFIX = "chaos"


class Server:
    """A dev server on a file and a fixed port, to be killed and started again."""

    def __init__(self, database: Path) -> None:
        self.address = f"127.0.0.1:{_free_port(None)}"
        self._database = database
        self._process: Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it serves."""
        port = self.address.partition(":")[2]
        self._process = await asyncio.create_subprocess_exec(
            *(find_binary(), "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", port),
            *("--db-filename", str(self._database), "--log-level", "never", *_FAST_TASKS),
            stdout=DEVNULL,
            stderr=DEVNULL,
        )
        while True:
            try:
                client = await Client.connect(self.address)
                await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
            except (RuntimeError, RPCError):
                await asyncio.sleep(0.05)
            else:
                return

    async def kill(self) -> None:
        """Kill it as a power cut would end its process."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None


class Zygote:
    """Forks workers and responders."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, address: str, task_queue: str, ledger: Path) -> Zygote:
        """Start it; what it forks serves `task_queue` at `address`."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.chaos.processes", address, task_queue),
            cwd=_ROOT,
            env={**os.environ, LEDGER: str(ledger)},
            stdin=PIPE,
            stdout=PIPE,
        )
        return cls(process)

    async def fork(self, kind: str) -> int:
        """Fork a `worker` or a `responder`; returns its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{kind}\n".encode())
        return int(await self._process.stdout.readline())

    async def stop(self) -> None:
        """End it with all that it has forked."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


def _zygote(address: str, task_queue: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The kernel reaps.
    children: set[int] = set()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            # Nobody but the checker is told of what goes wrong: a killed server makes every worker complain.
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(null, number)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _die_with_parent()
            try:
                _forked(line.strip(), address, task_queue)
            finally:
                os._exit(1)
        children.add(pid)
        print(pid, flush=True)
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _die_with_parent() -> None:
    """Have the kernel kill this process when the one that forked it ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _forked(kind: str, address: str, task_queue: str) -> None:
    if kind == "responder":
        asyncio.run(_respond(address))
        return
    from agent_framework_temporal import worker

    flags = [f"--workflow=tests.chaos.load:{name}" for name in LOADS]
    while True:  # The server may be away when it starts.
        worker.main([*flags, "--task-queue", task_queue, "--address", address, "--log-level", "critical"])


async def _respond(address: str) -> None:
    """Answer every pending request of the load, one after the other, for ever."""
    while True:
        try:
            client = await Client.connect(address)
            while True:
                await _answer_all(client)
                await asyncio.sleep(0.3)
        except (RPCError, RuntimeError):
            await asyncio.sleep(0.2)


async def _answer_all(client: Client) -> None:
    query = "ExecutionStatus = 'Running' AND WorkflowType = 'AgentFrameworkWorkflow'"
    async for run in client.list_workflows(query):
        if not run.id.startswith(f"{PREFIX}-ask-"):
            continue
        handle = client.get_workflow_handle(run.id)
        try:
            status = await handle.query("status")
            for request_id in status["pending_requests"] or []:
                await handle.signal(
                    "respond", {"request_id": request_id, "response": answer_to(request_id), "responder": "chaos"}
                )
        except Exception:  # noqa: S112 - no worker, no server, or a run that has ended: the next round sees.
            continue


if __name__ == "__main__":
    import tests.chaos.load  # noqa: F401 - the same

    _zygote(sys.argv[1], sys.argv[2])
