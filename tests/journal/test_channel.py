"""The journal on its way: what is acknowledged is there for the next attempt, however this one ends."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow, FileStorageDriver, RunCancelledError, sealing_data_converter
from temporalio.client import Client
from temporalio.converter import DataConverter, ExternalStorage

from tests.flows import LEDGER
from tests.journal._noting import ENDING, ENTRIES, PAUSE, SIZE, noting
from tests.support import unique, worker, worker_process

_FAST = timedelta(milliseconds=20)
_WORKFLOWS = ("tests.journal._noting:noting",)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(LEDGER, str(tmp_path / "ledger"))
    return tmp_path / "ledger"


def connected(client: Client, converter: DataConverter) -> Client:
    """Return a client of the same server with a data converter."""
    config = client.config()
    config["data_converter"] = converter
    return Client(**config)


def _made(ledger: Path) -> list[str]:
    return [line for line in ledger.read_text().splitlines() if "made" in line and "taken" not in line]


@pytest.mark.parametrize("pause", [0.0, 0.03, 0.1], ids=["at once", "fast", "slow"])
@pytest.mark.parametrize("streaming", [False, True], ids=["run", "stream"])
async def test_killed_after_its_last_entry(
    streaming: bool, pause: float, client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether or not the SDK beats on its own between two entries, or with the last."""
    monkeypatch.setenv(ENDING, "kill")
    monkeypatch.setenv(PAUSE, str(pause))
    task_queue = unique("queue")
    durable = DurableWorkflow(
        noting,
        client=client,
        task_queue=task_queue,
        heartbeat_timeout=timedelta(seconds=3),
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


@pytest.mark.parametrize("attempts", [2, 1], ids=["next attempt", "next run"])
async def test_failed_after_its_last_entry(
    attempts: int, client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure that is reported last carries the journal into the run that goes on from it."""
    monkeypatch.setenv(ENDING, "raise")
    async with worker(client, noting) as task_queue:
        durable = DurableWorkflow(
            noting, client=client, task_queue=task_queue, max_attempts=attempts, retry_initial_interval=_FAST
        )
        checkpoint = durable.checkpoint()
        if attempts == 1:
            with pytest.raises(OSError, match="not yet"):
                await durable.run("a", checkpoint=checkpoint)
            outputs = [
                event.data async for event in durable.run_stream(checkpoint=checkpoint) if event.type == "output"
            ]
        else:
            outputs = (await durable.run("a", checkpoint=checkpoint)).get_outputs()
    assert outputs == [f"taken {ENTRIES} made 0"]
    assert len(_made(ledger)) == ENTRIES


async def test_paused_after_its_last_entry(client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDING, "raise")
    async with worker(client, noting) as task_queue:
        durable = DurableWorkflow(noting, client=client, task_queue=task_queue, max_attempts=1, pause_on_failure=True)
        checkpoint = durable.checkpoint()
        with pytest.raises(OSError, match="not yet"):
            await durable.run("a", checkpoint=checkpoint)
        await durable.retry(checkpoint)
        outputs = [event.data async for event in durable.run_stream(checkpoint=checkpoint) if event.type == "output"]
    assert outputs == [f"taken {ENTRIES} made 0"]
    assert len(_made(ledger)) == ENTRIES


async def test_given_up_in_a_blocked_loop(client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last words are sent by the pacemaker's thread, and do not forget the journal."""
    monkeypatch.setenv(ENDING, "block")
    task_queue = unique("queue")
    durable = DurableWorkflow(
        noting,
        client=client,
        task_queue=task_queue,
        heartbeat_timeout=timedelta(seconds=1),
        superstep_timeout=timedelta(seconds=2),
        retry_initial_interval=_FAST,
    )
    async with worker_process(client, task_queue, ledger, workflows=_WORKFLOWS):
        running = asyncio.ensure_future(durable.run("a"))
        while not ledger.exists() or "taken" not in ledger.read_text():
            await asyncio.sleep(0.05)
        async with worker(client, noting, task_queue=task_queue):
            assert (await running).get_outputs() == [f"taken {ENTRIES} made 0"]
    assert len(_made(ledger)) == ENTRIES


async def test_cancelled_while_it_writes(client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancellation comes on the channel of the journal, and reaches the executor."""
    monkeypatch.setenv(ENDING, "hang")
    async with worker(client, noting) as task_queue:
        durable = DurableWorkflow(noting, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        running = asyncio.ensure_future(durable.run("a", checkpoint=checkpoint))
        while not ledger.exists() or "taken" not in ledger.read_text():
            await asyncio.sleep(0.05)
        await durable.cancel(checkpoint)
        with pytest.raises(RunCancelledError):
            await running
    assert "cancelled" in ledger.read_text()


async def test_without_a_journal(client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDING, "raise")
    async with worker(client, noting) as task_queue:
        durable = DurableWorkflow(noting, client=client, task_queue=task_queue, journal=False, max_attempts=1)
        with pytest.raises(AssertionError):  # The executor finds none.
            await durable.run("a")


@pytest.mark.parametrize("threshold", [None, 256 * 1024, 1_500_000])
async def test_more_than_a_heartbeat_holds(
    threshold: int | None,
    client: Client,
    ledger: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The oldest entries go to external storage; where there is none they are done again."""
    monkeypatch.setenv(ENDING, "raise")
    monkeypatch.setenv(SIZE, "200000")  # Each entry packs to half of that.
    if threshold is not None:
        storage = ExternalStorage(drivers=[FileStorageDriver(tmp_path)], payload_size_threshold=threshold)
        client = connected(client, dataclasses.replace(DataConverter.default, external_storage=storage))
    async with worker(client, noting) as task_queue:
        durable = DurableWorkflow(noting, client=client, task_queue=task_queue, retry_initial_interval=_FAST)
        running = asyncio.ensure_future(durable.run("a"))
        while not ledger.exists() or "taken" not in ledger.read_text():
            await asyncio.sleep(0.02)
        monkeypatch.delenv(ENDING)
        (output,) = (await running).get_outputs()
    taken = int(output.split()[1])
    if threshold is None:
        assert 4 <= taken < ENTRIES
        assert "no room for its oldest entries" in caplog.text
    else:
        assert taken == ENTRIES
    assert len(_made(ledger)) == 2 * ENTRIES - taken


async def test_sealed(client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal is sealed with the heartbeat, and with the failure, that it travels in."""
    monkeypatch.setenv(ENDING, "raise")
    sealed = connected(client, sealing_data_converter(keys={"k": bytes(range(32))}))
    async with worker(sealed, noting) as task_queue:
        durable = DurableWorkflow(noting, client=sealed, task_queue=task_queue, max_attempts=1)
        checkpoint = durable.checkpoint()
        with pytest.raises(OSError, match="not yet"):
            await durable.run("a", checkpoint=checkpoint)
        outputs = [event.data async for event in durable.run_stream(checkpoint=checkpoint) if event.type == "output"]
    assert outputs == [f"taken {ENTRIES} made 0"]
    run = client.get_workflow_handle(checkpoint.thread_id)
    assert b"agent-framework-journal" not in (await run.fetch_history()).to_json().encode()
