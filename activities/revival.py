"""Runs that the server has ended under a flood of signals are begun again from their last checkpoint.

The server ends a run whose history outgrows its limit (50 MB, 51,200 events). While signals come in as fast as it takes
them it dispatches no workflow task of the run, and takes no continue-as-new: nothing that a workflow does can help. So
workers look for such runs, and begin the thread's next one in their place, as `run_stream(checkpoint=...)` would. What
had been sent to the run and was not delivered yet is lost with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from ..adapter.checkpoints.history import last_commit, start_input
from ..adapter.checkpoints.thread import MEMO_REVIVED, closed_run
from ..adapter.framework.definition import WorkflowDefinition
from ..adapter.framework.static_details import static_details
from ..adapter.lru import BoundedCache
from ..adapter.temporal.labels import labels_of, start_labels
from ..adapter.temporal.server import RunDescription, describe_run
from ..workflows.messages import WORKFLOW_TYPE, RunInput

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
LIMITS = ("Workflow history size exceeds limit", "Workflow history count exceeds limit")
"""How the reasons begin that the server gives."""
LOOK_EVERY = 20.0
"""Seconds between two looks."""
LOOK_EVERY_IN_FLOOD = 1.0
FLOOD_LASTS = 60.0
"""Seconds a worker looks more often after it has seen many signals at once."""
LOOK_BACK = timedelta(minutes=10)
MAX_LOOKED_AT = 100
"""Runs of one look; anybody may terminate as many as there are."""
MAX_KNOWN = 10_000
MAX_REVIVED = 20
"""Earlier chains of runs that a revived one names, so that callers who know one of them find it."""


class Revival:
    """Looks for runs to revive: one list of the server every 20 seconds, and every second after many signals at once.

    Args:
        hosted: Hosted workflows by name.
    """

    def __init__(self, hosted: Mapping[str, WorkflowDefinition]) -> None:
        self._hosted = hosted
        self._known: BoundedCache[str, bool] = BoundedCache(MAX_KNOWN)
        """Runs that were looked at."""
        self._flooded_at = -math.inf
        self._wake: Callable[[], object] | None = None

    def notice(self) -> None:
        """Note that a run was sent many signals at once; called in the threads that workflow tasks run in."""
        self._flooded_at = time.monotonic()
        if self._wake is not None:
            self._wake()

    async def run(self, client: Client, task_queue: str) -> None:
        """Look until cancelled.

        Args:
            client: The worker's.
            task_queue: The worker's; only its runs are looked for.
        """
        noticed, loop = asyncio.Event(), asyncio.get_running_loop()
        self._wake = functools.partial(loop.call_soon_threadsafe, noticed.set)
        while True:
            try:
                await self._look(client, task_queue)
            except RPCError as error:
                _LOGGER.info("Cannot look for flooded runs on task queue %r: %s", task_queue, error)
            if time.monotonic() - self._flooded_at < FLOOD_LASTS:
                await asyncio.sleep(LOOK_EVERY_IN_FLOOD)
                continue
            noticed.clear()
            with contextlib.suppress(TimeoutError):
                # Workers that began together need not ask together.
                await asyncio.wait_for(noticed.wait(), LOOK_EVERY * random.uniform(0.75, 1.25))  # noqa: S311

    async def _look(self, client: Client, task_queue: str) -> None:
        since = (datetime.now(UTC) - LOOK_BACK).isoformat()
        queue = task_queue.replace("\\", "\\\\").replace("'", "\\'")
        ended = client.list_workflows(
            f"WorkflowType = '{WORKFLOW_TYPE}' AND ExecutionStatus = 'Terminated' AND TaskQueue = '{queue}' "
            f"AND CloseTime > '{since}'",
            limit=MAX_LOOKED_AT,
        )
        async for execution in ended:
            if execution.run_id in self._known:
                continue
            try:
                await self._look_at(client, execution.id, execution.run_id)
            except RPCError:
                raise  # It is looked at again.
            except Exception as error:  # Anybody may have started it, with anything.
                _LOGGER.warning("Thread %r, which the server has ended, cannot be restarted: %s", execution.id, error)
            self._known.put(execution.run_id, True)

    async def _look_at(self, client: Client, thread_id: str, run_id: str) -> None:
        closed = await closed_run(client, thread_id, run_id)
        if closed.state != "terminated" or not closed.message.startswith(LIMITS):
            return
        latest = await describe_run(client, thread_id)
        if latest.run_id == run_id:  # Else somebody has gone on with the thread.
            await self._revive(client, latest, closed.message)

    async def _revive(self, client: Client, ended: RunDescription, reason: str) -> None:
        thread_id = ended.info.execution.workflow_id
        run_input = await _go_on(client, thread_id, ended.run_id)
        if run_input is None:
            return
        name = run_input.workflow_name
        before = [*(await ended.memo(MEMO_REVIVED) or ()), ended.info.first_run_id][-MAX_REVIVED:]
        labels, shows = await labels_of(client, ended.info), run_input.options.search_attributes
        memo, attributes = start_labels(name, thread_id, labels, shows=shows)
        try:
            run = await client.start_workflow(
                WORKFLOW_TYPE,
                run_input,
                id=thread_id,
                task_queue=ended.info.task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                memo={**memo, MEMO_REVIVED: before},
                static_summary=name,
                static_details=static_details(self._hosted.get(name)),
                search_attributes=attributes,
            )
        except WorkflowAlreadyStartedError:
            return
        _LOGGER.warning(
            "The server has ended run %r of thread %r (%s), which was flooded with signals. It continues from its "
            "last checkpoint in run %r. What was sent but not yet delivered is lost. To prevent this, lower the "
            "namespace's rate limit, or let fewer clients send signals.",
            ended.run_id,
            thread_id,
            reason.rstrip("."),
            run.first_execution_run_id,
        )


async def _go_on(client: Client, thread_id: str, run_id: str) -> RunInput | None:
    """Return what the next run is started with: to go on from the last checkpoint, or the same once more."""
    run_input = await start_input(client, thread_id, run_id)
    commit = await last_commit(client, thread_id, run_id)
    committed = commit.checkpoint is not None and commit.checkpoint.run_id == run_id
    if not committed and run_input.continued is None:
        return run_input  # Its message or responses were not taken yet.
    if commit.checkpoint is None:
        return None
    return RunInput(
        workflow_name=run_input.workflow_name,
        mode="resume",
        base=commit.checkpoint,
        graph_hash=commit.graph_hash,
        streaming=run_input.streaming,
        next_offset=commit.next_offset,
        options=run_input.options,
    )
