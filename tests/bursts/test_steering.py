"""A burst goes on only while nobody wants anything else of its run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from agent_framework_temporal import RunCancelledError, RunInterruptedError
from temporalio.client import Client

from tests.bursts._flows import Plan, begun, let, lines, outputs, steps
from tests.bursts.test_bursts import scheduled
from tests.bursts.test_crashes import durable_steps
from tests.support import worker


async def _paused(client: Client, thread_id: str) -> Any:
    handle = client.get_workflow_handle(thread_id)
    async with asyncio.timeout(50):
        while (found := await handle.query("status"))["state"] != "paused":
            await asyncio.sleep(0.02)
    return found


async def test_it_ends_before_a_breakpoint(client: Client, ledger: Path) -> None:
    async with worker(client, steps) as task_queue:
        durable = durable_steps(client, task_queue, breakpoints=["two"])
        thread = durable.checkpoint()
        call = asyncio.ensure_future(durable.run(Plan(5), checkpoint=thread))
        await begun(ledger, 1)
        for number in (2, 4):
            await _paused(client, thread.thread_id)
            assert not lines(ledger)[f"begin {number}"]
            await durable.continue_(thread.thread_id)
        assert (await call).get_outputs() == outputs(1, 5)
        assert await scheduled(client, thread.thread_id) == 3  # 1; 2 and 3; 4 and 5.


@pytest.mark.parametrize("what", ["pause", "breakpoint"])
async def test_it_ends_with_the_superstep_that_runs(client: Client, ledger: Path, what: str) -> None:
    """Once the caller has been told that it is set, no superstep begins, and the one that runs is not cut off."""
    async with worker(client, steps) as task_queue:
        durable = durable_steps(client, task_queue)
        thread = durable.checkpoint()
        call = asyncio.ensure_future(durable.run(Plan(8, holds=[3]), checkpoint=thread))
        await begun(ledger, 3)
        if what == "pause":
            await durable.pause(thread.thread_id)
        else:
            await durable.set_breakpoints(["two"], thread.thread_id)
        await asyncio.sleep(0.6)  # The SDK has heard of it by now, at a quarter of the heartbeat timeout.
        let(ledger, 3)
        status = await _paused(client, thread.thread_id)
        assert status["superstep"] == 3
        assert status["pause"]["kind"] == ("asked" if what == "pause" else "breakpoint")
        assert lines(ledger)["begin 3"] == 1
        assert not lines(ledger)["begin 4"]
        await durable.set_breakpoints([], thread.thread_id)
        await durable.continue_(thread.thread_id)
        assert (await call).get_outputs() == outputs(1, 8)
        assert all(count == 1 for count in lines(ledger).values())
        assert await scheduled(client, thread.thread_id) == 2


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("when", ["interrupt", "rollback"])
async def test_a_message_cuts_off_what_runs_and_not_what_has_finished(
    client: Client, ledger: Path, when: Any, *, paused: bool
) -> None:
    async with worker(client, steps) as task_queue:
        durable = durable_steps(client, task_queue)
        thread = durable.checkpoint()
        call = asyncio.ensure_future(durable.run(Plan(8, holds=[4]), checkpoint=thread))
        await begun(ledger, 4)
        if paused:
            await durable.pause(thread.thread_id)
            await durable.continue_(thread.thread_id)
        second = durable.checkpoint(thread.thread_id)
        result = await durable.run(Plan(12, number=11), checkpoint=second, when_running=when)
        with pytest.raises(RunInterruptedError):
            await call
        assert result.get_outputs() == outputs(11, 12)
        infos = await durable.checkpoints(second)
        assert [info.superstep for info in infos] == [0, 1, 2, 3, 0, 1, 2]
        assert infos[4].previous_checkpoint_id == (infos[3].checkpoint_id if when == "interrupt" else None)


async def test_a_cancelled_run_keeps_what_has_finished(client: Client, ledger: Path) -> None:
    async with worker(client, steps) as task_queue:
        durable = durable_steps(client, task_queue)
        thread = durable.checkpoint()
        call = asyncio.ensure_future(durable.run(Plan(8, holds=[4]), checkpoint=thread))
        await begun(ledger, 4)
        await client.get_workflow_handle(thread.thread_id).cancel()
        with pytest.raises(RunCancelledError):
            await call
        assert [info.superstep for info in await durable.checkpoints(thread)] == [0, 1, 2, 3]
        let(ledger, 4)
        assert (await durable.run(checkpoint=thread)).get_outputs() == outputs(4, 8)
