"""The pacemaker's thread goes on, whatever becomes of the supersteps that it beats for."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence

import pytest
from agent_framework_temporal.activities.pacemaker import Pacemaker, Pulse
from temporalio.api.common.v1 import Payload


async def test_it_outlives_a_superstep_that_has_ended_while_the_loop_is_blocked() -> None:
    beaten: list[bytes] = []

    def record(task_token: bytes, details: Sequence[Payload]) -> None:
        beaten.append(task_token)

    pacemaker = Pacemaker(record, asyncio.get_running_loop())
    try:
        pacemaker.add(Pulse(b"first", 10.0))
        time.sleep(0.35)  # noqa: ASYNC251 - the thread asks the loop, which does not answer
        pacemaker.ended(b"first")
        time.sleep(0.35)  # noqa: ASYNC251
        pacemaker.add(Pulse(b"second", 0.1))
        async with asyncio.timeout(50):
            while b"second" not in beaten:
                await asyncio.sleep(0.01)
    finally:
        pacemaker.close()


async def test_it_ends_at_once_where_there_is_nothing_to_beat_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker stops with it, and its event loop stands still meanwhile."""
    pacemaker = Pacemaker(lambda task_token, details: None, asyncio.get_running_loop())
    pacemaker.add(Pulse(b"first", 10.0))
    pacemaker.ended(b"first")
    async with asyncio.timeout(50):
        while pacemaker._waits < math.inf:
            await asyncio.sleep(0.01)
    monkeypatch.setattr("agent_framework_temporal.activities.pacemaker._TICK", 3600.0)
    pacemaker.close()
