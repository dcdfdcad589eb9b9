"""The facade: a framework workflow that runs on Temporal, with the interface of `agent_framework.Workflow`."""

from __future__ import annotations

import dataclasses
import functools
import uuid
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Literal, TypeAlias, Unpack, get_args, overload

from agent_framework import (
    CheckpointStorage,
    FunctionalWorkflowAgent,
    ResponseStream,
    ToolTypes,
    WorkflowAgent,
    WorkflowEvent,
    WorkflowInvocationKwargs,
    WorkflowRunResult,
    WorkflowRunState,
)
from temporalio.client import Client, ScheduleHandle, ScheduleOverlapPolicy, ScheduleSpec, ScheduleState

from ...workflows.exported import exported
from ...workflows.messages import (
    BREAKPOINTS_SIGNAL,
    CONTINUE_SIGNAL,
    PAUSE_SIGNAL,
    WITHDRAW_SIGNAL,
    BreakpointsSignal,
    PauseSignal,
    PendingRequest,
    QueuedMessage,
    WhenRunning,
    WithdrawSignal,
)
from ..checkpoints.export import export_thread
from ..checkpoints.handle import Checkpoint
from ..checkpoints.lineage import CheckpointInfo
from ..checkpoints.mirror import MirrorStorage, ThreadSource, copy_missing
from ..checkpoints.storage import HistoryCheckpointStorage, is_history_of
from ..checkpoints.thread import latest_run_id
from ..errors import AlreadyRunningError, PayloadError, ThreadNotFoundError
from ..framework.definition import WorkflowDefinition, WorkflowSource, build_now, define, is_workflow
from ..framework.functional import FunctionalInstance
from ..framework.internals import finalize_events, validate_run_params
from ..framework.tracing import RunSpan
from ..temporal.client import framed_client
from ..temporal.server import rpc_errors
from .agent import AgentThread
from .arguments import given_kwargs, refuse_tools, split_message
from .attempts import SuperstepAttempt, superstep_attempt
from .calls import Call, Caller
from .cost import ThreadCost, thread_cost
from .deletion import delete_thread
from .devui import DevUIEntity
from .edit import Edit, EditOrder, editor_name
from .event_position import without_void
from .options import DurableOptions, OptionArguments, check_breakpoints
from .priority import check_priority
from .queries import ALREADY_RUNNING
from .schedule import (
    ScheduledStart,
    ScheduleInfo,
    SchedulePolicies,
    create_schedule,
    schedules,
    spec_of,
    update_schedule,
)
from .steering import SteeringStatus, steer, steering_of
from .thread_cursor import ThreadCursor, ThreadCursors
from .threads import ThreadFilter, ThreadInfo, threads
from .usage import RunUsage, read_usage
from .workflow_interface import WorkflowInterface

InvocationKwargs: TypeAlias = WorkflowInvocationKwargs | Mapping[str, Any]
"""What agents pass on to their tools, or to their chat client, as the framework's `Workflow.run` takes it."""
Tools: TypeAlias = ToolTypes | Callable[..., Any] | Sequence[ToolTypes | Callable[..., Any]]
"""Tools as the framework's `Workflow.run` takes them."""


