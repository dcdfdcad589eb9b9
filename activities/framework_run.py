"""One superstep through the framework's own `Workflow.run`, stopped after it.

The framework saves a checkpoint and then yields `superstep_completed`; closing the stream there is all it takes. What
needs care is that the events, over all supersteps, are those of one in-process run: each restore repeats some, and each
inner run has a beginning of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from agent_framework import (
    Workflow,
    WorkflowCheckpoint,
    WorkflowConvergenceException,
    WorkflowErrorDetails,
    WorkflowEvent,
    WorkflowEventSource,
    WorkflowRunState,
)

from ..adapter.checkpoints.records import RecordWriter
from ..adapter.framework.definition import HostedWorkflow
from ..adapter.framework.internals import (
    EXECUTOR_STATE,
    cancellation,
    coerce_response,
    drop_restored_events,
    forget_updates,
    has_messages,
    new_event,
    pending_events,
    set_previous_checkpoint_id,
    set_streaming,
    without_pending_warning,
)
from ..adapter.framework.values import validation_errors
from ..workflows.messages import SuperstepInput
from .capture import Capture
from .executor_rules import ExecutorTimeouts
from .invocation import started
from .live_events import LiveEvents
from .warm import LiveRun, Stream


class SuperstepError(Exception):
    """An inner run raised `error`."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class FrameworkRun:
    """The events of one superstep, and where they leave the workflow.

    Args:
        writer: Takes the events' records.
        live: Takes them as well, for readers of a superstep that is still running; None where nobody asked.
    """

    def __init__(self, writer: RecordWriter, live: LiveEvents | None) -> None:
        self.writer = writer
        self._live = live
        self._types: set[str] = set()
        self._superstep = 0
        self._timed_out = False
        self.failed_executor: str | None = None
        """Who raised or took too long, the first if there were several."""
        self.rejected: dict[str, str] = {}
        self.pending: list[WorkflowEvent[Any]] = []
        self.finished = False
        """Whether the framework's run came to its end, idle or with pending requests."""
        self.in_flight = False
        """After a failure: whether the framework still holds messages."""

    @property
    def failed(self) -> bool:
        """Whether the framework has told of a failure."""
        return "failed" in self._types

    @property
    def executor_failed(self) -> bool:
        """Whether an executor raised or took too long, in contrast to the framework refusing to run."""
        return self._timed_out or "executor_failed" in self._types

    def add(self, event: WorkflowEvent[Any], superstep: int) -> None:
        """Take an event of a superstep; 0 before the first."""
        self.writer.add(event, superstep)
        self._types.add(event.type)
        self._superstep = superstep
        if event.type == "executor_failed" and self.failed_executor is None:
            self.failed_executor = event.executor_id
        if self._live is not None:
            self._live.add(self.writer.records[-1], event)

    def add_timeout(self, error: TimeoutError) -> None:
        """Tell of a superstep that took too long as the framework tells of a failure."""
        self._timed_out = True
        details = WorkflowErrorDetails(error_type=type(error).__name__, message=str(error))
        self.add(new_event("failed", details=details, origin=WorkflowEventSource.FRAMEWORK), self._superstep)
        status = new_event("status", state=WorkflowRunState.FAILED, origin=WorkflowEventSource.FRAMEWORK)
        self.add(status, self._superstep)


@dataclass(frozen=True)
class RunArguments:
    """What the caller of the run gave, decoded."""

    message: Any = None
    responses: Mapping[str, Any] = field(default_factory=dict)
    function_invocation_kwargs: Any = None
    client_kwargs: Any = None


