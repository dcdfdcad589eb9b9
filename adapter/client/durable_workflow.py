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

    Each *thread* is a Temporal workflow id. Without `checkpoint=` the facade keeps a thread of its own, as an
    in-process instance keeps its state; with it, any number of threads run through one facade.

    Args:
        workflow: The workflow's factory or instance, as the worker hosts it: the facade takes types from it and never
            runs it. Or its name: a pure client, whose events carry plain JSON data.
        client: A connected Temporal client. It needs no plugin; its codec and external storage are used.
        task_queue: Where a worker hosts the workflow.
        options: Options of the runs, to be shared by several facades.
        **changes: Arguments of `DurableOptions`, for this facade alone: they come before those of `options`.

    Raises:
        HostingError: When the workflow cannot be hosted, or the client has a payload converter of its own.
        ValueError: For an option that cannot work.
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
        """The workflow's name; of an async factory known after the first run, empty before."""
        return self._name or ""

    @property
    def status(self) -> WorkflowRunState:
        """State the caller of the last run has seen, in step with the events it was given."""
        return self._status

    def get_last_checkpoint_id(self, checkpoint: Checkpoint | str | None = None) -> str | None:
        """Return the id of the last checkpoint that a handle was given; no round trip.

        Args:
            checkpoint: Handle of the thread; the facade's own when left out. A bare id has been given none: None.
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
        """Start, answer, or follow a run, and stream its events; `run(stream=True)` is the same.

        Args:
            message: Message for the start executor. A list made only of `Response` objects is responses; a one-element
                list is unwrapped if the start executor takes its element and not the list.
            responses: Responses to pending requests, by request id.
            checkpoint: The thread, by its handle, which moves forward with the events, or by its id. Alone: follow what
                runs, or resume what failed.
            checkpoint_id: Begin a new thread from that checkpoint, as it was or with `responses`: of any thread of this
                workflow (`checkpoints` lists them), which stays as it is, or of `checkpoint_storage`.
            checkpoint_storage: Takes a copy of each checkpoint as the stream passes it, in place of the storage that
                the workflow was built with; history stays the truth. One that fails is logged, as in process. With
                `checkpoint_id` it is where that checkpoint is, too.
            after: With `checkpoint` alone: give the thread's events with a greater offset, from -1 for all of them, and
                do not resume a run that failed. Left out, it is the handle's own offset.
            tools: Refused: live objects cannot travel.
            function_invocation_kwargs: Passed to tools, as JSON.
            client_kwargs: Passed to chat clients, as JSON.
            when_running: What becomes of the message if the thread runs, whoever has started that: "reject", "enqueue",
                "interrupt" or "rollback"; see `DurableOptions.when_running`, which holds where this is left out. The
                stream gives the events of this message alone.
            priority: Of the run that this call begins, or of the message's turn and what follows it in a thread that
                runs; see `DurableOptions.priority`, which holds where this is left out. Answers bring none: the run
                goes on with the one it has.
            fairness_key: The same; see `DurableOptions.fairness_key`.

        Returns:
            The events an in-process run would give, as they are committed, superstep by superstep. Leaving the stream
            does not stop the run.

        Raises:
            ValueError: For a combination of arguments the framework refuses, in its words.
            PayloadError: For an argument that cannot travel.
            AlreadyRunningError: When a stream of this facade follows the thread already, and the message is to be
                rejected then.

        While it is iterated it raises what the run raises, or a `DurableWorkflowError`.

        Cost: a run takes 5 history events and each superstep 6; responses 4 more. Following costs no history. A fork
        copies nothing: it takes one read of the other thread's history, and a visibility query if this facade has not
        seen its run.
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
        """Run as `agent_framework.Workflow.run` does; arguments, costs and errors as of `run_stream`.

        Args:
            message: See `run_stream`.
            stream: Return the stream, and let agents emit updates; else an awaitable result.
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
            ValueError: When there are no ids, or one is no id.
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
        """Return a handle to a thread: no round trip.

        Args:
            thread_id: Temporal workflow id of the thread, new or existing; a new unique one when left out.
            tags: Tags that runs started with this handle give the thread; left out, it keeps those it has.

        Raises:
            ValueError: When there are more than 20 tags, or one is empty or longer than 100 characters.
        """
        return Checkpoint(
            workflow_name=self.name,
            thread_id=thread_id or f"{self.name or 'thread'}-{uuid.uuid4()}",
            tags=None if tags is None else list(tags),
        )

    async def checkpoints(self, checkpoint: Checkpoint | str | None = None) -> list[CheckpointInfo]:
        """List the checkpoints of a thread over all its runs, oldest first; no worker is needed, none is decoded.

        Costs one round trip, and another for each 200 events of the thread's history.

        Args:
            checkpoint: The thread's handle, or its id; the facade's own thread when left out.

        Raises:
            ThreadNotFoundError: When there is no such thread, or it belongs to another workflow.
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
        """Begin a new thread from a checkpoint of any thread, edited or as it was.

        Args:
            checkpoint_id: The checkpoint, which stays as it is.
            edit: A function that is given a `CheckpointEdit` and changes it; or JSON data, as `fork --edit` writes it
                or only what of it is to be another, as in `{"state": {"style": "vivid"}}`.
            edited_by: Who edits, for the lineage; the client's identity when left out.
            responses: To requests that are pending in it then.
            stream: Let agents emit updates.
            checkpoint: The new thread; one of a new name when left out.

        Returns:
            The new thread; follow it with `run(checkpoint=...)`.

        Raises:
            EditRefusedError: When what becomes of the checkpoint does not fit the types that its workflow declares,
                naming each place; or when nothing has changed.
            PayloadError: When the facade was made from the workflow's name, or the checkpoint is too large to travel.
            ThreadExistsError: When the new thread has begun already.

        Where the worker takes no checkpoints of its callers' own, the new thread is refused: whoever follows it is
        told. Costs what a fork by `run_stream(checkpoint_id=...)` costs; an edited checkpoint lies in the start's
        event, compressed.
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
        """Let a thread itself go on from an edited copy of its last checkpoint, or of an earlier one.

        The thread is idle, has failed or was cancelled, or waits for responses. Its lineage says who has edited it and
        when; what had happened stays in its history. Requests that are pending then are asked anew, and their
        deadlines begin anew.

        Args:
            checkpoint: The thread; the facade's own when left out. Its handle moves forward.
            edit: See `fork`.
            edited_by: See `fork`.
            checkpoint_id: The checkpoint of this thread to edit; its last one when left out.
            stream: Let agents emit updates.

        Returns:
            The thread's handle; follow it with `run(checkpoint=...)`.

        Raises:
            EditRefusedError: See `fork`.
            PayloadError: See `fork`.
            ThreadNotFoundError: When the thread has not begun.
            AlreadyRunningError: When it is running or paused.
            StaleCheckpointError: When another caller has moved the thread on since the handle was updated.

        Costs a read of the thread's history and the start of a run, which holds the checkpoint, compressed.
        """
        order = EditOrder(edit, editor_name(edited_by, self._client), in_place=True)
        return await self._begin(self._handle(checkpoint), stream=stream, checkpoint_id=checkpoint_id, order=order)

    async def copy_checkpoints(
        self, storage: CheckpointStorage, checkpoint: Checkpoint | str | None = None
    ) -> list[str]:
        """Copy what a storage lacks of a thread's checkpoints, oldest first; no worker is needed.

        For threads that had no mirror, or whose mirror was down when the last worker stopped. It asks the storage once
        for each checkpoint that is lacking and once more, and costs a `save` for each, and two round trips for each 200
        history events.

        Args:
            storage: Takes the copies.
            checkpoint: The thread's handle, or its id; the facade's own thread when left out.

        Returns:
            The ids of the checkpoints that were copied.

        Raises:
            ThreadNotFoundError: When there is no such thread (any more), or it belongs to another workflow.
            PayloadError: When the facade was made from the workflow's name.
            Exception: What the storage raises.
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
            checkpoint: The thread's handle, or its id; the facade's own thread when left out.
            opened: See `export_thread`.

        Raises:
            ThreadNotFoundError: When there is no such thread.
            NotSealedError: When something is to be opened that no key of this client's opens.
        """
        async for line in export_thread(self._client, self._handle(checkpoint), opened=opened):
            yield line

    async def pending_requests(self, checkpoint: Checkpoint | str | None = None) -> list[PendingRequest]:
        """Return what the thread waits for, as plain JSON: one query, which a worker answers.

        Raises:
            ThreadNotFoundError: When the thread has no run.
            NoWorkerError: When no worker answers.
        """
        return await self._caller.queries.pending_requests(self._handle(checkpoint).thread_id)

    async def attempt(self, checkpoint: Checkpoint | str | None = None) -> SuperstepAttempt | None:
        """Return which attempt of a superstep the thread is at, and what ended those before it; one round trip.

        Returns:
            None while no superstep runs.
        """
        return await superstep_attempt(self._client, self._handle(checkpoint).thread_id)

    async def usage(self, checkpoint: Checkpoint | str | None = None) -> RunUsage:
        """Return what the thread's latest run has called so far, and what that cost in tokens.

        A message to a thread that is idle begins a run; what the runs before have cost is theirs. Of a run that was
        cancelled or terminated, the superstep that this has met is not in it.

        Costs two round trips; while the run is open three, one of them a query, which a worker answers. Without one, as
        for a run that was cancelled or terminated, its history is read: a round trip for each 200 events.

        Args:
            checkpoint: The thread's handle, or its id; the facade's own thread when left out.

        Raises:
            ThreadNotFoundError: When there is no such thread, or it belongs to another workflow.
        """
        await self._definition()  # An async factory's name is known only now.
        thread_id = self._handle(checkpoint).thread_id
        return await read_usage(self._client, thread_id, self.name, queries=self._caller.queries)

    async def cost(self, checkpoint: Checkpoint | str | None = None) -> ThreadCost:
        """Return what the thread has cost over all its runs: actions of Temporal Cloud by kind, events and bytes.

        By its histories alone, so no worker is needed, and none of it makes an action. Costs a visibility query, and a
        round trip for each run and for each 200 events.

        Args:
            checkpoint: The thread's handle, or its id; the facade's own thread when left out.

        Raises:
            ThreadNotFoundError: When there is no such thread, or it belongs to another workflow.
        """
        await self._definition()  # An async factory's name is known only now.
        return await thread_cost(self._client, self._handle(checkpoint).thread_id, self.name)

    async def cancel(self, checkpoint: Checkpoint | str | None = None) -> None:
        """Cancel what runs in the thread; the cancellation reaches the running executor. One round trip.

        Raises:
            ThreadNotFoundError: When the thread has no open run.
        """
        await self._caller.queries.cancel(self._handle(checkpoint).thread_id)

    async def retry(self, checkpoint: Checkpoint | str | None = None) -> None:
        """Try again what a paused run failed at; follow it then with `run_stream(checkpoint=...)`.

        For runs with the option `pause_on_failure`; one without it has ended, and `run_stream(checkpoint=...)` resumes
        it. Costs one query and one signal: 4 history events with the workflow task, and those of the superstep.

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
        """Hold the thread's open run before its next superstep, until `continue_`; the one that runs ends in peace.

        A run that waits for responses is held when they come. A stream that follows it goes on when the run does. Costs
        5 history events; a run that is held costs nothing, and survives its workers.

        Args:
            checkpoint: The thread's handle, or its id; the facade's own thread when left out.
            reason: Why, for those who look at its status.
            responder: Who pauses it.

        Raises:
            ThreadNotFoundError: When the thread has no open run.
            NoWorkerError: When no worker answers.
        """
        await self._steer(checkpoint, PAUSE_SIGNAL, PauseSignal(reason=reason, responder=responder))

    async def continue_(self, checkpoint: Checkpoint | str | None = None, *, responder: str | None = None) -> None:
        """Let a run go on that is held, by `pause` or at a breakpoint; costs 5 history events.

        Raises:
            ThreadNotFoundError: When the thread has no open run.
            AlreadyRunningError: When nothing holds it.
            NoWorkerError: When no worker answers.
        """
        await self._steer(checkpoint, CONTINUE_SIGNAL, PauseSignal(responder=responder))

    async def set_breakpoints(self, executors: Sequence[str], checkpoint: Checkpoint | str | None = None) -> None:
        """Pause the thread's open run before supersteps that may run one of these, in place of those before.

        Args:
            executors: Executor ids, or patterns of them; empty for none.
            checkpoint: The thread's handle, or its id; the facade's own thread when left out.

        Raises:
            ValueError: When they are no executor ids.
            ThreadNotFoundError: When the thread has no open run.
            NoWorkerError: When no worker answers.
        """
        await self._steer(checkpoint, BREAKPOINTS_SIGNAL, BreakpointsSignal(executors=check_breakpoints(executors)))

    async def queued_messages(self, checkpoint: Checkpoint | str | None = None) -> list[QueuedMessage]:
        """Return the messages that wait for their turn in the thread, the next one first: one query.

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
            checkpoint: The thread's handle, or its id; the facade's own thread when left out.
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
        """Yield the threads of this workflow, open ones first; costs and errors as of the function `threads`.

        Args:
            **filters: Arguments of `ThreadFilter`, as `state="failed"` or `older_than=timedelta(days=30)`.
        """
        await self._definition()
        filters["workflow_name"] = self.name
        async for info in threads(self._client, **filters):
            yield info

    async def delete(self, checkpoint: Checkpoint | str | None = None, *, terminate: bool = False) -> int:
        """Delete a thread: all its runs, with their histories and so their checkpoints and events, for good.

        The server deletes a moment later. Copies in mirrors and what lies in external storage stay. A fork of the
        thread has its own checkpoints, but the first of them may need this thread's history to be restored.

        Args:
            checkpoint: The thread's handle, or its id; the facade's own thread when left out.
            terminate: End an open run; else a thread that has one is refused.

        Returns:
            How many runs were deleted.

        Raises:
            ThreadNotFoundError: When there is no such thread, or it belongs to another workflow.
            AlreadyRunningError: When a run of it is open.

        Cost: a round trip for each run, a visibility query, and three round trips more.
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
        """Let Temporal begin a thread with a message at fixed times, whether or not any process of ours runs then.

        Each action begins a thread of its own, whose id is the schedule's and the time: Temporal adds that to the id of
        whatever a schedule starts, and by it a thread's overlap with the one before is judged. Its run has the options
        of this facade.

        Args:
            schedule_id: Name of the schedule.
            message: For the start executor; the same each time.
            spec: When; or `cron`.
            cron: When, as five fields (`0 3 * * *`), or several of these.
            time_zone: Of the cron fields, as `Europe/Berlin`; UTC when left out.
            overlap: What becomes of an action while a thread of the schedule runs or waits for a person: `ALLOW_ALL`
                begins another, `SKIP` none, `BUFFER_ONE` and `BUFFER_ALL` begin it when the one before is idle, and
                `CANCEL_OTHER` and `TERMINATE_OTHER` end that.
            catchup_window: How late an action may be made up for that the server could not take; a year.
            pause_on_failure: Pause the schedule when a thread's run has failed; not with `ALLOW_ALL`.
            state: Whether it begins paused, with which note, and for how many actions it is.
            tags: Tags of each thread.

        Returns:
            The SDK's handle, to describe, trigger, pause, continue or delete it.

        Raises:
            PayloadError: When the message cannot travel.
            ThreadExistsError: When there is a schedule of that name.
            SearchAttributesError: When the namespace does not take the search attributes of the options.
            ValueError: When it is not said when, or twice, or for `pause_on_failure` with `ALLOW_ALL`.

        Cost: one round trip; two more for a facade that has not run anything. The schedule itself is no run.
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
        """Change a schedule; what is left out stays as it is, and so do threads that have begun.

        Args:
            schedule_id: Name of the schedule.
            message: What threads are started with from now on, with the options and the task queue of this facade and
                with `tags`; when left out, all that stays.
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
            PayloadError: When the message cannot travel.
            ValueError: When it is said twice when.

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
        """Yield the schedules of this workflow, as the server lists them: about a second after they were made.

        Costs a round trip for each page.
        """
        await self._definition()
        async for info in schedules(self._client, self.name):
            yield info

    def as_agent(
        self, name: str | None = None, *, checkpoint: Checkpoint | str | None = None, **kwargs: Any
    ) -> WorkflowAgent | FunctionalWorkflowAgent:
        """Return a thread as a framework agent, with the behaviour of `Workflow.as_agent`; no round trip.

        Its pending requests are function calls of the agent's response, answered by function results. An agent of a
        thread that waits already, from another process, learns of its requests by `await durable.run(checkpoint=...)`.

        Args:
            name: Name of the agent; the workflow's by default.
            checkpoint: The thread; a new one when left out.
            **kwargs: As for `agent_framework.WorkflowAgent`, or `FunctionalWorkflowAgent` for a functional workflow.

        Raises:
            ValueError: When the start executor takes no list of messages, or the facade has only the workflow's name or
                an async factory.
        """
        if not is_workflow(self._source):
            raise ValueError(
                "`as_agent` needs the workflow's definition: create the facade from an instance or a synchronous factory."
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
                "`as_devui_entity` needs the workflow's definition: create the facade from an instance or a synchronous "
                "factory."
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
