"""One call of the facade: where the thread stands, what to start or signal, and which events are the call's."""

from __future__ import annotations

import functools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_framework import CheckpointStorage, WorkflowEvent
from temporalio.client import Client, ScheduleHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from ...workflows.messages import (
    CANCEL_SIGNAL,
    RESPOND_SIGNAL,
    WORKFLOW_TYPE,
    RespondSignal,
    RunInput,
    Value,
)
from ...workflows.search_attributes import first_attributes
from ..checkpoints.history import runs_after
from ..checkpoints.lineage import CheckpointInfo, Locator, thread_infos
from ..checkpoints.thread import MEMO_WORKFLOW_NAME, ThreadTip, latest_run_id, read_tip
from ..errors import (
    AlreadyRunningError,
    CheckpointNotFoundError,
    PayloadError,
    ThreadExistsError,
    ThreadNotFoundError,
)
from ..framework.definition import HostedWorkflow
from ..temporal.client import rpc_errors
from ..temporal.search_attributes import use_search_attributes
from .arguments import (
    cancel_signal,
    encode_cancellation,
    encode_message,
    encode_responses,
    unwrap_message,
)
from .call_reader import NO_PENDING, CallReader
from .executor_policy import check_executors
from .fork import begin_from_history, seed_from_storage
from .handle import Checkpoint
from .input_size import check_input
from .live_reader import LiveReader
from .options import DurableOptions
from .queries import ThreadQueries
from .run_follower import RunFollower
from .schedule import create_schedule
from .static_details import static_details
from .superstep_decoder import StepDecoder
from .thread_cursor import ThreadCursor

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
        self.client = client
        self.task_queue = task_queue
        self.options = options
        self.locator = Locator(client)
        self.queries = ThreadQueries(client, task_queue, options.worker_timeout)
        """What a thread's worker is asked."""

    async def events(
        self, call: Call, handle: Checkpoint, cursor: ThreadCursor, name: str, hosted: HostedWorkflow | None
    ) -> AsyncIterator[WorkflowEvent[Any]]:
        """Carry out a call and yield its events; the handle moves forward with them."""
        if (call.storage is not None or call.mirror is not None) and hosted is None:
            raise PayloadError(
                "`checkpoint_storage` needs the workflow's types: make the facade from its factory, not its name."
            )
        begins = call.checkpoint_id is not None
        tip = await read_tip(self.client, handle.thread_id, name, seen_run_id=handle.run_id, may_be_gone=begins)
        reader = await _ThreadCall(self, call, handle, cursor, name, hosted, tip).reader()
        async for event in reader.events():
            yield event

    async def checkpoints(self, thread_id: str, name: str) -> list[CheckpointInfo]:
        """List the checkpoints of a thread."""
        run_id = await latest_run_id(self.client, thread_id, name)
        with rpc_errors(self.client, f"list the checkpoints of thread {thread_id!r}"):
            found = await thread_infos(self.client, thread_id, run_id)
        for info in found:
            self.locator.saw(thread_id, info.run_id)
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
        check_executors(self.options.executors, hosted)
        run_input = RunInput(
            workflow_name=name, mode="message", message=encode_message(message), options=self.options.to_wire()
        )
        run_input.options.search_attributes = await use_search_attributes(self.client, self.options.search_attributes)
        await check_input(self.client, run_input)
        return await create_schedule(
            self.client,
            schedule_id,
            run_input,
            task_queue=self.task_queue,
            cron=[cron] if isinstance(cron, str) else cron,
            time_zone=time_zone,
            details=static_details(hosted),
        )


