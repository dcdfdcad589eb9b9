"""One superstep through the framework's own `Workflow.run`, stopped after it.

The framework saves a checkpoint and then yields `superstep_completed`; closing the stream there is all it takes. What
needs care is that the events, over all supersteps, are those of one in-process run: each restore repeats some, and each
inner run has a beginning of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agent_framework import (
    Workflow,
    WorkflowCheckpoint,
    WorkflowConvergenceException,
    WorkflowErrorDetails,
    WorkflowEvent,
    WorkflowEventSource,
    WorkflowRunState,
)
from agent_framework.observability import OBSERVABILITY_SETTINGS
from temporalio import activity

from ..adapter.checkpoints.logged_events import EventWriter
from ..adapter.framework.catalog import TypeCatalog, executors_of
from ..adapter.framework.definition import WorkflowDefinition
from ..adapter.framework.functional import FunctionalInstance
from ..adapter.framework.internals import (
    EXECUTOR_STATE,
    cancellation,
    coerce_response,
    count_anew,
    drop_restored_events,
    forget_updates,
    has_messages,
    new_event,
    pending_events,
    set_previous_checkpoint_id,
    set_streaming,
    share_sessions,
    without_pending_warning,
    without_run_span,
)
from ..adapter.framework.tracing import below
from ..adapter.framework.values import validation_errors
from ..workflows.messages import SuperstepInput
from .capturing_storage import CapturingStorage
from .containment import Scope, containing, escaped, is_leaving
from .executor_rules import ExecutorTimeouts
from .invocation import started
from .journal.invocations import journal_invocations, settle
from .live_events import LiveEvents
from .warm import Stream, WarmInstance


class SuperstepError(Exception):
    """An inner run raised `error`."""

    def __init__(self, error: Exception) -> None:
        super().__init__()  # Without its text, which is the error's own code.
        self.error = error


class FrameworkRun:
    """The events of one superstep, and where they leave the workflow.

    Args:
        writer: Takes the events' records.
        warm: Takes them as well, for readers of a superstep that is still running; None where nobody asked.
    """

    def __init__(self, writer: EventWriter, warm: LiveEvents | None) -> None:
        self.writer = writer
        self._warm = warm
        self._types: set[str] = set()
        self._superstep = 0
        self._failed_untold = False
        self.function_began = False
        """After a failure: whether the function of a functional workflow was called."""
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
        """Whether user code raised or took too long, in contrast to the framework refusing to run."""
        return self._failed_untold or self.function_began or "executor_failed" in self._types

    def add(self, event: WorkflowEvent[Any], superstep: int) -> None:
        """Take an event of a superstep; 0 before the first."""
        self.writer.add(event, superstep)
        self._types.add(event.type)
        self._superstep = superstep
        if event.type == "executor_failed" and self.failed_executor is None:
            self.failed_executor = event.executor_id
        if self._warm is not None:
            record = self.writer.records[-1]
            self._warm.add(record, event, self.writer.readable_of(record))

    def add_timeout(self, error: TimeoutError) -> None:
        """Tell of a superstep that took too long as the framework tells of a failure."""
        self._failed_untold = True
        self._add_failed(WorkflowErrorDetails(error_type=type(error).__name__, message=str(error)))

    def add_failure(self, error: Exception, executor_id: str | None) -> None:
        """Tell of what the framework let through as it tells of a failure.

        Args:
            error: What user code let out.
            executor_id: Whose handler it was; None for user code outside of one.
        """
        self._failed_untold = True
        sensitive = OBSERVABILITY_SETTINGS.SENSITIVE_DATA_ENABLED
        details = WorkflowErrorDetails.from_exception(error, include_sensitive_data=sensitive)
        if executor_id is not None and self.failed_executor is None:
            origin = WorkflowEventSource.FRAMEWORK
            failed = new_event("executor_failed", executor_id=executor_id, details=details, origin=origin)
            self.add(failed, self._superstep)
        if not self.failed:
            self._add_failed(details)

    def _add_failed(self, details: WorkflowErrorDetails) -> None:
        self.add(new_event("failed", details=details, origin=WorkflowEventSource.FRAMEWORK), self._superstep)
        status = new_event("status", state=WorkflowRunState.FAILED, origin=WorkflowEventSource.FRAMEWORK)
        self.add(status, self._superstep)


@dataclass(frozen=True)
class RunArguments:
    """What the caller of the run gave, decoded."""

    message: Any = None
    responses: Mapping[str, Any] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    """Of the responses those that could not be decoded, each with the reason."""
    function_invocation_kwargs: Any = None
    client_kwargs: Any = None


RunFunction: TypeAlias = Callable[
    [
        FunctionalInstance,
        TypeCatalog,
        CapturingStorage,
        SuperstepInput,
        RunArguments,
        FrameworkRun,
        ExecutorTimeouts,
    ],
    Awaitable[None],
]
"""`functional_run.run_to_pause`."""


async def run_superstep(
    hosted: WorkflowDefinition,
    warm: WarmInstance,
    step: SuperstepInput,
    arguments: RunArguments,
    run: FrameworkRun,
    scope: Scope,
    run_function: RunFunction,
) -> None:
    """Run one superstep and collect its events in `run`; the checkpoints go to `live.capture`.

    Afterwards the framework's run is suspended in `live` if another superstep follows, else it is over.

    Args:
        hosted: The hosted workflow.
        warm: The instance to run. One just built is restored from its capture's base; one that holds the base already
            goes on as it is.
        step: What to run.
        arguments: The caller's message or responses.
        run: Takes the events, also those before an error.
        scope: Contains what the executors let out, and has their time limits.
        run_function: Runs a functional workflow to its next pause.

    Raises:
        SuperstepError: When the framework or an executor raises, or an attempt or an invocation takes too long.
    """
    journal_invocations(warm.workflow)
    with (
        without_pending_warning(),
        below(step.trace),
        without_run_span(warm.workflow),
        containing(warm.workflow, scope),
    ):
        try:
            async with scope.timeouts.limited():
                if isinstance(warm.workflow, FunctionalInstance):
                    await run_function(
                        *(warm.workflow, hosted.catalog, warm.capture, step, arguments, run, scope.timeouts)
                    )
                elif warm.stream is None:
                    dropping = step.mode == "continue"
                    warm.stream = await _begin(hosted, warm, step, arguments, run)
                else:
                    dropping = False  # Nothing is restored, so nothing is told again.
                if warm.stream is not None:
                    await _collect(hosted, warm, warm.stream, step, run, scope.timeouts, dropping=dropping)
        except Exception as error:
            await settle()
            await warm.close()
            if isinstance(error, TimeoutError) and not run.failed:
                overdue = scope.timeouts.overdue()
                run.failed_executor = overdue.executor_id
                error = TimeoutError(overdue.text)
                run.add_timeout(error)
            run.in_flight = not hosted.is_functional and await has_messages(warm.workflow)
            raise SuperstepError(error) from error
        except BaseException as error:
            # A cancellation: the executors hear of it before the activity reports it.
            await warm.close()
            if is_leaving(error, is_cancelled=activity.is_cancelled()):
                raise
            failure = escaped(error)
            run.add_failure(failure, scope.cancelled if isinstance(error, asyncio.CancelledError) else None)
            run.in_flight = not hosted.is_functional and await has_messages(warm.workflow)
            raise SuperstepError(failure) from error
        if run.finished:
            await warm.close()
        if not hosted.is_functional:
            run.pending = list((await pending_events(warm.workflow)).values())


async def _begin(
    hosted: WorkflowDefinition, warm: WarmInstance, step: SuperstepInput, arguments: RunArguments, run: FrameworkRun
) -> Stream | None:
    """Start the framework's run; None when every response was rejected, so that nothing runs."""
    workflow, capture = warm.workflow, warm.capture
    kwargs = {
        "function_invocation_kwargs": arguments.function_invocation_kwargs,
        "client_kwargs": arguments.client_kwargs,
    }
    if step.mode in ("resume", "continue"):
        if capture.base is None:
            raise ValueError(f"A superstep of mode {step.mode!r} needs a checkpoint to continue from.")
        return workflow.run(checkpoint_id=capture.base.checkpoint_id, checkpoint_storage=capture, stream=True)
    if warm.raw is None or capture.base is not None:
        await _restore(hosted, workflow, capture)
    if step.recount:
        count_anew(workflow)
    if step.mode == "cancel":
        return await cancellation(workflow, list(arguments.responses), capture, **kwargs)
    if step.mode == "message":
        return workflow.run(arguments.message, checkpoint_storage=capture, stream=True, **kwargs)
    base = capture.base
    together = any(answer.call_id is not None for answer in step.responses or [])
    accepted = await _accepted(workflow, arguments, run, together=together)
    if run.rejected and not together:
        _explain(step, await pending_events(workflow), run)
    if run.rejected and not accepted:
        return None
    if base is not None and step.restores:
        # The caller has given a checkpoint with the responses: the framework tells of what is restored as well.
        return workflow.run(
            checkpoint_id=base.checkpoint_id, responses=accepted, checkpoint_storage=capture, stream=True, **kwargs
        )
    return workflow.run(responses=accepted, checkpoint_storage=capture, stream=True, **kwargs)


