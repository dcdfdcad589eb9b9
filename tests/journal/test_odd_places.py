"""Workers that are killed, and executors that fail, in odd places: the run is as if nothing had happened."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage, Workflow
from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.adapter.client.event_position import without_void
from agent_framework_temporal.testing.canonical import Canonical
from temporalio.client import Client

from tests.flows import Order
from tests.journal import _breaking as flows
from tests.support import unique, worker, worker_process

Build = Callable[[], Workflow]
_PEN = Order(item="pen")


async def _seen(durable: DurableWorkflow, message: Any, *, streaming: bool) -> tuple[Any, Any]:
    """Run a workflow; returns its events and its last checkpoint, to be compared."""
    thread = durable.checkpoint(unique("thread"))
    if streaming:
        stream = durable.run_stream(message, checkpoint=thread)
        events = without_void([event async for event in stream])
    else:
        events = list(await durable.run(message, checkpoint=thread))
    storage = InMemoryCheckpointStorage()
    await durable.copy_checkpoints(storage, thread)
    last = await storage.get_latest(workflow_name=durable.name)
    assert last is not None
    canonical = Canonical()
    events.sort(key=lambda event: (event.executor_id or "", event.type == "output"))
    return canonical.events(events), canonical.checkpoints([last])


@pytest.mark.parametrize(("how", "streaming"), [("kill", False), ("fail", True)])
@pytest.mark.parametrize(
    ("build", "message", "where"),
    [
        (flows.beside_a_question, _PEN, "c.pen"),
        (flows.two_sources, _PEN, "b.pen"),
        (flows.two_sources, _PEN, "x.penb"),
        (flows.two_sources, _PEN, "y.penb"),
        (flows.switch, _PEN, "cheap.pena"),
        (flows.switch, _PEN, "beside.pena"),
        (flows.switch, Order(item="pencil", price=20), "dear.pencila"),
        (flows.selection, _PEN, "d.pena"),
        (flows.inner_steps, _PEN, "c.penab"),
        (flows.inner_steps, _PEN, "beside.pen"),
        (flows.fan_in_sub, _PEN, "b.pen"),
        (flows.once_in_executor, _PEN, "third"),
        (flows.once_in_sub_workflow, _PEN, "third"),
        (flows.once_in_tool, "go", "third"),
        (flows.shared_session, "pen", "charge.pen-1"),
        (flows.shared_session, "pen", "charge.second"),
        (flows.shared_beside, "pen", "charge.pen-1"),
        (flows.agent_in_sub_workflow, "pen", "charge.pen-1"),
    ],
)
async def test_only_what_had_not_ended_is_done_again(
    build: Build,
    message: Any,
    where: str,
    how: str,
    streaming: bool,
    client: Client,
    ledger: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if how == "fail" and ("once_in_tool" in build.__name__ or "charge" in where):
        pytest.skip("The model is told of a tool that fails; that is an end.")
    queue = unique("queue")
    async with worker(client, build, task_queue=queue):
        durable = DurableWorkflow(build, client=client, task_queue=queue, **flows.FAST)
        expected = await _seen(durable, message, streaming=streaming)
    made = flows.counts(ledger, "end")
    ledger.write_text("")
    monkeypatch.setenv(flows.STOPS, f"{where}={how}")
    queue = unique("queue")
    durable = DurableWorkflow(build, client=client, task_queue=queue, **flows.FAST)
    name = f"tests.journal._breaking:{build.__name__}"
    if how == "fail":
        async with worker(client, build, task_queue=queue):
            found = await _seen(durable, message, streaming=streaming)
    else:
        async with worker_process(client, queue, ledger, workflows=[name]) as first:
            running = asyncio.ensure_future(_seen(durable, message, streaming=streaming))
            gone = asyncio.ensure_future(first.wait())
            await asyncio.wait([gone, running], return_when=asyncio.FIRST_COMPLETED)
            assert gone.done(), await running
            async with worker(client, build, task_queue=queue):
                found = await running
    assert flows.counts(ledger, "end") == made
    assert flows.counts(ledger, "begin") == made + Counter([where])
    assert found[0] == expected[0]
    assert found[1] == expected[1]


@pytest.mark.parametrize("build", [flows.raises_on_save, flows.unencodable])
@pytest.mark.parametrize("where", ["a.pen", "c.pen", "bad.pen"])
async def test_a_state_that_cannot_be_kept_is_told_as_without_a_journal(
    build: Build, where: str, client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Exception] = []
    for stops in ("", f"{where}=fail"):
        monkeypatch.setenv(flows.STOPS, stops)
        async with worker(client, build) as queue:
            durable = DurableWorkflow(build, client=client, task_queue=queue, **flows.FAST)
            with pytest.raises(Exception) as raised:
                await durable.run(_PEN)
        found.append(raised.value)
    assert (type(found[1]), str(found[1])) == (type(found[0]), str(found[0]))


async def test_what_was_acknowledged_is_there_after_a_kill_under_load(client: Client, ledger: Path) -> None:
    queue = unique("queue")
    durable = DurableWorkflow(flows.many, client=client, task_queue=queue, **flows.FAST)
    busy = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
    try:
        async with worker_process(client, queue, ledger, workflows=["tests.journal._breaking:many"]) as first:
            orders = [Order(item=f"run-{number}", price=60) for number in range(20)]
            runs = [asyncio.ensure_future(durable.run(order, checkpoint=durable.checkpoint())) for order in orders]
            while not all(flows.counts(ledger, "acknowledged")[f"{order.item}.2"] for order in orders):
                await asyncio.sleep(0.01)
            first.kill()
            await first.wait()
        acknowledged = flows.counts(ledger, "acknowledged")
        async with worker(client, flows.many, task_queue=queue):
            await asyncio.gather(*runs)
    finally:
        busy.kill()
        await busy.wait()
    begun = flows.counts(ledger, "begin")
    assert len({name.rpartition(".")[0] for name in acknowledged}) == 20
    assert not [name for name in acknowledged if begun[name] != 1]
    assert len(begun) == 20 * 60
    assert not [name for name, count in begun.items() if count > 2]
