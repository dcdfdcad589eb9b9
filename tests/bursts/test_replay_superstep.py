"""Supersteps of a burst are looked at one by one, as any others."""

from __future__ import annotations

from pathlib import Path

import pytest
from agent_framework_temporal.testing import replay_superstep
from temporalio.client import Client

from tests.bursts._flows import Plan, steps
from tests.bursts.test_crashes import durable_steps
from tests.support import worker


async def test_each_runs_again_as_recorded(client: Client, ledger: Path) -> None:
    """The first, one within, the last, one after a failure, and the one that has failed."""
    async with worker(client, steps) as task_queue:
        durable = durable_steps(client, task_queue, max_attempts=1)
        thread = durable.checkpoint()
        with pytest.raises(ValueError, match="superstep 6 has no luck"):
            await durable.run(Plan(8, fails={"6": 1}), checkpoint=thread)
        await durable.run(checkpoint=thread)
    for number in (1, 3, 5, 6, 8):
        replayed = await replay_superstep(client, thread, number, steps)
        assert (replayed.superstep, replayed.state) == (number, "committed")
        replayed.assert_same()
        assert [event.data for event in replayed.outcome.events if event.type == "output"] == [
            f"{'one' if number % 2 else 'two'} {number}"
        ]
    failed = await replay_superstep(client, thread, 6, steps, failed=True)
    assert (failed.superstep, failed.state) == (6, "failed")
    assert failed.recorded is not None
    assert failed.recorded.error == "ValueError: superstep 6 has no luck"
