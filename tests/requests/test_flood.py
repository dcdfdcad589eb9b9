"""Malformed signals against a run that waits: it stays up, in bounded memory, and takes the answer that is good.

`make flood` sends 10,000 and says what it measured; the suite sends fewer.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

from tests.requests import _hostile
from tests.requests._flows import Question, Reply, asker
from tests.support import unique, worker_process

_SIGNALS = int(os.environ.get("FLOOD_SIGNALS", "600"))
_AT_ONCE = 20
_ASKED_EVERY = 3
_MEGABYTE = 1024 * 1024
_BOUND = 300 * _MEGABYTE
"""The worker may grow by this, whether 600 signals come or 10,000: the event log's 4 MB, a cached workflow, and tasks
that bring several signals of 1.5 MB at once; under load more of them. Signals of 10,000 weigh 150 MB and more."""


def _resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


async def _history(client: Client, thread_id: str, run_id: str) -> tuple[int, int, int]:
    """Return the number of runs, events, and failed workflow tasks of a thread, from its first run on."""
    runs = events = failed = 0
    while run_id:
        runs += 1
        handle: WorkflowHandle[object, object] = client.get_workflow_handle(thread_id, run_id=run_id)
        run_id = ""
        async for event in handle.fetch_history_events():
            events += 1
            failed += event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
                run_id = event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return runs, events, failed


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.timeout(1_800 if _SIGNALS > 1_000 else 120)
async def test_flood(client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentinel = tmp_path / "executed"
    task_queue, thread_id = unique("queue"), unique("flooded")
    async with worker_process(client, task_queue, workflows=["tests.requests._flows:asker"]) as process:
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint(thread_id)
        await durable.run(Question(text="how many", count=2), checkpoint=checkpoint)
        handle = client.get_workflow_handle(thread_id)
        first_run = checkpoint.run_id or ""
        before, began, most = _resident(process.pid), time.monotonic(), 0

        async def send(name: str, arguments: list[object]) -> None:
            nonlocal most
            await handle.signal(name, args=arguments)
            most = max(most, _resident(process.pid))

        flood = itertools.islice(_hostile.signals(7, sentinel), _SIGNALS)
        # Faster than the worker can look at them, the server would end the run when its history has 50 MB, whatever the
        # worker does. Here it is asked between them, and answers each time.
        for number in itertools.count(1):
            batch = list(itertools.islice(flood, _AT_ONCE))
            if not batch:
                break
            await asyncio.gather(*(send(name, arguments) for name, arguments in batch))
            if number % _ASKED_EVERY == 0:
                assert len(await durable.pending_requests(checkpoint)) == 2
        sent = time.monotonic() - began

        pending = await durable.pending_requests(checkpoint)
        assert [request.request_id for request in pending] == ["q0", "q1"]
        assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
        # Whatever waits behind the flood is refused before this one is taken.
        receipt = await handle.execute_update("respond", {"request_id": "q1", "response": {"amount": 4}})
        assert receipt["queued"] == ["q1"]
        while len(await durable.pending_requests(checkpoint)) > 1:
            await asyncio.sleep(0.1)
        result = await durable.run(responses={"q0": Reply(amount=2)}, checkpoint=checkpoint)
        assert result.get_outputs() == ["how many: 2"]
        took = time.monotonic() - began
        after = _resident(process.pid)
        assert process.returncode is None
        assert not sentinel.exists()
        assert max(most, after) - before < _BOUND
        runs, events, failed = await _history(client, thread_id, first_run)
        if _SIGNALS > 5_000:
            assert runs > 1
    if "FLOOD_SIGNALS" in os.environ:
        sizes = [f"{size / _MEGABYTE:.0f}" for size in (before, most, after)]
        with capsys.disabled():
            print(
                f"\n{_SIGNALS:,} malformed signals sent in {sent:.1f} s, all done after {took:.1f} s; {runs} runs, "
                f"{events:,} history events, {failed} failed workflow tasks; the worker's memory {sizes[0]} MB before, "
                f"{sizes[1]} MB at most, {sizes[2]} MB after"
            )
