"""What every benchmark needs: a server, worker processes, finished runs and their histories."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Unpack

from agent_framework_temporal import DurableWorkflow, OptionArguments, start_dev_server
from agent_framework_temporal.adapter.checkpoints.history import superstep_outcome
from agent_framework_temporal.adapter.temporal.client import framed_client
from agent_framework_temporal.workflows.messages import SuperstepResult
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from ._bare import BareWorkflow, NaiveWorkflow
from ._flows import carry, keep, speak
from ._worker import READY

FRAME_METADATA = "agent-framework-frame"
_FLOWS = {"keep": keep, "carry": carry, "speak": speak}
SIZES = {"10 B": 10, "100 KB": 100_000, "1 MB": 1_000_000}
"""Sizes of state that are measured; 1 MB is a million, as of all sizes here."""


@dataclass
class Run:
    """A finished run of a thread: its history, over all its Temporal runs."""

    thread_id: str
    events: list[HistoryEvent] = field(default_factory=list)
    results: list[SuperstepResult] = field(default_factory=list)
    run_ids: list[str] = field(default_factory=list)
    """The Temporal run of each result."""

    @property
    def history_bytes(self) -> int:
        """Bytes of all events as the server stores them."""
        return sum(event.ByteSize() for event in self.events)

    def seconds_per_step(self) -> list[float]:
        """Return the time between the ends of successive activities: all that a step costs, whoever causes it.

        Not the first steps, which set up what later ones find.
        """
        ended = [
            event.event_time.ToNanoseconds() / 1e9
            for event in self.events
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
        ]
        return [after - before for before, after in pairwise(ended[1:])]


class Bench:
    """A dev server and a client of it.

    Args:
        client: The client.
        quick: Whether to do the least that still shows something.
    """

    def __init__(self, client: Client, *, quick: bool) -> None:
        self.client = framed_client(client)
        self.quick = quick
        self.processes: dict[str, int] = {}
        """Process ids of the workers, by task queue; of several on one queue the last."""
        self.started: list[int] = []
        """Process ids of all workers that were started, in this order."""
        self._stack = AsyncExitStack()
        self._shared = ""

    @classmethod
    @asynccontextmanager
    async def start(cls, *, quick: bool, limited: bool = False, arguments: Sequence[str] = ()) -> AsyncIterator[Bench]:
        """Start a server, and stop it in the end.

        Args:
            quick: See above.
            limited: Whether the server has the limit that Temporal has when it is not configured: it looks 20 times a
                second for what is to be dispatched, so that a workflow's steps soon take 50 ms, whatever is in them.
            arguments: More of them for the server.
        """
        settings = ["limit.historyCount.suggestContinueAsNew=40000"]  # For the long chains of patches.
        settings += ["history.transferProcessorMaxPollRPS=20"] if limited else []
        configured = [word for setting in settings for word in ("--dynamic-config-value", setting)]
        async with await start_dev_server(extra_args=[*configured, *arguments]) as server:
            bench = cls(await server.connect(), quick=quick)
            async with bench._stack:
                yield bench

    @asynccontextmanager
    async def worker(self, *options: str, queue: str | None = None) -> AsyncIterator[str]:
        """Run a worker process; yields its task queue, a new one if none is named.

        To be quick, one does for all that want neither options nor a queue of their own.
        """
        if not self.quick or options or queue is not None:
            async with self._worker(*options, queue=queue) as taken:
                yield taken
        else:
            self._shared = self._shared or await self._stack.enter_async_context(self._worker())
            yield self._shared

    @asynccontextmanager
    async def _worker(self, *options: str, queue: str | None = None) -> AsyncIterator[str]:
        queue = queue or f"bench-{uuid.uuid4().hex[:8]}"
        address = self.client.service_client.config.target_host
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks._worker", address, queue, *options),
            cwd=Path(__file__).parents[1],
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            line = await process.stdout.readline()
            if line.decode().strip() != READY:
                raise RuntimeError("The measured worker did not start; see its error above.")
            self.processes[queue] = process.pid
            self.started.append(process.pid)
            yield queue
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    @asynccontextmanager
    async def workers(self, *options: Sequence[str]) -> AsyncIterator[list[str]]:
        """Run several worker processes, which share nothing; yields their task queues."""
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self._worker(*each)) for each in options]

    async def bare(self, queue: str, steps: int) -> Run:
        """Run activities that do nothing."""
        thread_id = f"bare-{uuid.uuid4().hex}"
        await self.client.execute_workflow(BareWorkflow.run, steps, id=thread_id, task_queue=queue)
        return await self.finished(thread_id)

    async def naive(self, queue: str, steps: int, size: int) -> Run:
        """Run supersteps that pass their whole state."""
        thread_id = f"naive-{uuid.uuid4().hex}"
        await self.client.execute_workflow(NaiveWorkflow.run, args=[steps, size], id=thread_id, task_queue=queue)
        return await self.finished(thread_id)

    async def durable(self, queue: str, name: str, message: Any, **options: Unpack[OptionArguments]) -> Run:
        """Run a framework workflow, and wait for its end as for the others: nobody follows its events meanwhile."""
        durable = DurableWorkflow(_FLOWS[name], client=self.client, task_queue=queue, **options)
        handle = durable.checkpoint()
        stream = durable.run_stream(message, checkpoint=handle)
        async for _ in stream:
            break  # It is started; leaving the stream does not stop it.
        await self.client.get_workflow_handle(handle.thread_id).result()
        return await self.finished(handle.thread_id)

    async def finished(self, thread_id: str) -> Run:
        """Return a finished run of a thread."""
        run = Run(thread_id)
        first = await self.client.get_workflow_handle(thread_id).describe()
        run_id: str | None = first.raw_description.workflow_execution_info.first_run_id or first.run_id
        while run_id:
            current, run_id = run_id, None
            async for event in self.client.get_workflow_handle(thread_id, run_id=current).fetch_history_events():
                run.events.append(event)
                result = await self._result(event)
                if result is not None:
                    run.results.append(result)
                    run.run_ids.append(current)
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
                    run_id = event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
        return run

    async def _result(self, event: HistoryEvent) -> SuperstepResult | None:
        payloads = event.activity_task_completed_event_attributes.result.payloads
        if not payloads or FRAME_METADATA not in payloads[0].metadata:
            return None
        outcome = await superstep_outcome(self.client, event)
        return outcome if isinstance(outcome, SuperstepResult) else None


def resident(process: int, *, peak: bool = False) -> int:
    """Return the memory of a process in bytes, now or at most so far; 0 where the system does not tell."""
    status, name = Path(f"/proc/{process}/status"), "VmHWM:" if peak else "VmRSS:"
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def milliseconds(seconds: Sequence[float]) -> float:
    """Return the median in milliseconds."""
    return round(median(seconds) * 1_000, 2)
