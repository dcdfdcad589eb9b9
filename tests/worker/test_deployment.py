"""Worker deployment versions: two real workers of different builds, and runs that are under way meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from agent_framework_temporal import Checkpoint, DurableWorkflow
from agent_framework_temporal.activities.deployment import takes_over
from agent_framework_temporal.adapter.framework.definition import define
from temporalio.client import Client

from tests.flows import HOLD, STEPS, Decision, Order, chain, shop
from tests.support import make_current, unique, worker_process


@asynccontextmanager
async def _version(
    client: Client, deployment: str, build_id: str, ledger: Path, workflows: list[str], delay: float = 0.6
) -> AsyncIterator[int]:
    """Run a worker of one build, make it current when it has told its graphs, and yield its process id."""
    flags = ("--deployment", deployment, "--build-id", build_id)
    async with worker_process(client, deployment, ledger, delay, workflows, flags) as process:
        await make_current(client, deployment, build_id)
        yield process.pid


def _who(ledger: Path) -> list[tuple[str, int]]:
    """Return which process has ended which step."""
    lines = [line.split() for line in ledger.read_text().splitlines()] if ledger.exists() else []
    return [(line[2], int(line[0])) for line in lines if line[1] == "end"]


async def _begin(client: Client, task_queue: str, ledger: Path) -> tuple[DurableWorkflow, Checkpoint]:
    durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
    checkpoint = durable.checkpoint()
    async for event in durable.run_stream("a", checkpoint=checkpoint):
        if event.type == "superstep_completed":
            break
    return durable, checkpoint


@pytest.fixture
def current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file that the second step of the chain waits for."""
    monkeypatch.setenv(HOLD, str(tmp_path / "current"))
    return tmp_path / "current"


async def test_run_moves_to_a_version_with_the_same_graph(client: Client, tmp_path: Path, current: Path) -> None:
    ledger, deployment = tmp_path / "ledger", unique("deployment")
    async with _version(client, deployment, "1", ledger, ["tests.flows:chain"], delay=1.5) as old:
        durable, checkpoint = await _begin(client, deployment, ledger)
        async with _version(client, deployment, "2", ledger, ["tests.flows:chain"]) as new:
            current.touch()
            result = await durable.run(checkpoint=checkpoint)
    assert result.get_outputs() == ["a>first>second>third done"]
    who = _who(ledger)
    assert [step for step, _ in who] == list(STEPS)
    assert who[0][1] == old
    assert who[-1][1] == new


async def test_run_stays_where_the_graph_is_another(client: Client, tmp_path: Path, current: Path) -> None:
    ledger, deployment = tmp_path / "ledger", unique("deployment")
    async with _version(client, deployment, "1", ledger, ["tests.flows:chain"], delay=1.0) as old:
        durable, checkpoint = await _begin(client, deployment, ledger)
        async with _version(client, deployment, "2", ledger, ["tests.worker.upgraded:chain"]) as new:
            current.touch()
            hosted = await define(chain)
            assert not await takes_over(client, deployment, "chain", hosted.graph_hash)
            result = await durable.run(checkpoint=checkpoint)
            assert result.get_outputs() == ["a>first>second>third done"]
            assert {pid for _, pid in _who(ledger)} == {old}
            # A run that begins now begins on the new version.
            begun = await DurableWorkflow("chain", client=client, task_queue=deployment).run("b")
            assert begun.get_outputs() == ["b>first>second done"]
            assert _who(ledger)[-1] == ("fourth", new)


async def test_run_that_waits_moves_when_it_is_answered(client: Client, tmp_path: Path) -> None:
    ledger, deployment = tmp_path / "ledger", unique("deployment")
    durable = DurableWorkflow(shop, client=client, task_queue=deployment)
    checkpoint = durable.checkpoint()
    async with _version(client, deployment, "1", ledger, ["tests.flows:shop"]):
        orders = [Order(item=str(number)) for number in range(40)]
        await durable.run(orders, checkpoint=checkpoint)
        async with _version(client, deployment, "2", ledger, ["tests.flows:shop"]):
            run = client.get_workflow_handle(checkpoint.thread_id)
            for order in orders:  # The server's queues hear of the new version a little later.
                answer = {f"approve-{order.item}": Decision(approved=True)}
                result = await durable.run(responses=answer, checkpoint=checkpoint)
                assert result.get_outputs() == [f"{order.item} approved by nobody, order 40"]
                information = (await run.describe()).raw_description.workflow_execution_info.versioning_info
                if information.deployment_version.build_id == "2":
                    break
                await asyncio.sleep(0.2)
            else:
                pytest.fail("The run stayed on the old version.")


async def test_flags_go_together(client: Client, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        async with worker_process(client, "queue", tmp_path, flags=["--deployment", "alone"]):
            pass
