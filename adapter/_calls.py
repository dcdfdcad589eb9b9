"""One call of the facade: where the thread stands, what to start or signal, and which events are the call's."""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_framework import CheckpointStorage, WorkflowEvent
from temporalio.client import Client, ScheduleHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from ..workflows._attributes import first_attributes
from ..workflows._messages import CANCEL_SIGNAL, RESPOND_SIGNAL, WORKFLOW_TYPE, RespondSignal, RunInput, Value
from ._arguments import cancel_signal, encode_cancellation, encode_message, encode_responses, unwrap_message
from ._checkpoint import Checkpoint
from ._client import SignalLimitError, rpc_errors
from ._errors import (
    AlreadyRunningError,
    CheckpointNotFoundError,
    PayloadError,
    ThreadExistsError,
    ThreadNotFoundError,
)
from ._executor_policy import check_executors
from ._follower import RunFollower
from ._history import runs_after
from ._hosting import HostedWorkflow
from ._input_size import check_input
from ._lineage import CheckpointInfo, Locator, thread_infos
from ._live_reader import LiveReader
from ._options import DurableOptions
from ._outcome import NO_PENDING, CallReader
from ._queries import ThreadQueries
from ._schedule import create_schedule
from ._search_attributes import use_search_attributes
from ._seed import begin_from_history, seed_from_storage
from ._steps import StepDecoder
from ._thread import MEMO_WORKFLOW_NAME, ThreadTip, latest_run_id, read_tip
from ._web_ui import static_details

_LOOK_AGAIN = 0.5
_IN_FLIGHT = (
    "Cannot start a new run with 'message' while in-flight executor messages remain from a prior run. Resume from a "
    "checkpoint (checkpoint_id=...) or wait for the prior run to complete. Workflows that need to recover from a "
    "mid-run failure must use checkpointing; there is no in-process recovery path."
)
"""The framework's words. Here `run_stream(checkpoint=...)` is what resumes."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a caller gave, validated."""

    message: Any
    responses: Mapping[str, Any] | None
    streaming: bool
    after: int | None
    cancelled: list[str] | None
    """Ids of requests to cancel."""
    checkpoint_id: str | None
    storage: CheckpointStorage | None
    """Where `checkpoint_id` is; None for Temporal history."""
    mirror: CheckpointStorage | None
    """Takes a copy of each checkpoint."""
    function_invocation_kwargs: Value | None
    client_kwargs: Value | None