async def _collect(
    hosted: WorkflowDefinition,
    warm: WarmInstance,
    stream: Stream,
    step: SuperstepInput,
    run: FrameworkRun,
    timeouts: ExecutorTimeouts,
    *,
    dropping: bool,
) -> None:
    workflow, capture = warm.workflow, warm.capture
    superstep = 0
    pending_status = step.pending_status
    async for event in stream:
        timeouts.told(event.executor_id)
        if event.type == "superstep_started":
            dropping = False
            superstep = event.iteration or 0
            started(superstep)
            # The inner run has to be a stream, or it could not be stopped; what agents emit is the caller's choice.
            set_streaming(workflow, step.streaming)
            await drop_restored_events(workflow)
            if warm.raw is None or capture.base is not None:  # It has been restored.
                share_sessions(executors_of(workflow), hosted.session_groups)
        if _is_pending_status(event):
            # Once for the caller's run, not for each inner run: emitted below, or here for a request that is restored
            # and answered at once, which is not told of.
            if step.restores and not pending_status:
                pending_status = True
                run.add(_pending_status(), superstep)
            continue
        if event.type == "request_info" and event.request_id in step.answered:
            continue  # The framework hides requests that this run was given responses for.
        if dropping and not _is_failure(event):
            continue
        run.add(event, superstep)
        if event.type == "request_info" and not pending_status:
            pending_status = True
            run.add(_pending_status(), superstep)
        if event.type == "superstep_completed" and capture.must_continue(superstep, workflow.max_iterations):
            forget_updates(stream)
            return
    run.finished = True


