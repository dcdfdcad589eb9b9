"""What many ask for is asked once, and nobody is told what was true before he asked."""

from __future__ import annotations

import asyncio
import time
import weakref

from agent_framework_temporal.adapter.http import shared_reads
from agent_framework_temporal.adapter.http.shared_reads import SharedReads


class _Asked:
    """What a server says: how often it was asked, a moment after it was."""

    def __init__(self) -> None:
        self.times = 0
        self.underway = asyncio.Event()

    async def __call__(self) -> int:
        self.times += 1
        told = self.times
        self.underway.set()
        await asyncio.sleep(0)
        return told


async def test_many_are_told_what_one_has_asked_for() -> None:
    reads, asked = SharedReads(), _Asked()
    assert await asyncio.gather(*(reads.read("key", asked) for _ in range(50))) == [1] * 50
    assert await reads.read("key", asked) == 1
    reads.changed()
    assert await reads.read("key", asked) == 2


async def test_an_answer_that_was_asked_for_earlier_will_not_do() -> None:
    """A thread that has come to rest is not told of as it stood before, also where that is being asked at the time."""
    reads, asked = SharedReads(), _Asked()
    assert await reads.read("key", asked) == 1
    assert await reads.read("key", asked, since=time.monotonic()) == 2
    asked.underway.clear()
    underway = asyncio.ensure_future(reads.read("other", asked))
    await asked.underway.wait()
    since = time.monotonic()
    assert await asyncio.gather(*(reads.read("other", asked, since=since) for _ in range(50))) == [4] * 50
    assert await underway == 3


async def test_what_came_while_it_was_asked_for_is_not_kept() -> None:
    reads, asked = SharedReads(), _Asked()
    underway = asyncio.ensure_future(reads.read("key", asked))
    await asked.underway.wait()
    reads.changed()
    assert (await underway, await reads.read("key", asked)) == (1, 2)


async def test_nothing_is_kept_longer_than_it_is_good_for() -> None:
    class Large:
        pass

    async def ask() -> Large:
        return Large()

    reads = SharedReads()
    kept = weakref.ref(await reads.read("key", ask))
    assert kept() is not None
    async with asyncio.timeout(30):
        while kept() is not None:
            await asyncio.sleep(shared_reads._KEPT_SECONDS / 5)
