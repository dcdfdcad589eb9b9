"""Malformed signals against a run, as fast as the server takes them: it lives, and takes the answer that is good.

`make flood` sends 10,000 and 30,000 and says what it measured; the suite sends fewer.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework_temporal import Checkpoint, DurableWorkflow, DurableWorkflowError
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError

from tests.requests import _hostile
from tests.requests._flows import Question, Reply, asker
from tests.support import unique, worker_process

_SIGNALS = int(os.environ.get("FLOOD_SIGNALS", "600"))
_CONNECTIONS = 32 if _SIGNALS > 1_000 else 8
_AT_ONCE = 20
_ASKED_EVERY = 3
_ENDS = (
    "WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
    "WORKFLOW_EXECUTION_TERMINATED",
    "WORKFLOW_EXECUTION_COMPLETED",
    "WORKFLOW_EXECUTION_FAILED",
)
_MEGABYTE = 1024 * 1024
_BOUND = 300 * _MEGABYTE
"""The worker may grow by this, whether 600 signals come or 10,000: the event log's 4 MB, a cached workflow, and tasks
that bring several signals of 1.5 MB at once; under load more of them. Signals of 10,000 weigh 150 MB and more."""
_UNPACED_BOUND = 600 * _MEGABYTE
"""The server keeps up to 50 MB of a run, which a worker that replays it holds several times over, SDK included; as much
after 10,000 signals as after 30,000."""


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


class _Flood:
    """Sends signals over many connections, each as soon as the one before is answered."""

    def __init__(self, client: Client, thread_id: str, sentinel: Path) -> None:
        self._client = client
        self._thread_id = thread_id
        self._signals = itertools.islice(_hostile.signals(11, sentinel), _SIGNALS)
        self.sent = 0
        self.refused: Counter[str] = Counter()
        self.seconds = 0.0

    async def send(self) -> None:
        address = self._client.service_client.config.target_host
        connections = [await Client.connect(address) for _ in range(_CONNECTIONS)]
        began = time.monotonic()
        # The signals are one stream, from which every sender takes the next.
        await asyncio.gather(*(self._send_on(connection) for connection in connections for _ in range(4)))
        self.seconds = time.monotonic() - began

    async def _send_on(self, client: Client) -> None:
        handle = client.get_workflow_handle(self._thread_id)
        for name, arguments in self._signals:
            try:
                await handle.signal(name, args=arguments)
                self.sent += 1
            except RPCError as error:
                self.refused[f"{error.status.name}: {error.message[:40]}"] += 1


async def _runs(client: Client, thread_id: str) -> list[Counter[str]]:
    """Return the events of each run of a thread, by kind, with the causes of failed workflow tasks."""
    found: list[Counter[str]] = []
    async for execution in client.list_workflows(f"WorkflowId = '{thread_id}'"):
        kinds: Counter[str] = Counter()
        handle: WorkflowHandle[object, object] = client.get_workflow_handle(thread_id, run_id=execution.run_id)
        async for event in handle.fetch_history_events():
            kinds[EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")] += 1
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                failed = event.workflow_task_failed_event_attributes
                cause = WorkflowTaskFailedCause.Name(failed.cause).removeprefix("WORKFLOW_TASK_FAILED_CAUSE_")
                kinds[f"{cause} {failed.failure.message[:60]}".strip()] += 1
        found.append(kinds)
    return found


async def _taken(durable: DurableWorkflow, checkpoint: Checkpoint, request_id: str) -> list[Any]:
    """Answer as a person does: again when the run was ended under the answer, or no worker got to it in time."""
    while True:
        try:
            result = await durable.run(responses={request_id: Reply(amount=2)}, checkpoint=checkpoint)
            return result.get_outputs()
        except (DurableWorkflowError, ValueError) as error:
            if "already answered" in str(error):  # Others to the same request wait before it; they are refused soon.
                await asyncio.sleep(0.5)
            await asyncio.sleep(0.5)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.timeout(1_800 if _SIGNALS > 1_000 else 180)
@pytest.mark.parametrize("running", [False, True], ids=["waiting", "running"])
async def test_unpaced_flood(running: bool, client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task_queue, thread_id, sentinel = unique("queue"), unique("flooded"), tmp_path / "executed"
    delay = 5.0 if running else 0.0
    workflows = ["tests.requests._flows:asker"]
    async with worker_process(client, task_queue, tmp_path / "ledger", delay, workflows=workflows) as process:
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue, worker_timeout=timedelta(seconds=60))
        checkpoint = durable.checkpoint(thread_id)
        await durable.run(Question(text="how many", count=2), checkpoint=checkpoint)
        before = _resident(process.pid)
        if running:
            answer = {"request_id": "q1", "response": {"amount": 4}}
            await client.get_workflow_handle(thread_id).execute_update("respond", answer)
        flood = _Flood(client, thread_id, sentinel)
        await flood.send()
        over = time.monotonic()
        assert await _taken(durable, durable.checkpoint(thread_id), "q0") == ["how many: 2"]
        took = time.monotonic() - over
        async with asyncio.timeout(120):
            # What was asked before the flood is answered, or waits; whatever the flood said does not count.
            while (state := (await client.get_workflow_handle(thread_id).query("status"))["state"]) == "running":
                await asyncio.sleep(0.2)
        assert state in ("waiting", "idle")
        after = _resident(process.pid)
        assert process.returncode is None
        assert not sentinel.exists()
        assert after - before < _UNPACED_BOUND
    if "FLOOD_SIGNALS" in os.environ:
        runs = await _runs(client, thread_id)
        ends = Counter(kind for run in runs for kind in _ENDS if kind in run)
        failed = sum((Counter({key: n for key, n in run.items() if not key.isupper()}) for run in runs), Counter())
        figures = [
            f"{flood.sent:,} unpaced signals in {flood.seconds:.1f} s over {_CONNECTIONS} connections",
            f"the run was {'running' if running else 'waiting'}",
            f"the server refused {dict(flood.refused)}",
            f"{len(runs)} runs, {dict(ends)}",
            f"failed workflow tasks {dict(failed)}",
            f"a good answer after it was taken in {took:.1f} s",
            f"the worker's memory {before / _MEGABYTE:.0f} MB before, {after / _MEGABYTE:.0f} MB after",
        ]
        with capsys.disabled():
            print("\n" + "; ".join(figures))