async def _restore(hosted: WorkflowDefinition, workflow: Workflow, capture: CapturingStorage) -> None:
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
    stream = workflow.run(
        checkpoint_id=base.checkpoint_id, checkpoint_storage=CapturingStorage.holding(base), stream=True
    )
    try:
        async with _closing(stream):
            async for event in stream:
                if event.type == "superstep_started":
                    break
    except WorkflowConvergenceException:
        pass  # The thread had failed at its last superstep; its state is restored all the same.
    await drop_restored_events(workflow)
    share_sessions(executors_of(workflow), hosted.session_groups)
    if new_thread:
        set_previous_checkpoint_id(workflow, None)


async def _accepted(
    workflow: Workflow, arguments: RunArguments, run: FrameworkRun, *, together: bool
) -> dict[str, Any]:
    """Validate responses one by one: the framework refuses a whole batch for one bad response.

    Args:
        workflow: The restored workflow.
        arguments: With the responses.
        run: Takes the reasons of the rejected ones.
        together: Whether they are one call of the facade, which has the framework's own rule: all of them or none.
    """
    pending = await pending_events(workflow)
    if not pending:
        return dict(arguments.responses)  # The framework refuses them in its own words.
    accepted: dict[str, Any] = {}
    for request_id, response in arguments.responses.items():
        event = pending.get(request_id)
        if event is None:
            run.rejected[request_id] = f"Response provided for unknown request ID: {request_id}"
            continue
        if request_id in arguments.refused:
            run.rejected[request_id] = arguments.refused[request_id]
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
