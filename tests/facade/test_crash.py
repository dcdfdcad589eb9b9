"""Worker processes that are killed: nothing committed runs again, and nothing is lost."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client

from tests.flows import STEPS, Decision, Order, chain, shop
from tests.support import unique, worker_process


async def _appears(ledger: Path, text: str) -> str:
    while not ledger.exists() or text not in ledger.read_text():
        await asyncio.sleep(0.02)
    return next(line for line in ledger.read_text().splitlines() if text in line)


@pytest.mark.parametrize("victim", STEPS)
async def test_worker_killed_in_the_middle_of_a_superstep(victim: str, client: Client, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    task_queue = unique("queue")
    async with worker_process(client, task_queue, ledger, delay=0.4) as first:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue, heartbeat_timeout=timedelta(seconds=1))
        running = asyncio.ensure_future(durable.run("a"))
        await _appears(ledger, f"begin {victim}")
        first.send_signal(signal.SIGKILL)
        await first.wait()
        async with worker_process(client, task_queue, ledger):
            result = await running
    assert result.get_outputs() == ["a>first>second>third done"]
    begun = [line.split()[2] for line in ledger.read_text().splitlines() if " begin " in line]
    ended = [line.split()[2] for line in ledger.read_text().splitlines() if " end " in line]
    # The superstep that was killed began twice; those committed before it were not repeated.
    assert sorted(begun) == sorted([*STEPS, victim])
    assert ended == list(STEPS)


async def test_all_processes_gone_while_a_person_thinks(client: Client, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    task_queue = unique("queue")
    durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
    checkpoint = durable.checkpoint()
    async with worker_process(client, task_queue, ledger) as first:
        await durable.run([Order(item="pen"), Order(item="ink")], checkpoint=checkpoint)
        first.send_signal(signal.SIGKILL)
        await first.wait()
    # The answer comes while no worker is up.
    await client.get_workflow_handle(checkpoint.thread_id).signal(
        "respond", {"request_id": "approve-ink", "response": {"approved": True, "by": "ada"}}
    )
    async with worker_process(client, task_queue, ledger):
        result = await durable.run(responses={"approve-pen": Decision(approved=False)}, checkpoint=checkpoint)
        outputs = result.get_outputs()
        assert "pen refused by nobody, order 2" in outputs
