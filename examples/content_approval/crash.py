"""The crash of the demo: kill a worker in the middle of a superstep, and prove that nothing committed ran again."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from agent_framework_temporal import Checkpoint
from temporalio.client import Client

from . import ledger
from .processes import DemoError, WorkerProcess
from .supersteps import Committed, InHand, in_hand

VICTIM = "writer"
"""The executor in whose superstep the worker is killed."""
_START_SECONDS = 60
_INTO_THE_WORK_SECONDS = 0.7
_LOOK_SECONDS = 0.05


async def kill_in_the_middle(client: Client, checkpoint: Checkpoint, worker: WorkerProcess, path: Path) -> InHand:
    """Wait until the victim's superstep runs, and SIGKILL the worker that runs it.

    Returns:
        The attempt that was killed.

    Raises:
        DemoError: When there was no middle to kill it in.
    """
    try:
        async with asyncio.timeout(_START_SECONDS):
            while True:
                attempt = await in_hand(client, checkpoint)
                if attempt is not None and attempt.started and _has_begun(path):
                    break
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        raise DemoError(f"The {VICTIM}'s superstep did not start within {_START_SECONDS} s.") from None
    await asyncio.sleep(_INTO_THE_WORK_SECONDS)
    if await in_hand(client, checkpoint) != attempt:
        raise DemoError(f"The {VICTIM} had finished before its worker could be killed. Give it more time: --delay 0.3")
    await worker.kill()
    return attempt


async def until_lost(client: Client, checkpoint: Checkpoint, killed: InHand) -> InHand:
    """Wait until Temporal has noticed that the killed attempt is lost, and the next one runs."""
    while True:
        attempt = await in_hand(client, checkpoint)
        if attempt is None:
            raise DemoError("The superstep went on before Temporal reported its lost attempt; run the demo again.")
        if attempt.attempt > killed.attempt and attempt.started:
            return attempt
        await asyncio.sleep(_LOOK_SECONDS)


@dataclass(frozen=True)
class Row:
    """What history and ledger say of one executor in one superstep."""

    superstep: Committed
    executor: str
    killed: int
    """Invocations that the ledger saw begin and never end."""


def reconcile(supersteps: list[Committed], entries: list[ledger.Entry]) -> list[Row]:
    """Match every invocation in the ledger to a committed superstep of the history, in order.

    Raises:
        DemoError: When they do not match: a superstep was committed twice, or an executor ran once more than history
            has it.
    """
    numbers = [step.number for step in supersteps]
    if numbers != list(range(1, len(numbers) + 1)):
        raise DemoError(f"NOT proven: the history has supersteps {numbers}, each of which should be there once.")
    invocations = _invocations(entries)
    rows = []
    for step in supersteps:
        for executor in step.executors:
            calls, killed = invocations[executor], 0
            while calls and not calls[0]:
                calls.pop(0)
                killed += 1
            if not calls:
                raise DemoError(f"NOT proven: the ledger lacks {executor} of superstep {step.number}.")
            calls.pop(0)
            rows.append(Row(step, executor, killed))
    if extra := {executor: len(calls) for executor, calls in invocations.items() if calls}:
        raise DemoError(f"NOT proven: the ledger has invocations that no superstep committed: {extra}.")
    return rows


def prove(rows: list[Row], *, killed_in: int, first: WorkerProcess, second: WorkerProcess) -> None:
    """Check that only the killed superstep ran again.

    Raises:
        DemoError: When something else did, or another worker committed it.
    """
    for row in rows:
        step = row.superstep
        hit = step.number == killed_in
        expected = (str(first.pid if step.number < killed_in else second.pid), 2 if hit else 1, int(hit))
        if (step.worker, step.attempts, row.killed) != expected:
            raise DemoError(
                f"NOT proven: superstep {step.number} ({row.executor}) was committed by worker {step.worker} in "
                f"attempt {step.attempts} with {row.killed} killed invocations; expected {expected}."
            )


def _has_begun(path: Path) -> bool:
    return any(entry.executor == VICTIM for entry in ledger.read(path))


def _invocations(entries: list[ledger.Entry]) -> dict[str, list[bool]]:
    """Return each executor's invocations in order: whether each ended."""
    invocations: dict[str, list[bool]] = defaultdict(list)
    under_way: dict[tuple[str, int], int] = {}
    for entry in entries:
        calls = invocations[entry.executor]
        if entry.phase == "begun":
            under_way[entry.executor, entry.pid] = len(calls)
            calls.append(False)
        else:
            calls[under_way.pop((entry.executor, entry.pid))] = True
    return invocations