@exported
class DurableWorkflow(WorkflowInterface):
    """Runs a framework workflow durably on Temporal; use it where you would use the `Workflow` itself.

    Each *thread* is a Temporal workflow id. Without `checkpoint=` the facade uses its default thread, as an in-process
    instance uses its own state; with it, one facade runs any number of threads.

    Args:
        workflow: The workflow's factory or instance, as the worker hosts it: the facade reads its types and never runs
            it. Or its name, for a pure client whose events carry plain JSON data.
        client: A connected Temporal client. It does not need a plugin; its codec and external storage are used.
        task_queue: Where a worker hosts the workflow.
        options: Options of the runs, which several facades can share.
        **changes: Arguments of `DurableOptions`, for this facade only; they override those of `options`.

    Raises:
        HostingError: When the workflow cannot be hosted, or the client has its own payload converter.
        ValueError: For an invalid option.
    """

    def __init__(
        self,
        workflow: WorkflowSource | str,
        *,
        client: Client,
        task_queue: str,
        options: DurableOptions | None = None,
        **changes: Unpack[OptionArguments],
    ) -> None:
        if not task_queue:
            raise ValueError("`task_queue` must name the queue a worker polls.")
        self._source: WorkflowSource | None = None
        self._name: str | None = None
        if isinstance(workflow, str):
            self._name = workflow
        else:
            # An async factory can only be called in a loop: its name is known with the first run.
            self._source, self._name = build_now(workflow)
        self._hosted: WorkflowDefinition | None = None
        self._client = framed_client(client)
        self._caller = Caller(self._client, task_queue, dataclasses.replace(options or DurableOptions(), **changes))
        self._own: Checkpoint | None = None
        self._status = WorkflowRunState.IDLE
        self._cursors = ThreadCursors()
        self._active: weakref.WeakValueDictionary[str, ResponseStream[Any, Any]] = weakref.WeakValueDictionary()

    @property
    def name(self) -> str:
        """The workflow's name. For an async factory it is empty until the first run."""
        return self._name or ""

    @property
    def status(self) -> WorkflowRunState:
        """The state as the caller of the last run has seen it, in step with its events."""
        return self._status

    def get_last_checkpoint_id(self, checkpoint: Checkpoint | str | None = None) -> str | None:
        """Return the id of the last checkpoint that a handle has seen; no round trip.

        Args:
            checkpoint: Handle of the thread; the facade's default thread if omitted. None for a bare id.
        """
        return self._handle(checkpoint).checkpoint_id

    def run_stream(
        self,
        message: Any | None = None,
        *,
        responses: Mapping[str, Any] | None = None,
        checkpoint: Checkpoint | str | None = None,
        checkpoint_id: str | None = None,
        checkpoint_storage: CheckpointStorage | None = None,
        after: int | None = None,
        tools: Tools | None = None,
        function_invocation_kwargs: InvocationKwargs | None = None,
        client_kwargs: InvocationKwargs | None = None,
        when_running: WhenRunning | None = None,
        priority: int | None = None,
        fairness_key: str | None = None,
    ) -> ResponseStream[WorkflowEvent, WorkflowRunResult]:
        """Start, answer, or follow a run and stream its events; the same as `run(stream=True)`.

        Args:
            message: Message for the start executor. A list that contains only `Response` objects is taken as responses.
                A one-element list is unwrapped if the start executor takes the element but not the list.
            responses: Responses to pending requests, by request id.
            checkpoint: The thread: its handle, which advances with the events, or its id. With nothing else: follow
                what is running, or resume what failed.
            checkpoint_id: Start a new thread from that checkpoint, as it was or with `responses`. The checkpoint may be
                from any thread of this workflow (`checkpoints` lists them), which is not changed, or from
                `checkpoint_storage`.
            checkpoint_storage: Receives a copy of each checkpoint as the stream passes it, instead of the storage that
                the workflow was built with; history remains the source of truth. A failing storage is logged, as in
                process. With `checkpoint_id` it is also where that checkpoint is loaded from.
            after: With `checkpoint` and nothing else: return the thread's events after this offset (-1 for all of
                them), and do not resume a failed run. Defaults to the handle's own offset.
            tools: Rejected: live objects cannot be sent to the worker.
            function_invocation_kwargs: Passed to tools, as JSON.
            client_kwargs: Passed to chat clients, as JSON.
            when_running: What happens to the message if the thread is already running: "reject", "enqueue", "interrupt"
                or "rollback"; defaults to `DurableOptions.when_running`, which explains them. The stream returns only
                the events of this message.
            priority: Priority of the run that this call starts or, in a running thread, of the message's turn and what
                follows it; defaults to `DurableOptions.priority`. Responses do not change it.
            fairness_key: As `priority`; defaults to `DurableOptions.fairness_key`.

        Returns:
            The events of an in-process run, superstep by superstep as they are committed. Leaving the stream does not
            stop the run.

        Raises:
            ValueError: For a combination of arguments that the framework rejects, with its message.
            PayloadError: For an argument that cannot be sent.
            AlreadyRunningError: When a stream of this facade already follows the thread and `when_running` is "reject".

        Iterating raises what the run raises, or a `DurableWorkflowError`.

        Cost: a run takes 5 history events and each superstep 6; responses 4 more. Following costs no history. A fork
        copies nothing: it reads the other thread's history once, plus one visibility query if this facade has not seen
        its run.
        """
        return self._stream(
            message,
            stream=True,
            responses=responses,
            checkpoint=checkpoint,
            checkpoint_id=checkpoint_id,
            checkpoint_storage=checkpoint_storage,
            include_status_events=False,
            after=after,
            tools=tools,
            function_invocation_kwargs=function_invocation_kwargs,
            client_kwargs=client_kwargs,
            when_running=when_running,
            priority=priority,
            fairness_key=fairness_key,
        )

    @overload
    def run(
        self,
        message: Any | None = None,
        *,
        stream: Literal[True],
        responses: Mapping[str, Any] | None = None,
        checkpoint: Checkpoint | str | None = None,
        checkpoint_id: str | None = None,
        checkpoint_storage: CheckpointStorage | None = None,
        tools: Tools | None = None,
        function_invocation_kwargs: InvocationKwargs | None = None,
        client_kwargs: InvocationKwargs | None = None,
        when_running: WhenRunning | None = None,
        priority: int | None = None,
        fairness_key: str | None = None,
    ) -> ResponseStream[WorkflowEvent, WorkflowRunResult]: ...

    @overload
    def run(
        self,
        message: Any | None = None,
        *,
        stream: Literal[False] = ...,
        responses: Mapping[str, Any] | None = None,
        checkpoint: Checkpoint | str | None = None,
        checkpoint_id: str | None = None,
        checkpoint_storage: CheckpointStorage | None = None,
        include_status_events: bool = False,
        tools: Tools | None = None,
        function_invocation_kwargs: InvocationKwargs | None = None,
        client_kwargs: InvocationKwargs | None = None,
        when_running: WhenRunning | None = None,
        priority: int | None = None,
        fairness_key: str | None = None,
    ) -> Awaitable[WorkflowRunResult]: ...

    @overload
    def run(
        self,
        message: Any | None = None,
        *,
        stream: bool,
        responses: Mapping[str, Any] | None = None,
        checkpoint: Checkpoint | str | None = None,
        checkpoint_id: str | None = None,
        checkpoint_storage: CheckpointStorage | None = None,
        include_status_events: bool = False,
        tools: Tools | None = None,
        function_invocation_kwargs: InvocationKwargs | None = None,
        client_kwargs: InvocationKwargs | None = None,
        when_running: WhenRunning | None = None,
        priority: int | None = None,
        fairness_key: str | None = None,
    ) -> ResponseStream[WorkflowEvent, WorkflowRunResult] | Awaitable[WorkflowRunResult]: ...

    def run(
        self,
        message: Any | None = None,
        *,
        stream: bool = False,
        responses: Mapping[str, Any] | None = None,
        checkpoint: Checkpoint | str | None = None,
        checkpoint_id: str | None = None,
        checkpoint_storage: CheckpointStorage | None = None,
        include_status_events: bool = False,
        tools: Tools | None = None,
        function_invocation_kwargs: InvocationKwargs | None = None,
        client_kwargs: InvocationKwargs | None = None,
        when_running: WhenRunning | None = None,
        priority: int | None = None,
        fairness_key: str | None = None,
    ) -> ResponseStream[WorkflowEvent, WorkflowRunResult] | Awaitable[WorkflowRunResult]:
        """Run as `agent_framework.Workflow.run` does; arguments, cost and errors as for `run_stream`.

        Args:
            message: See `run_stream`.
            stream: Return the stream and let agents emit updates; otherwise return an awaitable result.
            responses: See `run_stream`.
            checkpoint: See `run_stream`.
            checkpoint_id: See `run_stream`.
            checkpoint_storage: See `run_stream`.
            include_status_events: Keep status events in the result.
            tools: See `run_stream`.
            function_invocation_kwargs: See `run_stream`.
            client_kwargs: See `run_stream`.
            when_running: See `run_stream`.
            priority: See `run_stream`.
            fairness_key: See `run_stream`.
        """
        response_stream = self._stream(
            message,
            stream=stream,
            responses=responses,
            checkpoint=checkpoint,
            checkpoint_id=checkpoint_id,
            checkpoint_storage=checkpoint_storage,
            include_status_events=include_status_events,
            after=None,
            tools=tools,
            function_invocation_kwargs=function_invocation_kwargs,
            client_kwargs=client_kwargs,
            when_running=when_running,
            priority=priority,
            fairness_key=fairness_key,
        )
        return response_stream if stream else response_stream.get_final_response()

    async def cancel_pending_requests(
        self,
        request_ids: Collection[str],
        *,
        checkpoint: Checkpoint | str | None = None,
        checkpoint_id: str | None = None,
        checkpoint_storage: CheckpointStorage | None = None,
        tools: Tools | None = None,
        function_invocation_kwargs: InvocationKwargs | None = None,
        client_kwargs: InvocationKwargs | None = None,
    ) -> WorkflowRunResult:
        """Cancel pending requests and go on, as the framework's method of that name; costs what responses cost.

        Args:
            request_ids: What to cancel; ids that are not pending are left out, as in process.
            checkpoint: The thread; the facade's own when left out.
            checkpoint_id: See `run_stream`.
            checkpoint_storage: See `run_stream`.
            tools: See `run_stream`.
            function_invocation_kwargs: See `run_stream`.
            client_kwargs: See `run_stream`.

        Raises:
            ValueError: When there are no ids, or one is not valid.
            RuntimeError: When the thread has no checkpoint, so that nothing can be pending.
        """
        selected = list(dict.fromkeys(request_ids))
        if not selected or not all(isinstance(request_id, str) and request_id for request_id in selected):
            raise ValueError("Pending workflow request IDs must be non-empty strings.")
        response_stream = self._stream(
            None,
            stream=False,
            responses=None,
            cancelled=selected,
            checkpoint=checkpoint,
            checkpoint_id=checkpoint_id,
            checkpoint_storage=checkpoint_storage,
            include_status_events=False,
            after=None,
            tools=tools,
            function_invocation_kwargs=function_invocation_kwargs,
            client_kwargs=client_kwargs,
        )
        return await response_stream.get_final_response()

    def checkpoint(self, thread_id: str | None = None, *, tags: Sequence[str] | None = None) -> Checkpoint:
        """Return a handle to a thread; no round trip.

        Args:
            thread_id: Temporal workflow id of the thread, new or existing; a new unique id if omitted.
            tags: Tags that runs started with this handle set on the thread; if omitted, it keeps its tags.

        Raises:
            ValueError: When there are more than 20 tags, or one is empty or longer than 100 characters.
        """
        return Checkpoint(
            workflow_name=self.name,
            thread_id=thread_id or f"{self.name or 'thread'}-{uuid.uuid4()}",
            tags=None if tags is None else list(tags),
        )

    async def checkpoints(self, checkpoint: Checkpoint | str | None = None) -> list[CheckpointInfo]:
        """List the checkpoints of a thread over all its runs, oldest first, without decoding them; no worker is needed.

        Costs one round trip, plus one for each 200 events of the thread's history.

        Args:
            checkpoint: The thread's handle or id; the facade's default thread if omitted.

        Raises:
            ThreadNotFoundError: When the thread does not exist, or belongs to another workflow.
        """
        await self._definition()  # An async factory's name is known only now.
        thread_id = self._handle(checkpoint).thread_id
        return await self._caller.checkpoints(thread_id, self.name)

    async def fork(
        self,
        checkpoint_id: str,
        *,
        edit: Edit | None = None,
        edited_by: str | None = None,
        responses: Mapping[str, Any] | None = None,
        stream: bool = False,
        checkpoint: Checkpoint | str | None = None,
    ) -> Checkpoint:
        """Start a new thread from a checkpoint of any thread, edited or unchanged.

        Args:
            checkpoint_id: The checkpoint, which is not changed.
            edit: A function that receives a `CheckpointEdit` and changes it; or JSON data as `fork --edit` writes it,
                of which only the changed part is needed, as in `{"state": {"style": "vivid"}}`.
            edited_by: Who edits, for the lineage; the client's identity if omitted.
            responses: Responses to requests that are pending after the edit.
            stream: Let agents emit updates.
            checkpoint: The new thread; a new unique id if omitted.

        Returns:
            The new thread; follow it with `run(checkpoint=...)`.

        Raises:
            EditRefusedError: When the edited checkpoint does not fit the types that its workflow declares (the message
                names each place), or nothing was changed.
            PayloadError: When the facade was created from the workflow's name, or the checkpoint is too large to send.
            ThreadExistsError: When the new thread has already started.

        If the worker does not accept its callers' own checkpoints, the new thread fails, and its followers get the
        error. Costs as much as a fork by `run_stream(checkpoint_id=...)`; an edited checkpoint is stored compressed in
        the start event.
        """
        order = None if edit is None else EditOrder(edit, editor_name(edited_by, self._client))
        handle = self.checkpoint() if checkpoint is None else self._handle(checkpoint)
        return await self._begin(handle, stream=stream, responses=responses, checkpoint_id=checkpoint_id, order=order)

    async def edit(
        self,
        checkpoint: Checkpoint | str | None = None,
        *,
        edit: Edit,
        edited_by: str | None = None,
        checkpoint_id: str | None = None,
        stream: bool = False,
    ) -> Checkpoint:
        """Continue a thread from an edited copy of its last checkpoint, or of an earlier one.

        The thread must be idle, failed, cancelled, or waiting for responses. Its lineage records who edited it and
        when, and what happened before stays in its history. Requests that are pending after the edit are asked again,
        and their deadlines restart.

        Args:
            checkpoint: The thread; the facade's default thread if omitted. Its handle advances.
            edit: See `fork`.
            edited_by: See `fork`.
            checkpoint_id: The checkpoint of this thread to edit; its last one if omitted.
            stream: Let agents emit updates.

        Returns:
            The thread's handle; follow it with `run(checkpoint=...)`.

        Raises:
            EditRefusedError: See `fork`.
            PayloadError: See `fork`.
            ThreadNotFoundError: When the thread has not started.
            AlreadyRunningError: When it is running or paused.
            StaleCheckpointError: When another caller has advanced the thread since the handle was updated.

        Costs a read of the thread's history and the start of a run, which contains the compressed checkpoint.
        """
        order = EditOrder(edit, editor_name(edited_by, self._client), in_place=True)
        return await self._begin(self._handle(checkpoint), stream=stream, checkpoint_id=checkpoint_id, order=order)

    async def copy_checkpoints(
        self, storage: CheckpointStorage, checkpoint: Checkpoint | str | None = None
    ) -> list[str]:
        """Copy the checkpoints of a thread that a storage lacks, oldest first; no worker is needed.

        For threads that had no mirror, or whose mirror was down when the last worker stopped. Costs one lookup in the
        storage and one `save` for each missing checkpoint, one more lookup, and two round trips for each 200 history
        events.

        Args:
            storage: Receives the copies.
            checkpoint: The thread's handle or id; the facade's default thread if omitted.

        Returns:
            The ids of the checkpoints that were copied.

        Raises:
            ThreadNotFoundError: When the thread does not exist, or belongs to another workflow.
            PayloadError: When the facade was created from the workflow's name.
            Exception: Whatever the storage raises.
        """
        hosted = await self._definition()
        if hosted is None:
            raise PayloadError(
                "Copying decodes the checkpoints: create the facade from the workflow's factory, not from its name."
            )
        thread_id = self._handle(checkpoint).thread_id
        run_id = await latest_run_id(self._client, thread_id, self.name)
        source = ThreadSource(self._client, thread_id, run_id, hosted.catalog)
        with rpc_errors(self._client, f"copy the checkpoints of thread {thread_id!r}", thread_id):
            return await copy_missing(source, MirrorStorage(storage))

    async def export(self, checkpoint: Checkpoint | str | None = None, *, opened: bool = False) -> AsyncIterator[str]:
        """Yield a thread as lines of JSON for a file, which `ThreadArchive` reads; see the function `export_thread`.

        Args:
            checkpoint: The thread's handle or id; the facade's default thread if omitted.
            opened: See `export_thread`.

        Raises:
            ThreadNotFoundError: When there is no such thread.
            NotSealedError: When `opened` is set and this client has no key that opens a payload.
        """
        async for line in export_thread(self._client, self._handle(checkpoint), opened=opened):
            yield line

    async def pending_requests(self, checkpoint: Checkpoint | str | None = None) -> list[PendingRequest]:
        """Return what the thread waits for, as plain JSON; one query, which a worker answers.

        Raises:
            ThreadNotFoundError: When the thread has no run.
            NoWorkerError: When no worker answers.
        """
        return await self._caller.queries.pending_requests(self._handle(checkpoint).thread_id)

    async def attempt(self, checkpoint: Checkpoint | str | None = None) -> SuperstepAttempt | None:
        """Return the current attempt of the running superstep, and how earlier attempts ended; one round trip.

        Returns:
            None if no superstep is running.
        """
        return await superstep_attempt(self._client, self._handle(checkpoint).thread_id)

    async def usage(self, checkpoint: Checkpoint | str | None = None) -> RunUsage:
        """Return the calls that the thread's latest run has made so far, and their cost in tokens.

        A message to an idle thread starts a new run, so earlier runs are not included. For a run that was cancelled or
        terminated, the superstep that was running then is not included.

        Costs two round trips, or three while the run is open, one of them a query that a worker answers. If no worker
        answers, or the run was cancelled or terminated, its history is read: a round trip for each 200 events.

        Args:
            checkpoint: The thread's handle or id; the facade's default thread if omitted.

        Raises:
            ThreadNotFoundError: When the thread does not exist, or belongs to another workflow.
        """
        await self._definition()  # An async factory's name is known only now.
        thread_id = self._handle(checkpoint).thread_id
        return await read_usage(self._client, thread_id, self.name, queries=self._caller.queries)

    async def cost(self, checkpoint: Checkpoint | str | None = None) -> ThreadCost:
        """Return what the thread has cost over all its runs: Temporal Cloud actions by kind, events and bytes.

        Reads only its histories, so it needs no worker and causes no actions. Costs a visibility query, and a round
        trip for each run and for each 200 events.

        Args:
            checkpoint: The thread's handle or id; the facade's default thread if omitted.

        Raises:
            ThreadNotFoundError: When the thread does not exist, or belongs to another workflow.
        """
        await self._definition()  # An async factory's name is known only now.
        return await thread_cost(self._client, self._handle(checkpoint).thread_id, self.name)

    async def cancel(self, checkpoint: Checkpoint | str | None = None) -> None:
        """Cancel the thread's open run; the cancellation reaches the running executor. One round trip.

        Raises:
            ThreadNotFoundError: When the thread has no open run.
        """
        await self._caller.queries.cancel(self._handle(checkpoint).thread_id)

    async def retry(self, checkpoint: Checkpoint | str | None = None) -> None:
        """Retry the superstep that a paused run failed at; then follow it with `run_stream(checkpoint=...)`.

        For runs with the option `pause_on_failure`. Without it the run has ended, and `run_stream(checkpoint=...)`
        resumes it. Costs one query and one signal: 4 history events including the workflow task, plus those of the
        superstep.

        Raises:
            ThreadNotFoundError: When the thread has no open run.
            AlreadyRunningError: When it is running.
            PendingRequestsError: When it waits for responses.
            NoWorkerError: When no worker answers.
        """
        await self._caller.queries.retry(self._handle(checkpoint).thread_id)

    async def pause(
        self, checkpoint: Checkpoint | str | None = None, *, reason: str | None = None, responder: str | None = None
    ) -> None:
        """Pause the thread's open run before its next superstep, until `continue_`; the running superstep finishes.

        A run that waits for responses pauses when they arrive. A stream that follows it continues when the run does.
        Costs 5 history events; a paused run costs nothing and survives its workers.

        Args:
            checkpoint: The thread's handle or id; the facade's default thread if omitted.
            reason: Why, shown in its status.
            responder: Who pauses it.

        Raises:
            ThreadNotFoundError: When the thread has no open run.
            NoWorkerError: When no worker answers.
        """
        await self._steer(checkpoint, PAUSE_SIGNAL, PauseSignal(reason=reason, responder=responder))

    async def continue_(self, checkpoint: Checkpoint | str | None = None, *, responder: str | None = None) -> None:
        """Let a run continue that is paused by `pause` or at a breakpoint; costs 5 history events.

        Raises:
            ThreadNotFoundError: When the thread has no open run.
            AlreadyRunningError: When it is not paused.
            NoWorkerError: When no worker answers.
        """
        await self._steer(checkpoint, CONTINUE_SIGNAL, PauseSignal(responder=responder))

    async def set_breakpoints(self, executors: Sequence[str], checkpoint: Checkpoint | str | None = None) -> None:
        """Pause the thread's open run before supersteps that may run one of these executors; replaces its breakpoints.

        Args:
            executors: Executor ids or patterns; empty for none.
            checkpoint: The thread's handle or id; the facade's default thread if omitted.

        Raises:
            ValueError: When they are not executor ids or patterns.
            ThreadNotFoundError: When the thread has no open run.
            NoWorkerError: When no worker answers.
        """
        await self._steer(checkpoint, BREAKPOINTS_SIGNAL, BreakpointsSignal(executors=check_breakpoints(executors)))

    async def queued_messages(self, checkpoint: Checkpoint | str | None = None) -> list[QueuedMessage]:
        """Return the messages in the thread's queue, next first; one query.

        Raises:
            ThreadNotFoundError: When the thread has no run.
            NoWorkerError: When no worker answers.
        """
        return (await self.steering(checkpoint)).queued_messages

    async def steering(self, checkpoint: Checkpoint | str | None = None) -> SteeringStatus:
        """Return what waits in the thread's latest run, and what holds it: one query, which a worker answers.

        Raises:
            ThreadNotFoundError: When the thread has no run.
            NoWorkerError: When no worker answers.
        """
        return steering_of(await self._caller.queries.status(self._handle(checkpoint).thread_id, None))

    async def withdraw(
        self, message_id: str, checkpoint: Checkpoint | str | None = None, *, responder: str | None = None
    ) -> None:
        """Take a message from the queue before its turn; its caller is given MessageRefusedError. 5 history events.

        Args:
            message_id: Of `queued_messages`.
            checkpoint: The thread's handle or id; the facade's default thread if omitted.
            responder: Who withdraws it.

        Raises:
            MessageRefusedError: When it is not in the queue (any more).
            ThreadNotFoundError: When the thread has no open run.
            NoWorkerError: When no worker answers.
        """
        await self._steer(checkpoint, WITHDRAW_SIGNAL, WithdrawSignal(message_id=message_id, responder=responder))

    async def _steer(self, checkpoint: Checkpoint | str | None, name: str, argument: Any) -> None:
        await steer(self._client, self._handle(checkpoint).thread_id, name, argument, self._caller.options)

    async def threads(self, **filters: Unpack[ThreadFilter]) -> AsyncIterator[ThreadInfo]:
        """Yield the threads of this workflow, open ones first; cost and errors as for the function `threads`.

        Args:
            **filters: Arguments of `ThreadFilter`, as `state="failed"` or `older_than=timedelta(days=30)`.
        """
        await self._definition()
        filters["workflow_name"] = self.name
        async for info in threads(self._client, **filters):
            yield info

    async def delete(self, checkpoint: Checkpoint | str | None = None, *, terminate: bool = False) -> int:
        """Delete a thread permanently: all its runs with their histories, and so their checkpoints and events.

        The server deletes it a moment later. Copies in mirrors and data in external storage remain. A fork of the
        thread has its own checkpoints, but restoring the first of them may need this thread's history.

        Args:
            checkpoint: The thread's handle or id; the facade's default thread if omitted.
            terminate: Terminate an open run first; otherwise a thread with an open run is rejected.

        Returns:
            How many runs were deleted.

        Raises:
            ThreadNotFoundError: When the thread does not exist, or belongs to another workflow.
            AlreadyRunningError: When it has an open run.

        Cost: a round trip for each run, a visibility query, and three more round trips.
        """
        await self._definition()
        return await delete_thread(self._client, self._handle(checkpoint).thread_id, self.name, terminate=terminate)

    async def schedule(
        self,
        schedule_id: str,
        message: Any,
        spec: ScheduleSpec | None = None,
        *,
        cron: str | Sequence[str] | None = None,
        time_zone: str | None = None,
        overlap: ScheduleOverlapPolicy = ScheduleOverlapPolicy.ALLOW_ALL,
        catchup_window: timedelta | None = None,
        pause_on_failure: bool = False,
        state: ScheduleState | None = None,
        tags: Sequence[str] = (),
    ) -> ScheduleHandle:
        """Let Temporal start a thread with a message at fixed times, even while none of your processes runs.

        Each action starts a new thread, whose id is the schedule's id plus the time, as Temporal names whatever a
        schedule starts. Its run has the options of this facade.

        Args:
            schedule_id: Name of the schedule.
            message: For the start executor; the same each time.
            spec: When; or `cron`.
            cron: When, as five fields (`0 3 * * *`), or several of these.
            time_zone: Of the cron fields, as `Europe/Berlin`; UTC when left out.
            overlap: What happens to an action while a thread of the schedule runs or waits for a person: `ALLOW_ALL`
                starts another thread, `SKIP` does not, `BUFFER_ONE` and `BUFFER_ALL` start it once the previous one is
                idle, and `CANCEL_OTHER` and `TERMINATE_OTHER` end the previous one.
            catchup_window: How late the server may still take an action that it missed; a year.
            pause_on_failure: Pause the schedule when a thread's run fails; not with `ALLOW_ALL`.
            state: Whether it starts paused, its note, and its number of actions.
            tags: Tags of each thread.

        Returns:
            The SDK's handle, to describe, trigger, pause, continue or delete it.

        Raises:
            PayloadError: When the message cannot be sent.
            ThreadExistsError: When a schedule with that name exists.
            SearchAttributesError: When the namespace does not accept the search attributes of the options.
            ValueError: When neither or both of `spec` and `cron` are given, or for `pause_on_failure` with `ALLOW_ALL`.

        Cost: one round trip; two more for a facade that has not run anything. The schedule itself is not a run.
        """
        when = spec_of(spec, cron, time_zone)
        if when is None:
            raise ValueError("Say when to start: pass `spec`, a ScheduleSpec, or `cron`.")
        start = await self._scheduled_start(schedule_id, message, tags)
        policies = SchedulePolicies(overlap, catchup_window, pause_on_failure)
        return await create_schedule(self._client, schedule_id, start, when, policies, state)

    async def update_schedule(
        self,
        schedule_id: str,
        message: Any = None,
        spec: ScheduleSpec | None = None,
        *,
        cron: str | Sequence[str] | None = None,
        time_zone: str | None = None,
        overlap: ScheduleOverlapPolicy | None = None,
        catchup_window: timedelta | None = None,
        pause_on_failure: bool | None = None,
        tags: Sequence[str] = (),
    ) -> ScheduleHandle:
        """Change a schedule; what is omitted stays as it is, and so do threads that have started.

        Args:
            schedule_id: Name of the schedule.
            message: The message for threads started from now on, with the options and task queue of this facade and
                with `tags`; if omitted, all of these stay as they are.
            spec: See `schedule`.
            cron: See `schedule`.
            time_zone: See `schedule`.
            overlap: See `schedule`.
            catchup_window: See `schedule`.
            pause_on_failure: See `schedule`.
            tags: See `message`.

        Returns:
            The SDK's handle.

        Raises:
            ThreadNotFoundError: When there is no such schedule.
            PayloadError: When the message cannot be sent.
            ValueError: When both `spec` and `cron` are given.

        Cost: two round trips.
        """
        when = spec_of(spec, cron, time_zone)
        start = None if message is None else await self._scheduled_start(schedule_id, message, tags)
        policies = SchedulePolicies(overlap, catchup_window, pause_on_failure)
        await update_schedule(self._client, schedule_id, start, when, policies)
        return self._client.get_schedule_handle(schedule_id)

    async def _scheduled_start(self, schedule_id: str, message: Any, tags: Sequence[str]) -> ScheduledStart:
        hosted = await self._definition()
        handle = Checkpoint(workflow_name=self.name, thread_id=schedule_id, tags=list(tags))
        return await self._caller.scheduled_start(message, self.name, hosted, handle.tags or ())

    async def schedules(self) -> AsyncIterator[ScheduleInfo]:
        """Yield the schedules of this workflow, as the server lists them, about a second after they were created.

        Costs a round trip for each page.
        """
        await self._definition()
        async for info in schedules(self._client, self.name):
            yield info

    def as_agent(
        self, name: str | None = None, *, checkpoint: Checkpoint | str | None = None, **kwargs: Any
    ) -> WorkflowAgent | FunctionalWorkflowAgent:
        """Return a thread as a framework agent, with the behaviour of `Workflow.as_agent`; no round trip.

        Its pending requests are function calls in the agent's response, answered by function results. If the thread is
        already waiting when this process takes over, `await durable.run(checkpoint=...)` first loads its requests.

        Args:
            name: Name of the agent; the workflow's by default.
            checkpoint: The thread; a new one if omitted.
            **kwargs: As for `agent_framework.WorkflowAgent`, or `FunctionalWorkflowAgent` for a functional workflow.

        Raises:
            ValueError: When the start executor does not take a list of messages, or the facade has only the workflow's
                name or an async factory.
        """
        if not is_workflow(self._source):
            raise ValueError(
                "`as_agent` needs the workflow's definition: create the facade from an instance or a sync factory."
            )
        handle = self._handle(checkpoint) if checkpoint is not None else self.checkpoint()
        thread: Any = AgentThread(self.run, self._source, handle, self._cursors.of(handle))
        if isinstance(self._source, FunctionalInstance):
            return FunctionalWorkflowAgent(thread, name=name, **kwargs)
        return WorkflowAgent(
            thread,
            name=name if name is not None else self._source.name,
            **{"description": self._source.description, **kwargs},
        )

    def as_devui_entity(self) -> DevUIEntity:
        """Return what agent-framework's DevUI can serve: `serve(entities=[durable.as_devui_entity()])`; no round trip.

        Raises:
            ValueError: When the facade has only the workflow's name or an async factory: DevUI shows the graph.
        """
        if isinstance(self._source, FunctionalInstance):
            raise ValueError("DevUI shows a workflow's graph, and a functional workflow has none.")
        if not is_workflow(self._source):
            raise ValueError(
                "`as_devui_entity` needs the workflow's definition: create the facade from an instance or sync factory."
            )
        return DevUIEntity(self.run, self.checkpoint, self._source)

    def _stream(
        self,
        message: Any | None,
        *,
        stream: bool,
        responses: Mapping[str, Any] | None,
        checkpoint: Checkpoint | str | None,
        checkpoint_id: str | None,
        checkpoint_storage: CheckpointStorage | None,
        include_status_events: bool,
        after: int | None,
        tools: Tools | None,
        function_invocation_kwargs: InvocationKwargs | None,
        client_kwargs: InvocationKwargs | None,
        cancelled: list[str] | None = None,
        when_running: WhenRunning | None = None,
        priority: int | None = None,
        fairness_key: str | None = None,
    ) -> ResponseStream[WorkflowEvent, WorkflowRunResult]:
        message, responses = split_message(message, responses)
        given = message is not None or responses is not None or checkpoint_id is not None
        if cancelled is None and (checkpoint is None or given):
            validate_run_params(message, responses, checkpoint_id)
        if after is not None and (
            checkpoint is None or not (message is None and responses is None and checkpoint_id is None)
        ):
            raise ValueError("'after' says where to continue reading, so it goes with 'checkpoint' and nothing else.")
        if tools is not None:
            refuse_tools()
        handle = self._handle(checkpoint)
        if self.name and handle.workflow_name and handle.workflow_name != self.name:
            raise ThreadNotFoundError(
                f"The checkpoint of thread {handle.thread_id!r} belongs to workflow {handle.workflow_name!r}, not to "
                f"{self.name!r}. Use the facade of that workflow."
            )
        if when_running is not None and when_running not in get_args(WhenRunning):
            raise ValueError(f"`when_running` must be one of {get_args(WhenRunning)}, got {when_running!r}.")
        check_priority(priority, fairness_key)
        beside = self._active.get(handle.thread_id) is not None
        if beside and message is not None and (when_running or self._caller.options.when_running) != "reject":
            handle = handle.model_copy()  # The other stream moves the caller's.
        elif beside:
            raise AlreadyRunningError(
                f"Thread {handle.thread_id!r}: {ALREADY_RUNNING} Read the stream to its end, close it, or use another "
                "thread: `checkpoint=durable.checkpoint()`."
            )
        call = Call(
            message=message,
            responses=responses,
            streaming=stream,
            after=after,
            cancelled=cancelled,
            checkpoint_id=checkpoint_id,
            storage=None if is_history_of(checkpoint_storage, self._client) else checkpoint_storage,
            mirror=None if isinstance(checkpoint_storage, HistoryCheckpointStorage) else checkpoint_storage,
            own_storage=checkpoint_storage is not None,
            function_invocation_kwargs=given_kwargs("function_invocation_kwargs", function_invocation_kwargs),
            client_kwargs=given_kwargs("client_kwargs", client_kwargs),
            when_running=when_running,
            priority=priority,
            fairness_key=fairness_key,
        )
        response_stream = ResponseStream[WorkflowEvent, WorkflowRunResult](
            self._events(call, handle, beside=beside),
            finalizer=functools.partial(_finalize, include_status_events=include_status_events),
        )
        if not beside:
            self._active[handle.thread_id] = response_stream
        return response_stream

    async def _begin(
        self,
        handle: Checkpoint,
        *,
        stream: bool,
        responses: Mapping[str, Any] | None = None,
        checkpoint_id: str | None,
        order: EditOrder | None,
    ) -> Checkpoint:
        """Start a run that nobody follows yet."""
        hosted = await self._definition()
        handle.workflow_name = self.name
        if self._active.get(handle.thread_id) is not None:
            raise AlreadyRunningError(f"Thread {handle.thread_id!r}: {ALREADY_RUNNING} Read the stream to its end.")
        call = Call(
            message=None,
            responses=responses,
            streaming=stream,
            after=None,
            cancelled=None,
            checkpoint_id=checkpoint_id,
            storage=None,
            mirror=None,
            own_storage=False,
            function_invocation_kwargs=None,
            client_kwargs=None,
            order=order,
        )
        await self._caller.start(call, handle, self._cursors.of(handle), self.name, hosted)
        return handle

    async def _events(
        self, call: Call, handle: Checkpoint, *, beside: bool = False
    ) -> AsyncIterator[WorkflowEvent[Any]]:
        mine = None if beside else self._active.get(handle.thread_id)
        token = id(mine)
        del mine  # The caller's reference alone keeps the thread taken.
        try:
            hosted = await self._definition()
            handle.workflow_name = self.name
            cursor = self._cursors.of(handle)
            async for event in self._spanned(call, handle, cursor, hosted):
                cursor.note(event, call.responses or ())
                self._status = cursor.status
                yield event
        finally:
            if not beside and id(self._active.get(handle.thread_id)) == token:
                del self._active[handle.thread_id]

    def _handle(self, checkpoint: Checkpoint | str | None) -> Checkpoint:
        if isinstance(checkpoint, str):
            return Checkpoint(workflow_name=self.name, thread_id=checkpoint)
        if checkpoint is not None:
            return checkpoint
        if self._own is None:
            self._own = self.checkpoint()
        return self._own

    async def _definition(self) -> WorkflowDefinition | None:
        if self._hosted is None and self._source is not None:
            self._hosted = await define(self._source)
            self._name = self._hosted.name
        return self._hosted

    async def _spanned(
        self, call: Call, handle: Checkpoint, cursor: ThreadCursor, hosted: WorkflowDefinition | None
    ) -> AsyncIterator[WorkflowEvent[Any]]:
        """Give a call's events within one span `workflow.run`, unless it only follows the thread."""
        if call.only_follows:
            async for event in self._caller.events(call, handle, cursor, self.name, hosted):
                yield event
            return
        workflow = self._source if is_workflow(self._source) else None
        with RunSpan(self.name, workflow) as span:
            events = self._caller.events(
                dataclasses.replace(call, trace=span.traceparent), handle, cursor, self.name, hosted
            )
            async with aclosing(events):
                while True:
                    with span.active():
                        try:
                            event = await anext(events)
                        except StopAsyncIteration:
                            return
                    yield event


def _finalize(events: Sequence[WorkflowEvent[Any]], *, include_status_events: bool) -> WorkflowRunResult:
    return finalize_events(without_void(events), include_status_events=include_status_events)
