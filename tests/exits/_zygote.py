"""Ends processes by the dozen: forks children that have everything imported; each uses a client and exits at once.

    python -m tests.exits._zygote ADDRESS WAY NUMBER

Prints how they ended, as JSON: how many by exit code, by signal (negative), or as "hang". A child exits as any
interpreter does, as no thread of the SDK has begun when it is forked, and importing everything is done once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import NoReturn

from agent_framework_temporal import AgentFrameworkPlugin, DurableWorkflow, ThreadNotFoundError
from agent_framework_temporal.adapter import cli
from temporalio.client import Client
from temporalio.worker import Worker

from tests.flows import echo
from tests.support import unique

_AT_ONCE = 4
_BUSY = int(os.environ.get("BUSY", "1")) * (os.cpu_count() or 2)
"""Processes that compete with the children for the processors, which is when an exit goes wrong."""
_HANGS_AFTER = 60.0


async def _calls(address: str) -> None:
    """Ask the server, many times at once."""
    client = await Client.connect(address)
    durable = DurableWorkflow(echo, client=client, task_queue="none")

    async def ask() -> None:
        with contextlib.suppress(ThreadNotFoundError):  # Of threads that are not there: no other test has a say.
            await durable.checkpoints(unique("thread"))

    await asyncio.gather(*(ask() for _ in range(20)))


async def _polls(address: str) -> None:
    """Leave while the facade follows threads that no worker takes up: long polls are in flight."""
    client = await Client.connect(address)
    durable = DurableWorkflow(echo, client=client, task_queue=unique("queue"))
    checkpoints = [durable.checkpoint() for _ in range(10)]
    following = [asyncio.ensure_future(durable.run("a", checkpoint=checkpoint)) for checkpoint in checkpoints]
    while not all(checkpoint.run_id for checkpoint in checkpoints):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert not any(task.done() for task in following)


async def _worker(address: str) -> None:
    """Host a workflow, and run it."""
    client = await Client.connect(address)
    queue = unique("queue")
    async with Worker(client, task_queue=queue, plugins=[AgentFrameworkPlugin([echo])]):
        durable = DurableWorkflow(echo, client=client, task_queue=queue)
        assert (await durable.run("a")).get_outputs() == ["a 1"]


def _command(address: str) -> NoReturn:
    """Run a command of the command line; it finds no worker, which is its exit code 1."""
    sys.argv = ["agent-framework-temporal", "doctor", "--json", "--address", address, "--task-queue", unique("queue")]
    cli.command()


_WAYS: dict[str, Callable[[str], object]] = {
    "calls": lambda address: asyncio.run(_calls(address)),
    "polls": lambda address: asyncio.run(_polls(address)),
    "worker": lambda address: asyncio.run(_worker(address)),
    "command": _command,
}


def main() -> None:
    """Fork the children, and return in each of them: its interpreter then ends as that of any script."""
    address, way, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    busy = [_fork(_spin) for _ in range(_BUSY)]
    leaves, leaving = os.pipe()
    os.set_blocking(leaves, False)
    running: dict[int, float | None] = {}
    """When each child has left what it does; what comes then is the exit alone."""
    ends: Counter[str] = Counter()
    begun = 0
    while begun < number or running:
        if begun < number and len(running) < _AT_ONCE:
            begun += 1
            child = os.fork()
            if child == 0:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                try:
                    _WAYS[way](address)
                finally:
                    os.write(leaving, os.getpid().to_bytes(4))
                return
            running[child] = None
            continue
        with contextlib.suppress(BlockingIOError):
            running[int.from_bytes(os.read(leaves, 4))] = time.monotonic()
        for child, since in list(running.items()):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                ends[str(os.waitstatus_to_exitcode(status))] += 1
            elif since is not None and time.monotonic() - since > _HANGS_AFTER:
                ends["hang"] += 1
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            else:
                continue
            del running[child]
        time.sleep(0.01)
    for child in busy:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    print(json.dumps(ends))


def _fork(function: Callable[[], NoReturn]) -> int:
    child = os.fork()
    if child == 0:
        function()
    return child


def _spin() -> NoReturn:
    """Keep a processor busy, but not after the one that wanted it is gone."""
    parent = os.getppid()
    while os.getppid() == parent:
        for _ in range(100_000):
            pass
    os._exit(0)


if __name__ == "__main__":
    main()
