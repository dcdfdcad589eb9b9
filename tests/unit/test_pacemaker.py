"""The pacemaker's thread goes on, whatever becomes of the supersteps that it beats for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

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
        async with asyncio.timeout(30):
            while b"second" not in beaten:
                await asyncio.sleep(0.01)
    finally:
        pacemaker.close()