async def run_superstep(
    hosted: HostedWorkflow, live: LiveRun, step: SuperstepInput, arguments: RunArguments, run: FrameworkRun
) -> None:
    """Run one superstep and collect its events in `run`; the checkpoints go to `live.capture`.

    Afterwards the framework's run is suspended in `live` if another superstep follows, else it is over.

    Args:
        hosted: The hosted workflow.
        live: The instance to run. One just built is restored from its capture's base; one that holds the base already
            goes on as it is.
        step: What to run.
        arguments: The caller's message or responses.
        run: Takes the events, also those before an error.

    Raises:
        SuperstepError: When the framework or an executor raises, or an attempt or an invocation takes too long.
    """
    timeouts = ExecutorTimeouts(step)
    with without_pending_warning():
        try:
            async with timeouts.running():
                if live.stream is None:
                    dropping = step.mode == "continue"
                    live.stream = await _begin(hosted, live, step, arguments, run)
                else:
                    dropping = False  # Nothing is restored, so nothing is told again.
                if live.stream is not None:
                    await _collect(live.workflow, live.stream, step, live.capture, run, timeouts, dropping=dropping)
        except Exception as error:
            await live.close()
            if isinstance(error, TimeoutError) and not run.failed:
                run.failed_executor, seconds = timeouts.overdue()
                who = f"Executor {run.failed_executor!r}" if run.failed_executor else "The superstep"
                error = TimeoutError(f"{who} took longer than {seconds:g} seconds.")
                run.add_timeout(error)
            run.in_flight = await has_messages(live.workflow)
            raise SuperstepError(error) from error
        except BaseException:  # A cancellation: the executors hear of it before the activity reports it.
            await live.close()
            raise
        if run.finished:
            await live.close()
        run.pending = list((await pending_events(live.workflow)).values())


async def _begin(
    hosted: HostedWorkflow, live: LiveRun, step: SuperstepInput, arguments: RunArguments, run: FrameworkRun
) -> Stream | None:
    """Start the framework's run; None when every response was rejected, so that nothing runs."""
    workflow, capture = live.workflow, live.capture
    kwargs = {
        "function_invocation_kwargs": arguments.function_invocation_kwargs,
        "client_kwargs": arguments.client_kwargs,
    }
    if step.mode in ("resume", "continue"):
        if capture.base is None:
            raise ValueError(f"A superstep of mode {step.mode!r} needs a checkpoint to go on from.")
        return workflow.run(checkpoint_id=capture.base.checkpoint_id, checkpoint_storage=capture, stream=True)
    if live.raw is None or capture.base is not None:
        await _restore(hosted, workflow, capture)
    if step.mode == "cancel":
        return await cancellation(workflow, list(arguments.responses), capture, **kwargs)
    if step.mode == "message":
        return workflow.run(arguments.message, checkpoint_storage=capture, stream=True, **kwargs)
    together = any(answer.call_id is not None for answer in step.responses or [])
    accepted = await _accepted(workflow, arguments.responses, run, together=together)
    if run.rejected and not together:
        _explain(step, await pending_events(workflow), run)
    if run.rejected and not accepted:
        return None
    return workflow.run(responses=accepted, checkpoint_storage=capture, stream=True, **kwargs)


async def _collect(
    workflow: Workflow,
    stream: Stream,
    step: SuperstepInput,
    capture: Capture,
    run: FrameworkRun,
    timeouts: ExecutorTimeouts,
    *,
    dropping: bool,
) -> None:
    superstep = 0
    pending_status = step.pending_status
    async for event in stream:
        if event.type == "superstep_started":
            dropping = False
            superstep = event.iteration or 0
            started(superstep)
            # The inner run has to be a stream, or it could not be stopped; what agents emit is the caller's choice.
            set_streaming(workflow, step.streaming)
            await drop_restored_events(workflow)
        if _is_pending_status(event):
            continue  # Once for the caller's run, not for each inner run: emitted below.
        if event.type == "request_info" and event.request_id in step.answered:
            continue  # The framework hides requests that this run was given responses for.
        if dropping and not _is_failure(event):
            continue
        timeouts.note(event)
        run.add(event, superstep)
        if event.type == "request_info" and not pending_status:
            pending_status = True
            run.add(_pending_status(), superstep)
        if event.type == "superstep_completed" and capture.must_continue(superstep, workflow.max_iterations):
            forget_updates(stream)
            return
    run.finished = True


