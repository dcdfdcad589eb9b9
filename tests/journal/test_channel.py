"""The journal on its way: what is acknowledged is there for the next attempt, however this one ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client

from tests.flows import LEDGER
from tests.journal._noting import ENDING, ENTRIES, noting
from tests.support import unique, worker, worker_process

_FAST = timedelta(milliseconds=20)
_WORKFLOWS = ("tests.journal._noting:noting",)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(LEDGER, str(tmp_path / "ledger"))
    return tmp_path / "ledger"


def _made(ledger: Path) -> list[str]:
    return [line for line in ledger.read_text().splitlines() if "made" in line and "taken" not in line]


@pytest.mark.parametrize("streaming", [False, True], ids=["run", "stream"])
async def test_killed_after_its_last_entry(
    streaming: bool, client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENDING, "kill")
    task_queue = unique("queue")
    durable = DurableWorkflow(
        noting,
        client=client,
        task_queue=task_queue,
        heartbeat_timeout=timedelta(seconds=1),
        retry_initial_interval=_FAST,
    )

    async def ask() -> list[object]:
        if not streaming:
            return (await durable.run("a")).get_outputs()
        return [event.data async for event in durable.run_stream("a") if event.type == "output"]

    async with worker_process(client, task_queue, ledger, workflows=_WORKFLOWS) as first:
        running = asyncio.ensure_future(ask())
        await first.wait()
        async with worker(client, noting, task_queue=task_queue):
            assert await running == [f"taken {ENTRIES} made 0"]
    assert len(_made(ledger)) == ENTRIES
