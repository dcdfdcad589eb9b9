"""The facade: a framework workflow that runs on Temporal, with the interface of `agent_framework.Workflow`."""

from __future__ import annotations

import functools
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Literal, Unpack, overload

from agent_framework import (
    CheckpointStorage,
    ResponseStream,
    ToolTypes,
    WorkflowAgent,
    WorkflowEvent,
    WorkflowInvocationKwargs,
    WorkflowRunResult,
    WorkflowRunState,
)
from temporalio.client import Client

from ...workflows.exported import exported
from ..checkpoints.storage import HistoryCheckpointStorage, is_history_of
from ..errors import AlreadyRunningError, ThreadNotFoundError
from ..framework.definition import WorkflowEntry, is_workflow
from ..framework.internals import finalize_events, validate_run_params
from .agent import AgentThread
from .arguments import encode_kwargs, refuse_tools, split_message
from .calls import Call
from .devui import DevUIEntity
from .event_position import settled
from .handle import Checkpoint
from .options import DurableOptions, OptionArguments
from .thread_cursor import ThreadCursors
from .thread_operations import ThreadOperations

InvocationKwargs = WorkflowInvocationKwargs | Mapping[str, Any]
Tools = ToolTypes | Callable[..., Any] | Sequence[ToolTypes | Callable[..., Any]]