async def _restore(hosted: HostedWorkflow, workflow: Workflow, capture: Capture) -> None:
    """Bring the instance to the capture's base without running anything.

    The framework refuses `message` together with `checkpoint_id`, so the checkpoint is restored by a run that is closed
    before its first superstep; the instance then takes the message or responses as it would in process.
    """
    base = capture.base
    if base is None:
        if not hosted.is_instance:
            return
        # A shared instance may have served another thread before.
        base = WorkflowCheckpoint(
            workflow_name=hosted.name,
            graph_signature_hash=hosted.graph_hash,
            state={EXECUTOR_STATE: dict(hosted.pristine_state)} if hosted.pristine_state else {},
        )
    new_thread = capture.base is None
    stream = workflow.run(checkpoint_id=base.checkpoint_id, checkpoint_storage=Capture.holding(base), stream=True)
    try:
        async with _closing(stream):
            async for event in stream:
                if event.type == "superstep_started":
                    break
    except WorkflowConvergenceException:
        pass  # The thread had failed at its last superstep; its state is restored all the same.
    await drop_restored_events(workflow)
    if new_thread:
        set_previous_checkpoint_id(workflow, None)


async def _accepted(
    workflow: Workflow, responses: Mapping[str, Any], run: FrameworkRun, *, together: bool
) -> dict[str, Any]:
    """Validate responses one by one: the framework refuses a whole batch for one bad response.

    Args:
        workflow: The restored workflow.
        responses: By request id.
        run: Takes the reasons of the rejected ones.
        together: Whether they are one call of the facade, which has the framework's own rule: all of them or none.
    """
    pending = await pending_events(workflow)
    if not pending:
        return dict(responses)  # The framework refuses them in its own words.
    accepted: dict[str, Any] = {}
    for request_id, response in responses.items():
        event = pending.get(request_id)
        if event is None:
            run.rejected[request_id] = f"Response provided for unknown request ID: {request_id}"
            continue
        try:
            accepted[request_id] = coerce_response(response, event.response_type, request_id)
        except ValueError as error:
            run.rejected[request_id] = str(error)
    if together and run.rejected:
        for request_id in accepted:
            run.rejected[request_id] = "Not delivered: another response of the same call was refused."
        return {}
    return accepted


def _explain(step: SuperstepInput, pending: Mapping[str, WorkflowEvent[Any]], run: FrameworkRun) -> None:
    """Add what is wrong with refused answers from outside, and warn of them where the thread's readers see it."""
    for answer in step.responses or []:
        error, event = run.rejected.get(answer.request_id), pending.get(answer.request_id)
        if error is None:
            continue
        if event is not None:
            error = "; ".join([error, *validation_errors(answer.response, event.response_type)])
            run.rejected[answer.request_id] = error
        warning = f"The answer to request {answer.request_id!r} is refused: {error}"
        run.add(new_event("warning", data=warning, origin=WorkflowEventSource.FRAMEWORK), 0)


@asynccontextmanager
async def _closing(stream: Stream) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await stream.close()


def _pending_status() -> WorkflowEvent[Any]:
    return new_event(
        "status", state=WorkflowRunState.IN_PROGRESS_PENDING_REQUESTS, origin=WorkflowEventSource.FRAMEWORK
    )


def _is_pending_status(event: WorkflowEvent[Any]) -> bool:
    return event.type == "status" and event.state == WorkflowRunState.IN_PROGRESS_PENDING_REQUESTS


def _is_failure(event: WorkflowEvent[Any]) -> bool:
    return event.type in ("executor_failed", "failed", "error") or (
        event.type == "status" and event.state == WorkflowRunState.FAILED
    )
