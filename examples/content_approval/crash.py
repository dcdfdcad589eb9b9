"""The crash of the demo: kill a worker in the middle of an agent's tool loop, and prove that nothing is repeated."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from agent_framework_temporal import Checkpoint
from temporalio.client import Client

from . import ledger
from .processes import DemoError, WorkerProcess
from .supersteps import Committed, InHand, in_hand

VICTIM = "writer"
"""The executor in whose superstep the worker is killed."""
TOOL_CALLS = 2
"""So many calls of its tool it has finished by then, and the next one is under way."""
_START_SECONDS = 60
_LOOK_SECONDS = 0.05


async def kill_in_the_middle(client: Client, checkpoint: Checkpoint, worker: WorkerProcess, path: Path) -> InHand:
    """Wait until the victim is in the middle of its tool loop, and SIGKILL the worker that runs it.

    Returns:
        The attempt that was killed.

    Raises:
        DemoError: When there was no middle to kill it in.
    """
    try:
        async with asyncio.timeout(_START_SECONDS):
            while True:
                entries = [entry for entry in ledger.read(path) if entry.executor == VICTIM]
                tools = Counter(entry.phase for entry in entries if entry.kind == "tool")
                if tools["ended"] >= TOOL_CALLS and tools["begun"] > tools["ended"]:
                    break
                if any(entry.kind == "executor" and entry.phase == "ended" for entry in entries):
                    raise DemoError(
                        f"The {VICTIM} called its tool {tools['ended']} times only, so it was not in the middle of "
                        "anything. Let it write less, so that it has to count more often: --words 55"
                    )
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        raise DemoError(f"The {VICTIM} did not get to its tool within {_START_SECONDS} s.") from None
    attempt = await in_hand(client, checkpoint)
    await worker.kill()
    if attempt is None:
        raise DemoError(f"The {VICTIM} had finished before its worker could be killed; run the demo again.")
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


@dataclass(frozen=True)
class JournalProof:
    """What the killed superstep took from its journal, and what was repeated all the same."""

    model_calls: int
    tool_calls: int
    repeated: int
    """Calls that had ended before the kill, by the ledger, and were made once more after it."""
    made: int
    """Calls that the second attempt made itself."""


def prove_journal(step: Committed, entries: list[ledger.Entry], *, first: int, second: int) -> JournalProof:
    """Compare what the superstep says it took from its journal with what the ledger says really ran.

    Args:
        step: The superstep that was killed.
        entries: The ledger.
        first: Process id of the worker that was killed.
        second: Of the one that took over.

    Raises:
        DemoError: When a call that had ended ran again, or the journal lacks one, or has one too many.
    """
    calls = [entry for entry in entries if entry.executor == VICTIM and entry.kind != "executor"]
    ended = Counter((entry.kind, entry.call) for entry in calls if (entry.pid, entry.phase) == (first, "ended"))
    again = Counter((entry.kind, entry.call) for entry in calls if (entry.pid, entry.phase) == (second, "begun"))
    finished = Counter(kind for kind, _ in ended.elements())
    proof = JournalProof(step.taken["chat"], step.taken["tool"], (ended & again).total(), again.total())
    if proof.repeated or (proof.model_calls, proof.tool_calls) != (finished["chat"], finished["tool"]):
        raise DemoError(
            f"NOT proven: worker {first} had finished {finished['chat']} model calls and {finished['tool']} tool calls "
            f"by the ledger; {proof.model_calls} and {proof.tool_calls} were taken from the journal, and "
            f"{proof.repeated} were repeated."
        )
    return proof


def _invocations(entries: list[ledger.Entry]) -> dict[str, list[bool]]:
    """Return each executor's invocations in order: whether each ended."""
    invocations: dict[str, list[bool]] = defaultdict(list)
    under_way: dict[tuple[str, int], int] = {}
    for entry in entries:
        if entry.kind != "executor":
            continue
        calls = invocations[entry.executor]
        if entry.phase == "begun":
            under_way[entry.executor, entry.pid] = len(calls)
            calls.append(False)
        else:
            calls[under_way.pop((entry.executor, entry.pid))] = True
    return invocations