@exported
class DurableWorkflow(ThreadOperations):
    """Runs a framework workflow durably on Temporal; use it where you would use the `Workflow` itself.

    Each *thread* is a Temporal workflow id. Without `checkpoint=` the facade keeps a thread of its own, as an
    in-process instance keeps its state; with it, any number of threads run through one facade.

    Args:
        workflow: The workflow's factory or instance, as the worker hosts it: the facade takes types from it and never
            runs it. Or its name: a pure client, whose events carry plain JSON data.
        client: A connected Temporal client. It needs no plugin; its codec and external storage are used.
        task_queue: Where a worker hosts the workflow.
        **options: Arguments of `DurableOptions`.

    Raises:
        HostingError: When the workflow cannot be hosted, or the client has a payload converter of its own.
        ValueError: For an option that cannot work.
    """

    def __init__(
        self,
        workflow: WorkflowEntry | str,
        *,
        client: Client,
        task_queue: str,
        **options: Unpack[OptionArguments],
    ) -> None:
        super().__init__(workflow, client, task_queue, DurableOptions(**options))
        self._status = WorkflowRunState.IDLE
        self._cursors = ThreadCursors()
        self._active: weakref.WeakValueDictionary[str, ResponseStream[Any, Any]] = weakref.WeakValueDictionary()

    @property
    def status(self) -> WorkflowRunState:
        """State the caller of the last run has seen, in step with the events it was given."""
        return self._status

    def run_stream(
        self,
        message: Any | None = None,
        *,
        responses: Mapping[str, Any] | None = None,
        checkpoint: Checkpoint | None = None,
        checkpoint_id: str | None = None,
        checkpoint_storage: CheckpointStorage | None = None,
        after: int | None = None,
        tools: Tools | None = None,
        function_invocation_kwargs: InvocationKwargs | None = None,
        client_kwargs: InvocationKwargs | None = None,
    ) -> ResponseStream[WorkflowEvent, WorkflowRunResult]:
        """Start, answer, or follow a run, and stream its events; `run(stream=True)` is the same.

        Args:
            message: Message for the start executor. A list made only of `Response` objects is responses; a one-element
                list is unwrapped if the start executor takes its element and not the list.
            responses: Responses to pending requests, by request id.
            checkpoint: The thread to go on with, alone: follow what runs, or resume what failed.
            checkpoint_id: Begin a new thread from that checkpoint, as it was or with `responses`: of any thread of this
                workflow (`checkpoints` lists them), which stays as it is, or of `checkpoint_storage`.
            checkpoint_storage: Takes a copy of each checkpoint as the stream passes it; history stays the truth. One
                that fails is logged, as in process. With `checkpoint_id` it is where that checkpoint is, too.
            after: With `checkpoint` alone: give the thread's events with a greater offset, from -1 for all of them, and
                do not resume a run that failed. Left out, it is the handle's own offset.
            tools: Refused: live objects cannot travel.
            function_invocation_kwargs: Passed to tools, as JSON.
            client_kwargs: Passed to chat clients, as JSON.

        Returns:
            The events an in-process run would give, as they are committed, superstep by superstep. Leaving the stream
            does not stop the run.

        Raises:
            ValueError: For a combination of arguments the framework refuses, in its words.
            PayloadError: For an argument that cannot travel.
            AlreadyRunningError: When a stream of this facade follows the thread already.

        While it is iterated it raises what the run raises, or one of the errors in `adapter.errors`.

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
        )

    @overload
    def run(
        self,
        message: Any | None = None,
        *,
        stream: Literal[True],
        responses: Mapping[str, Any] | None = None,
        checkpoint: Checkpoint | None = None,
        checkpoint_id: str | None = None,
        checkpoint_storage: CheckpointStorage | None = None,
        tools: Tools | None = None,
        function_invocation_kwargs: InvocationKwargs | None = None,
        client_kwargs: InvocationKwargs | None = None,
    ) -> ResponseStream[WorkflowEvent, WorkflowRunResult]: ...

    @overload
    def run(
        self,
        message: Any | None = None,
        *,
        stream: Literal[False] = ...,
        responses: Mapping[str, Any] | None = None,
        checkpoint: Checkpoint | None = None,
        checkpoint_id: str | None = None,
        checkpoint_storage: CheckpointStorage | None = None,
        include_status_events: bool = False,
        tools: Tools | None = None,
        function_invocation_kwargs: InvocationKwargs | None = None,
        client_kwargs: InvocationKwargs | None = None,
    ) -> Awaitable[WorkflowRunResult]: ...

    def run(
        self,
        message: Any | None = None,
        *,
        stream: bool = False,
        responses: Mapping[str, Any] | None = None,
        checkpoint: Checkpoint | None = None,
        checkpoint_id: str | None = None,
        checkpoint_storage: CheckpointStorage | None = None,
        include_status_events: bool = False,
        tools: Tools | None = None,
        function_invocation_kwargs: InvocationKwargs | None = None,
        client_kwargs: InvocationKwargs | None = None,
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
        )
        return response_stream if stream else response_stream.get_final_response()

    async def cancel_pending_requests(
        self,
        request_ids: Collection[str],
        *,
        checkpoint: Checkpoint | None = None,
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

    def as_agent(
        self, name: str | None = None, *, checkpoint: Checkpoint | None = None, **kwargs: Any
    ) -> WorkflowAgent:
        """Return a thread as a framework agent, with the behaviour of `Workflow.as_agent`; no round trip.

        Its pending requests are function calls of the agent's response, answered by function results. An agent of a
        thread that waits already, from another process, learns of its requests by `await durable.run(checkpoint=...)`.

        Args:
            name: Name of the agent; the workflow's by default.
            checkpoint: The thread; a new one when left out.
            **kwargs: As for `agent_framework.WorkflowAgent`.

        Raises:
            ValueError: When the start executor takes no list of messages, or the facade has only the workflow's name or
                an async factory.
        """
        if not is_workflow(self._entry):
            raise ValueError(
                "`as_agent` needs the workflow's definition: make the facade from an instance or a synchronous factory."
            )
        handle = checkpoint if checkpoint is not None else self.checkpoint()
        thread: Any = AgentThread(self.run, self._entry, handle, self._cursors.of(handle))
        return WorkflowAgent(
            thread,
            name=name if name is not None else self._entry.name,
            **{"description": self._entry.description, **kwargs},
        )

    def as_devui_entity(self) -> DevUIEntity:
        """Return what agent-framework's DevUI can serve: `serve(entities=[durable.as_devui_entity()])`; no round trip.

        Raises:
            ValueError: When the facade has only the workflow's name or an async factory: DevUI shows the graph.
        """
        if not is_workflow(self._entry):
            raise ValueError(
                "`as_devui_entity` needs the workflow's definition: make the facade from an instance or a synchronous "
                "factory."
            )
        return DevUIEntity(self.run, self.checkpoint, self._entry)

    def _stream(
        self,
        message: Any | None,
        *,
        stream: bool,
        responses: Mapping[str, Any] | None,
        checkpoint: Checkpoint | None,
        checkpoint_id: str | None,
        checkpoint_storage: CheckpointStorage | None,
        include_status_events: bool,
        after: int | None,
        tools: Tools | None,
        function_invocation_kwargs: InvocationKwargs | None,
        client_kwargs: InvocationKwargs | None,
        cancelled: list[str] | None = None,
    ) -> ResponseStream[WorkflowEvent, WorkflowRunResult]:
        message, responses = split_message(message, responses)
        given = message is not None or responses is not None or checkpoint_id is not None
        if cancelled is None and (checkpoint is None or given):
            validate_run_params(message, responses, checkpoint_id)
        if after is not None and (
            checkpoint is None or not (message is None and responses is None and checkpoint_id is None)
        ):
            raise ValueError("'after' says where to read on: give it with 'checkpoint' alone.")
        if tools is not None:
            refuse_tools()
        handle = self._handle(checkpoint)
        if self.name and handle.workflow_name and handle.workflow_name != self.name:
            raise ThreadNotFoundError(
                f"Checkpoint of thread {handle.thread_id!r} is of workflow {handle.workflow_name!r}, not of "
                f"{self.name!r}. Use the facade of that workflow."
            )
        if self._active.get(handle.thread_id) is not None:
            raise AlreadyRunningError(
                f"Thread {handle.thread_id!r} is already running; concurrent runs are not allowed on the same thread. "
                "Read the stream to its end, drop it, or use a thread of its own: `checkpoint=durable.checkpoint()`."
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
            function_invocation_kwargs=encode_kwargs("function_invocation_kwargs", function_invocation_kwargs),
            client_kwargs=encode_kwargs("client_kwargs", client_kwargs),
        )
        response_stream = ResponseStream[WorkflowEvent, WorkflowRunResult](
            self._events(call, handle),
            finalizer=functools.partial(_finalize, include_status_events=include_status_events),
        )
        self._active[handle.thread_id] = response_stream
        return response_stream

    async def _events(self, call: Call, handle: Checkpoint) -> AsyncIterator[WorkflowEvent[Any]]:
        mine = self._active.get(handle.thread_id)
        token = id(mine)
        del mine  # The caller's reference alone keeps the thread taken.
        try:
            hosted = await self._definition()
            handle.workflow_name = self.name
            cursor = self._cursors.of(handle)
            async for event in self._caller.events(call, handle, cursor, self.name, hosted):
                cursor.note(event, call.responses or ())
                self._status = cursor.status
                yield event
        finally:
            if id(self._active.get(handle.thread_id)) == token:
                del self._active[handle.thread_id]


def _finalize(events: Sequence[WorkflowEvent[Any]], *, include_status_events: bool) -> WorkflowRunResult:
    return finalize_events(settled(events), include_status_events=include_status_events)