class Caller:
    """Carries out calls.

    Args:
        client: A client with our payload converter.
        task_queue: Where new runs are started.
        options: Options of new runs.
    """

    def __init__(self, client: Client, task_queue: str, options: DurableOptions) -> None:
        self._client = client
        self._task_queue = task_queue
        self._options = options
        self._locator = Locator(client)
        self.queries = ThreadQueries(client, task_queue, options.worker_timeout)
        """What a thread's worker is asked."""

    async def events(
        self, call: Call, handle: Checkpoint, name: str, hosted: HostedWorkflow | None
    ) -> AsyncIterator[WorkflowEvent[Any]]:
        """Carry out a call and yield its events; the handle moves forward with them."""
        if (call.storage is not None or call.mirror is not None) and hosted is None:
            raise PayloadError(
                "`checkpoint_storage` needs the workflow's types: make the facade from its factory, not its name."
            )
        begins = call.checkpoint_id is not None
        tip = await read_tip(self._client, handle.thread_id, name, seen_run_id=handle.run_id, may_be_gone=begins)
        if call.checkpoint_id is not None:
            reader = await self._begin(call, handle, name, hosted, tip, call.checkpoint_id)
        elif call.message is not None:
            reader = await self._message(call, handle, name, hosted, tip)
        elif call.responses is not None or call.cancelled is not None:
            reader = await self._respond_in_time(call, handle, name, hosted, tip)
        else:
            reader = await self._resume(call, handle, name, hosted, tip)
        async for event in reader.events():
            yield event

    async def checkpoints(self, thread_id: str, name: str) -> list[CheckpointInfo]:
        """List the checkpoints of a thread."""
        run_id = await latest_run_id(self._client, thread_id, name)
        with rpc_errors(self._client, f"list the checkpoints of thread {thread_id!r}"):
            found = await thread_infos(self._client, thread_id, run_id)
        for info in found:
            self._locator.saw(thread_id, info.run_id)
        return found

    async def schedule(
        self,
        schedule_id: str,
        message: Any,
        name: str,
        hosted: HostedWorkflow | None,
        *,
        cron: str | Sequence[str],
        time_zone: str | None,
    ) -> ScheduleHandle:
        """Let Temporal start threads with a message; see `ThreadOperations.schedule`."""
        if hosted is not None:
            message = unwrap_message(message, hosted.catalog.input_types)
        check_executors(self._options.executors, hosted)
        run_input = RunInput(
            workflow_name=name, mode="message", message=encode_message(message), options=self._options.to_wire()
        )
        run_input.options.search_attributes = await use_search_attributes(self._client, self._options.search_attributes)
        await check_input(self._client, run_input)
        return await create_schedule(
            self._client,
            schedule_id,
            run_input,
            task_queue=self._task_queue,
            cron=[cron] if isinstance(cron, str) else cron,
            time_zone=time_zone,
            details=static_details(hosted),
        )

    async def _message(
        self, call: Call, handle: Checkpoint, name: str, hosted: HostedWorkflow | None, tip: ThreadTip
    ) -> CallReader:
        if tip.state == "open":
            await self.queries.refuse_message(handle.thread_id, tip)
        if tip.in_flight:
            raise RuntimeError(_IN_FLIGHT)
        message = call.message if hosted is None else unwrap_message(call.message, hosted.catalog.input_types)
        run_input = self._input(call, name, tip, mode="message")
        run_input.message = encode_message(message)
        run_input.discard_in_flight = tip.state == "failed"
        return await self._start(call, handle, hosted, run_input)

    async def _respond_in_time(
        self, call: Call, handle: Checkpoint, name: str, hosted: HostedWorkflow | None, tip: ThreadTip
    ) -> CallReader:
        """Answer, and wait a little for a run that continues as new as it was sent too many signals."""
        until = time.monotonic() + self._options.worker_timeout.total_seconds()
        while True:
            try:
                return await self._respond(call, handle, name, hosted, tip)
            except SignalLimitError:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(_LOOK_AGAIN)
            tip = await read_tip(self._client, handle.thread_id, name, seen_run_id=handle.run_id)

    async def _respond(
        self, call: Call, handle: Checkpoint, name: str, hosted: HostedWorkflow | None, tip: ThreadTip
    ) -> CallReader:
        responses = call.responses or {}
        if call.cancelled is None:
            _refuse_no_responses(responses)
        nothing = tip.state == "new" or (tip.state == "idle" and call.cancelled is None)
        if nothing or (tip.state != "open" and tip.checkpoint is None):
            raise RuntimeError(NO_PENDING)
        call_id = uuid.uuid4().hex
        batch = _encode(call, call_id)
        if tip.state != "open":
            run_input = self._input(call, name, tip, mode="responses" if call.cancelled is None else "cancel")
            run_input.responses = batch
            run_input.discard_in_flight = tip.state == "failed"
            return await self._start(call, handle, hosted, run_input, call_id=call_id)
        status = await self.queries.status(handle.thread_id, tip.run_id)
        self.queries.refuse_paused(handle.thread_id, status)
        if status.state == "waiting":
            for request_id in responses:
                if request_id not in status.pending_requests:
                    raise ValueError(f"Response provided for unknown request ID: {request_id}")
        handle.run_id = status.run_id
        reader = self._reader(
            call,
            handle,
            hosted,
            call_id=call_id,
            after=status.next_offset - 1,
            until=tip.history_length,
            raise_rejected=functools.partial(self.queries.raise_rejected, handle.thread_id, status, call_id),
        )
        run = self._client.get_workflow_handle(handle.thread_id, run_id=status.run_id)
        with rpc_errors(self._client, f"answer thread {handle.thread_id!r}"):
            if call.cancelled is None:
                await run.signal(RESPOND_SIGNAL, batch)
            else:
                await run.signal(CANCEL_SIGNAL, cancel_signal(batch))
        await self.queries.raise_rejected(handle.thread_id, status, call_id)
        return reader

    async def _resume(
        self, call: Call, handle: Checkpoint, name: str, hosted: HostedWorkflow | None, tip: ThreadTip
    ) -> CallReader:
        if tip.state == "new":
            raise ThreadNotFoundError(
                f"Thread {handle.thread_id!r} has no run to go on with. Begin it with a message: "
                "`run_stream(message, checkpoint=checkpoint)`."
            )
        # One who says where to go on from wants to read; a run that failed is resumed only without that.
        if tip.state in ("open", "idle") or call.after is not None:
            after = handle.offset if call.after is None else call.after
            with rpc_errors(self._client, f"look up the runs of thread {handle.thread_id!r}"):
                runs = await runs_after(self._client, handle.thread_id, tip.run_id or "", after)
            handle.run_id = runs[0]
            return self._reader(call, handle, hosted, after=after, until=tip.history_length, later_runs=runs[1:])
        if tip.checkpoint is None:
            raise CheckpointNotFoundError(
                f"Thread {handle.thread_id!r} ended ({tip.state}) before its first checkpoint. Send its message again."
            )
        return await self._start(call, handle, hosted, self._input(call, name, tip, mode="resume"))

    async def _begin(
        self,
        call: Call,
        handle: Checkpoint,
        name: str,
        hosted: HostedWorkflow | None,
        tip: ThreadTip,
        checkpoint_id: str,
    ) -> CallReader:
        _refuse_no_responses(call.responses)
        mode = "responses" if call.responses is not None else "cancel" if call.cancelled is not None else "resume"
        run_input = self._input(call, name, tip, mode=mode)
        if call.storage is None or hosted is None:
            if tip.state != "new":
                raise ThreadExistsError(
                    f"Thread {handle.thread_id!r} has begun already, and a fork leaves what there is untouched. Fork "
                    f"checkpoint {checkpoint_id!r} into a new thread: `checkpoint=durable.checkpoint()`."
                )
            await begin_from_history(run_input, self._client, self._locator, handle.thread_id, hosted, checkpoint_id)
        elif tip.state == "open":
            raise AlreadyRunningError(
                f"Thread {handle.thread_id!r} is running, so it cannot begin from checkpoint {checkpoint_id!r}. Use a "
                "new thread: `checkpoint=durable.checkpoint()`."
            )
        else:
            await seed_from_storage(run_input, self._client, handle.thread_id, hosted, call.storage, checkpoint_id)
        call_id = None
        if mode != "resume":
            call_id = uuid.uuid4().hex
            run_input.responses = _encode(call, call_id)
        return await self._start(call, handle, hosted, run_input, call_id=call_id)

    def _input(self, call: Call, name: str, tip: ThreadTip, *, mode: Any) -> RunInput:
        return RunInput(
            workflow_name=name,
            mode=mode,
            base=tip.checkpoint,
            graph_hash=tip.graph_hash,
            streaming=call.streaming,
            function_invocation_kwargs=call.function_invocation_kwargs,
            client_kwargs=call.client_kwargs,
            next_offset=tip.next_offset,
            options=self._options.to_wire(),
        )

    async def _start(
        self,
        call: Call,
        handle: Checkpoint,
        hosted: HostedWorkflow | None,
        run_input: RunInput,
        *,
        call_id: str | None = None,
    ) -> CallReader:
        check_executors(self._options.executors, hosted)
        attributes = await use_search_attributes(self._client, self._options.search_attributes)
        run_input.options.search_attributes = attributes
        await check_input(self._client, run_input)
        with rpc_errors(self._client, f"start a run of thread {handle.thread_id!r}"):
            try:
                run = await self._client.start_workflow(
                    WORKFLOW_TYPE,
                    run_input,
                    id=handle.thread_id,
                    task_queue=self._task_queue,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                    memo={MEMO_WORKFLOW_NAME: run_input.workflow_name},
                    static_summary=run_input.workflow_name,
                    static_details=static_details(hosted),
                    search_attributes=first_attributes(run_input.workflow_name, handle.thread_id)
                    if attributes
                    else None,
                )
            except WorkflowAlreadyStartedError as error:
                raise AlreadyRunningError(
                    f"Another caller has just started a run of thread {handle.thread_id!r}; nothing was sent. Follow "
                    "it with `run_stream(checkpoint=...)`, or use a thread of your own."
                ) from error
        handle.run_id = run.first_execution_run_id
        return self._reader(call, handle, hosted, call_id=call_id, after=run_input.next_offset - 1)

    def _reader(
        self,
        call: Call,
        handle: Checkpoint,
        hosted: HostedWorkflow | None,
        *,
        after: int,
        call_id: str | None = None,
        until: int = 0,
        later_runs: list[str] | None = None,
        raise_rejected: Callable[[], Awaitable[None]] | None = None,
    ) -> CallReader:
        run_id = handle.run_id or ""
        self._locator.saw(handle.thread_id, run_id)
        kept = handle.take_reader(run_id)
        # What follows a thread may have to give events that were read before; answers have only new ones.
        follower, decoder = kept if raise_rejected is not None else (None, None)
        if follower is None or decoder is None:
            follower = RunFollower(
                self._client,
                handle.thread_id,
                run_id,
                task_queue=self._task_queue,
                worker_timeout=self._options.worker_timeout,
                server_timeout=self._options.server_timeout,
            )
            decoder = StepDecoder(self._client, handle.thread_id, run_id, hosted.catalog if hosted else None)
        return CallReader(
            follower,
            decoder,
            handle,
            after=after,
            call_id=call_id,
            until=until,
            later_runs=later_runs or [],
            mirror=call.mirror,
            raise_rejected=raise_rejected,
            live=LiveReader(self._client, handle.thread_id, hosted.catalog if hosted else None)
            if call.streaming
            else None,
        )


def _encode(call: Call, call_id: str) -> list[RespondSignal]:
    if call.cancelled is not None:
        return encode_cancellation(call.cancelled, call_id, call.function_invocation_kwargs, call.client_kwargs)
    return encode_responses(
        call.responses or {},
        call_id=call_id,
        streaming=call.streaming,
        function_invocation_kwargs=call.function_invocation_kwargs,
        client_kwargs=call.client_kwargs,
    )


def _refuse_no_responses(responses: Mapping[str, Any] | None) -> None:
    if responses is not None and not responses:
        raise ValueError("'responses' is empty: give at least one, by request id.")
