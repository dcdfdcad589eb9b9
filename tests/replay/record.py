"""Records the histories that the replay tests keep: `python -m tests.replay.record [--anew] VERSION [SCENARIO...]`.

Without names it records what the version does not have yet. Stored histories are never overwritten: they are what older
workers wrote, and must go on replaying. What is not released yet may be recorded again: `--anew` replaces what there is
of the scenarios, each as soon as it is played. All of them take one to two minutes.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Sequence

from agent_framework_temporal import start_dev_server
from temporalio.client import Client

from tests.flows import chain, countdown, echo, shop
from tests.functional._flows import review
from tests.journal._spending import spending
from tests.replay.flows import asking, frail, looping
from tests.replay.scenarios import SCENARIOS
from tests.replay.stage import Stage, counted
from tests.replay.store import remove, store, stored
from tests.support import worker

_AT_ONCE = 4
_SECONDS = 120


async def record(version: str, names: Sequence[str], *, anew: bool = False) -> int:
    """Play scenarios and store their histories, in place of those there are or not; returns how many could not be."""
    logging.disable(logging.ERROR)  # Workers tell of every superstep that fails, as it is meant to.
    slots = asyncio.Semaphore(_AT_ONCE)
    async with await start_dev_server(log_level="never") as server:
        client = await server.connect(identity="recorder")
        hosted = (chain, shop, echo, countdown, asking, frail, looping, spending, review)
        async with worker(client, *hosted) as task_queue:

            async def one(name: str) -> bool:
                async with slots:
                    return await _scenario(version, name, client, task_queue, anew=anew)

            done = await asyncio.gather(*(one(name) for name in names))
    return done.count(False)


async def _scenario(version: str, name: str, client: Client, task_queue: str, *, anew: bool) -> bool:
    scenario, stage, began = SCENARIOS[name], Stage(client, task_queue), time.monotonic()
    try:
        async with asyncio.timeout(_SECONDS):
            await scenario.play(stage)
    except Exception as error:
        print(f"{name}: not stored, {type(error).__name__}: {error}", file=sys.stderr)
        return False
    found = counted(stage.kept)
    lacking = {event: f"{found[event]} of {count}" for event, count in scenario.shows.items() if found[event] < count}
    if lacking or len(stage.kept) < scenario.runs:
        print(f"{name}: not stored, {len(stage.kept)} of {scenario.runs} runs, lacks {lacking}", file=sys.stderr)
        return False
    if anew:
        remove(version, name)
    written = store(version, name, stage.kept)
    size = sum(run.path.stat().st_size for run in written)
    print(f"{name}: {len(written)} runs, {found.total()} events, {size:,} bytes, {time.monotonic() - began:.1f} s")
    return True


def main(arguments: Sequence[str]) -> int:
    """Record; returns the exit code."""
    anew, arguments = "--anew" in arguments, [argument for argument in arguments if argument != "--anew"]
    if not arguments or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    version, *names = arguments
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        print(f"There is no scenario {', '.join(unknown)}; there are: {', '.join(SCENARIOS)}.", file=sys.stderr)
        return 2
    there = [name for name in names or SCENARIOS if stored(version, name) and not anew]
    if names and there:
        print(f"{version} has {', '.join(there)} already; stored histories are kept.", file=sys.stderr)
        return 1
    if there:
        print(f"{version} has {len(there)} scenarios already, which are kept")
    failed = asyncio.run(record(version, [name for name in names or SCENARIOS if name not in there], anew=anew))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
