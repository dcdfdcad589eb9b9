"""Heartbeats of a worker without a key: nobody believes them, and they cost no attempt."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.adapter.checkpoints.history import of_superstep
from agent_framework_temporal.workflows.messages import SUPERSTEP_ACTIVITY, LiveWindow, LoggedEvent
from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.worker import Worker

from tests.flows import LEDGER, echo
from tests.sealing._rogue import connect, plain
from tests.support import unique, worker

_WINDOW = LiveWindow(
    attempt=1, offset=0, failures=50, events=[LoggedEvent(offset=0, type="output", executor_id="echo", data="pay me")]
)


async def _payload(kind: str, client: Client, sealing: Client, thread_id: str) -> Payload:
    if kind == "unsealed":
        return plain(_WINDOW)
    if kind == "garbage":
        return Payload(metadata={"encoding": b"binary/encrypted", "encryption-key-id": b"k1"}, data=b"\x00" * 40)
    owner, thread = sealing, unique("other")
    if kind == "stranger's":
        owner, thread = await connect(client, k9=b"9" * 32), thread_id
    converter = owner.data_converter.with_context(of_superstep(owner, thread))
    (payload,) = await converter.encode([_WINDOW])
    return payload


@pytest.mark.parametrize("kind", ["unsealed", "garbage", "stranger's", "another thread's"])
async def test_heartbeat_of_a_rogue(
    kind: str, client: Client, sealing: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger"
    monkeypatch.setenv(LEDGER, str(ledger))
    queue = unique("queue")
    durable = DurableWorkflow(echo, client=sealing, task_queue=queue, max_attempts=2)
    checkpoint = durable.checkpoint()
    payload = await _payload(kind, client, sealing, checkpoint.thread_id)
    told = asyncio.Event()

    @activity.defn(name=SUPERSTEP_ACTIVITY)
    async def rogue(given: RawValue) -> None:
        activity.heartbeat(RawValue(payload))
        await asyncio.sleep(1.5)  # For as long as a reader looks at it.
        told.set()
        raise ValueError("again")

    async with worker(sealing, echo, task_queue=queue, no_remote_activities=True):
        async with Worker(client, task_queue=queue, activities=[rogue], max_concurrent_activities=1):
            events = durable.run_stream("fail", checkpoint=checkpoint)
            found: list[object] = []

            async def read() -> None:
                async for event in events:
                    found.append(event.data)

            reading = asyncio.ensure_future(read())
            await asyncio.wait_for(told.wait(), 50)
        async with worker(await connect(client), echo, task_queue=queue):
            with pytest.raises(ValueError, match="told to fail"):
                await reading
    assert "pay me" not in found
    # As often as it is to be tried, whatever a heartbeat has said.
    assert len([line for line in ledger.read_text().splitlines() if "fail" in line]) == 2