class _ThreadCall:
    """One call on one thread: what is started or signalled for it, and the reader of its events.

    Args:
        caller: Carries out calls.
        call: What the caller gave.
        handle: The thread.
        cursor: What this process has seen of it.
        name: Name of the framework workflow.
        hosted: Its definition; None for a client that has only its name.
        tip: Where the thread stood when the call was made.
    """

    def __init__(
        self,
        caller: Caller,
        call: Call,
        handle: Checkpoint,
        cursor: ThreadCursor,
        name: str,
        hosted: HostedWorkflow | None,
        tip: ThreadTip,
    ) -> None:
        self._caller = caller
        self._call = call
        self._handle = handle
        self._thread_id = handle.thread_id
        self._cursor = cursor
        self._name = name
        self._hosted = hosted
        self._tip = tip

    async def reader(self) -> CallReader:
        """Start, signal or only follow, as the call wants; returns the reader of its events."""
        if self._call.checkpoint_id is not None:
            return await self._begin(self._call.checkpoint_id)
        if self._call.message is not None:
            return await self._message()
        if self._call.responses is not None or self._call.cancelled is not None:
            return await self._respond()
        return await self._resume()

    async def _message(self) -> CallReader:
        if self._tip.state == "open":
            await self._caller.queries.refuse_message(self._thread_id, self._tip)
        if self._tip.in_flight:
            raise RuntimeError(_IN_FLIGHT)
        message = (
            self._call.message
            if self._hosted is None
            else unwrap_message(self._call.message, self._hosted.catalog.input_types)
        )
        run_input = self._input(mode="message")
        run_input.message = encode_message(message)
        run_input.discard_in_flight = self._tip.state == "failed"
        return await self._start(run_input)

    async def _respond(self) -> CallReader:
        responses = self._call.responses or {}
        if self._call.cancelled is None:
            _refuse_no_responses(responses)
        nothing = self._tip.state == "new" or (self._tip.state == "idle" and self._call.cancelled is None)
        if nothing or (self._tip.state != "open" and self._tip.checkpoint is None):
            raise RuntimeError(NO_PENDING)
        call_id = uuid.uuid4().hex
        batch = _encode(self._call, call_id)
        if self._tip.state != "open":
            run_input = self._input(mode="responses" if self._call.cancelled is None else "cancel")
            run_input.responses = batch
            run_input.discard_in_flight = self._tip.state == "failed"
            return await self._start(run_input, call_id=call_id)
        status = await self._caller.queries.status(self._thread_id, self._tip.run_id)
        self._caller.queries.refuse_paused(self._thread_id, status)
        if status.state == "waiting":
            for request_id in responses:
                if request_id not in status.pending_requests:
                    raise ValueError(f"Response provided for unknown request ID: {request_id}")
        self._handle.run_id = status.run_id
        reader = self._reader(
            call_id=call_id,
            after=status.next_offset - 1,
            until=self._tip.history_length,
            raise_rejected=functools.partial(self._caller.queries.raise_rejected, self._thread_id, status, call_id),
        )
        run = self._caller.client.get_workflow_handle(self._thread_id, run_id=status.run_id)
        with rpc_errors(self._caller.client, f"answer thread {self._thread_id!r}"):
            if self._call.cancelled is None:
                await run.signal(RESPOND_SIGNAL, batch)
            else:
                await run.signal(CANCEL_SIGNAL, cancel_signal(batch))
        await self._caller.queries.raise_rejected(self._thread_id, status, call_id)
        return reader

    async def _resume(self) -> CallReader:
        if self._tip.state == "new":
            raise ThreadNotFoundError(
                f"Thread {self._thread_id!r} has no run to go on with. Begin it with a message: "
                "`run_stream(message, checkpoint=checkpoint)`."
            )
        # One who says where to go on from wants to read; a run that failed is resumed only without that.
        if self._tip.state in ("open", "idle") or self._call.after is not None:
            after = self._handle.offset if self._call.after is None else self._call.after
            with rpc_errors(self._caller.client, f"look up the runs of thread {self._thread_id!r}"):
                runs = await runs_after(self._caller.client, self._thread_id, self._tip.run_id or "", after)
            self._handle.run_id = runs[0]
            return self._reader(after=after, until=self._tip.history_length, later_runs=runs[1:])
        if self._tip.checkpoint is None:
            raise CheckpointNotFoundError(
                f"Thread {self._thread_id!r} ended ({self._tip.state}) before its first checkpoint. Send its message "
                "again."
            )
        return await self._start(self._input(mode="resume"))

    async def _begin(self, checkpoint_id: str) -> CallReader:
        _refuse_no_responses(self._call.responses)
        mode = (
            "responses"
            if self._call.responses is not None
            else "cancel"
            if self._call.cancelled is not None
            else "resume"
        )
        run_input = self._input(mode=mode)
        if self._call.storage is None or self._hosted is None:
            if self._tip.state != "new":
                raise ThreadExistsError(
                    f"Thread {self._thread_id!r} has begun already, and a fork leaves what there is untouched. Fork "
                    f"checkpoint {checkpoint_id!r} into a new thread: `checkpoint=durable.checkpoint()`."
                )
            await begin_from_history(
                run_input, self._caller.client, self._caller.locator, self._thread_id, self._hosted, checkpoint_id
            )
        elif self._tip.state == "open":
            raise AlreadyRunningError(
                f"Thread {self._thread_id!r} is running, so it cannot begin from checkpoint {checkpoint_id!r}. Use a "
                "new thread: `checkpoint=durable.checkpoint()`."
            )
        else:
            await seed_from_storage(
                run_input, self._caller.client, self._thread_id, self._hosted, self._call.storage, checkpoint_id
            )
        call_id = None
        if mode != "resume":
            call_id = uuid.uuid4().hex
            run_input.responses = _encode(self._call, call_id)
        return await self._start(run_input, call_id=call_id)

    def _input(self, *, mode: Any) -> RunInput:
        return RunInput(
            workflow_name=self._name,
            mode=mode,
            base=self._tip.checkpoint,
            graph_hash=self._tip.graph_hash,
            streaming=self._call.streaming,
            function_invocation_kwargs=self._call.function_invocation_kwargs,
            client_kwargs=self._call.client_kwargs,
            next_offset=self._tip.next_offset,
            options=self._caller.options.to_wire(),
        )

    async def _start(self, run_input: RunInput, *, call_id: str | None = None) -> CallReader:
        check_executors(self._caller.options.executors, self._hosted)
        attributes = await use_search_attributes(self._caller.client, self._caller.options.search_attributes)
        run_input.options.search_attributes = attributes
        await check_input(self._caller.client, run_input)
        with rpc_errors(self._caller.client, f"start a run of thread {self._thread_id!r}"):
            try:
                run = await self._caller.client.start_workflow(
                    WORKFLOW_TYPE,
                    run_input,
                    id=self._thread_id,
                    task_queue=self._caller.task_queue,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                    memo={MEMO_WORKFLOW_NAME: run_input.workflow_name},
                    static_summary=run_input.workflow_name,
                    static_details=static_details(self._hosted),
                    search_attributes=first_attributes(run_input.workflow_name, self._thread_id)
                    if attributes
                    else None,
                )
            except WorkflowAlreadyStartedError as error:
                raise AlreadyRunningError(
                    f"Another caller has just started a run of thread {self._thread_id!r}; nothing was sent. Follow "
                    "it with `run_stream(checkpoint=...)`, or use a thread of your own."
                ) from error
        self._handle.run_id = run.first_execution_run_id
        return self._reader(call_id=call_id, after=run_input.next_offset - 1)

    def _reader(
        self,
        *,
        after: int,
        call_id: str | None = None,
        until: int = 0,
        later_runs: list[str] | None = None,
        raise_rejected: Callable[[], Awaitable[None]] | None = None,
    ) -> CallReader:
        run_id = self._handle.run_id or ""
        self._caller.locator.saw(self._thread_id, run_id)
        kept = self._cursor.take_reader(run_id)
        # What follows a thread may have to give events that were read before; answers have only new ones.
        follower, decoder = kept if raise_rejected is not None else (None, None)
        if follower is None or decoder is None:
            follower = RunFollower(
                self._caller.client,
                self._thread_id,
                run_id,
                task_queue=self._caller.task_queue,
                worker_timeout=self._caller.options.worker_timeout,
                server_timeout=self._caller.options.server_timeout,
            )
            decoder = StepDecoder(
                self._caller.client, self._thread_id, run_id, self._hosted.catalog if self._hosted else None
            )
        return CallReader(
            follower,
            decoder,
            self._handle,
            self._cursor,
            after=after,
            call_id=call_id,
            until=until,
            later_runs=later_runs or [],
            mirror=self._call.mirror,
            raise_rejected=raise_rejected,
            live=LiveReader(self._caller.client, self._thread_id, self._hosted.catalog if self._hosted else None)
            if self._call.streaming
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
