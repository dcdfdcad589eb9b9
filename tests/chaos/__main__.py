"""Kill workers and servers at random under load until enough are dead, then check: `python -m tests.chaos`."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from temporalio.client import Client

from tests.chaos.check import Findings, check
from tests.chaos.load import LOADS
from tests.chaos.processes import Server, Zygote
from tests.chaos.readers import Reader, durable_of


class Chaos:
    """One run of it.

    Args:
        folder: For the database and the ledger.
        workers: Workers at a time.
        threads: Threads at a time.
        worker_kills: Kill this many.
        server_kills: Of the server too, spread over the run.
        pauses: Stop this many workers for longer than their heartbeat timeout.
    """

    def __init__(
        self, folder: Path, *, workers: int, threads: int, worker_kills: int, server_kills: int, pauses: int
    ) -> None:
        self.figures: Counter[str] = Counter()
        self.troubles: Counter[str] = Counter()
        self._ledger = folder / "ledger"
        self._ledger.touch()
        self._server = Server(folder / "chaos.db")
        self._task_queue = "chaos"
        self._workers: list[int] = []
        self._worker_count = workers
        self._concurrent = threads
        self._plan = ["worker"] * worker_kills + ["server"] * server_kills + ["pause"] * pauses
        random.shuffle(self._plan)
        self._readers: list[Reader] = []
        self._resumed: set[asyncio.Task[None]] = set()

    async def run(self) -> Findings:
        """Run it all."""
        await self._server.start()
        zygote = await Zygote.start(self._server.address, self._task_queue, self._ledger)
        try:
            client = await Client.connect(self._server.address)
            self._workers = [await zygote.fork("worker") for _ in range(self._worker_count)]
            await zygote.fork("responder")
            killing = asyncio.create_task(self._kill(zygote))
            loads = [asyncio.create_task(self._load(client, number, killing)) for number in range(self._concurrent)]
            await killing
            await asyncio.gather(*loads)
            findings = await check(client, self._task_queue, self._readers, self._ledger)
        finally:
            await zygote.stop()
            await self._server.kill()
        findings.figures.update(self.figures)
        return findings

    async def _load(self, client: Client, slot: int, killing: asyncio.Task[None]) -> None:
        """Run one thread after the other, each with two readers, as long as things are killed."""
        turn = 0
        while turn == 0 or not killing.done():
            name = list(LOADS)[(slot + turn) % len(LOADS)]
            number = slot + turn * self._concurrent
            durable = durable_of(name, client, self._task_queue)
            other = durable_of(name, client, self._task_queue)
            readers = [
                Reader(durable, name, number, begins=True, troubles=self.troubles),
                Reader(other, name, number, begins=False, troubles=self.troubles),
            ]
            await asyncio.gather(*(reader.read() for reader in readers))
            self._readers += readers
            turn += 1

    async def _kill(self, zygote: Zygote) -> None:
        await asyncio.sleep(2)
        for victim in self._plan:
            await asyncio.sleep(random.uniform(0.3, 1.7))
            if victim == "server":
                await self._server.kill()
                await asyncio.sleep(random.uniform(0.0, 1.0))
                await self._server.start()
                self.figures["servers killed"] += 1
                continue
            index = random.randrange(len(self._workers))
            pid = self._workers[index]
            if victim == "pause":
                os.kill(pid, signal.SIGSTOP)
                task = asyncio.create_task(self._resume(pid))
                self._resumed.add(task)
                task.add_done_callback(self._resumed.discard)
                self.figures["workers stopped for a while"] += 1
            else:
                os.kill(pid, signal.SIGKILL)
                self._workers[index] = await zygote.fork("worker")
                self.figures["workers killed"] += 1

    @staticmethod
    async def _resume(pid: int) -> None:
        await asyncio.sleep(random.uniform(2.0, 5.0))
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return  # It was killed meanwhile.


async def run(*, seed: int | None = None, **options: int) -> tuple[Findings, Counter[str]]:
    """Run it in a folder of its own; returns what was found, and the errors readers have met."""
    random.seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        chaos = Chaos(Path(folder), **options)
        return await chaos.run(), chaos.troubles


def main() -> int:
    """Run it, and print figures and what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    number: dict[str, Any] = {"type": int, "metavar": "N"}
    parser.add_argument("--worker-kills", default=20, help="workers to kill (20)", **number)
    parser.add_argument("--server-kills", default=2, help="servers to kill (2)", **number)
    parser.add_argument("--pauses", default=4, help="workers to stop for a while (4)", **number)
    parser.add_argument("--workers", default=3, help="workers at a time (3)", **number)
    parser.add_argument("--threads", default=6, help="threads at a time (6)", **number)
    parser.add_argument("--seed", default=None, help="seed of what is killed when", **number)
    options = parser.parse_args()
    begun = time.monotonic()
    findings, troubles = asyncio.run(run(**vars(options)))
    for name, count in findings.figures.items():
        print(f"{count:8,}  {name}")
    print(f"{time.monotonic() - begun:8.0f}  seconds")
    print("errors that readers met and got over:", dict(troubles) or "none")
    for text in findings.wrong:
        print("WRONG:", text[:2_000])
    print("FAILED" if findings.wrong else "Nothing is lost, nothing is twice, and every reader saw the same.")
    return 1 if findings.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
