"""One run of a functional workflow, from a message, responses or a checkpoint to its next pause or its end.

The framework runs the function anew each time and gives each finished step what it returned before. It collects the
events, and gives them at the pause; here they are told as they are made. A step that has finished is an entry of the
superstep's journal: should the worker be lost, the next attempt takes it from there, and tells of it as it was.
"""

from __future__ import annotations

import contextlib
import dataclasses
from contextvars import ContextVar
from typing import Any

from agent_framework import RunContext, WorkflowCheckpoint, WorkflowEvent, WorkflowEventSource, WorkflowRunState

from ..adapter.encoding.decoding import loads
from ..adapter.encoding.encoding import dumps
from ..adapter.errors import PayloadError
from ..adapter.framework.catalog import TypeCatalog
from ..adapter.framework.functional import FunctionalInstance
from ..adapter.framework.internals import (
    FinishedStep,
    coerce_response,
    first_checkpoint,
    function_began,
    new_event,
    observed_run,
)
from ..adapter.framework.static import type_key
from ..workflows.messages import SuperstepInput
from .capturing_storage import CapturingStorage
from .executor_rules import ExecutorTimeouts
from .framework_run import FrameworkRun, RunArguments
from .journal.doubt import is_given_up, is_watched_step, step_begins
from .journal.journal import Scope, current_scope, enter, journalled

_ANSWERS = "answers"
"""Key of a checkpoint's metadata: what has been answered since the message, by request id. The function runs anew each
time, and asks again what nobody gives it."""
_SCALARS = (str, int, float, bool, bytes, type(None))
_open: ContextVar[tuple[contextlib.ExitStack, ...]] = ContextVar("agent_framework_temporal_open_steps", default=())
"""What the steps that run have entered, the innermost last."""


async def run_to_pause(
    workflow: FunctionalInstance,
    catalog: TypeCatalog,
    capture: CapturingStorage,
    step: SuperstepInput,
    arguments: RunArguments,
    run: FrameworkRun,
    timeouts: ExecutorTimeouts,
) -> None:
    """Run a functional workflow to its next pause or its end.

    Args:
        workflow: An instance just built.
        catalog: The types that may be stored.
        capture: Takes the checkpoint.
        step: What to run.
        arguments: The caller's message or responses.
        run: Takes the events, also those before an error.
        timeouts: Limit the steps that have a policy.

    Raises:
        Exception: What the function raises.
    """
    base = capture.base
    answers = _Answers(base if step.mode != "message" else None, catalog)
    kwargs = {
        name: value
        for name, value in (
            ("function_invocation_kwargs", arguments.function_invocation_kwargs),
            ("client_kwargs", arguments.client_kwargs),
        )
        if value is not None
    }
    if step.mode == "message":
        kwargs["message"] = arguments.message
    elif base is None:
        raise ValueError(f"A superstep of mode {step.mode!r} needs a checkpoint to continue from.")
    else:
        if step.mode in ("responses", "cancel") and not _accept(step, arguments, base, answers, run):
            run.pending = list(base.pending_request_info_events.values())
            return
        kwargs["checkpoint_id"] = base.checkpoint_id
        if answers.given:
            kwargs["responses"] = answers.given
    storage = _StepStorage(capture, answers)
    observer = _Observer(run, catalog, timeouts, streaming=step.streaming)
    try:
        with observed_run(observer), journalled(_body_scope(workflow.name)):
            stream = workflow.run(stream=True, checkpoint_storage=storage, **kwargs)
            async for event in stream:
                if not observer.has_told(event):
                    run.add(event, 0)
    except Exception:
        run.function_began = function_began(observer.context)
        if run.function_began and step.mode in ("message", "responses"):
            await storage.enter(base, workflow, arguments.message)
        raise
    storage.check()
    pending = storage.last.pending_request_info_events if storage.last is not None else {}
    run.pending = [event for name, event in pending.items() if name in observer.asked]
    run.finished = True


def _body_scope(name: str) -> Scope | None:
    """Return the scope of what the function calls outside of its steps."""
    around = current_scope()
    return None if around is None else Scope(around.journal, f"{around.key}body/", name)


def _accept(
    step: SuperstepInput,
    arguments: RunArguments,
    base: WorkflowCheckpoint,
    answers: _Answers,
    run: FrameworkRun,
) -> bool:
    """Validate responses one by one; what the facade sends together is delivered as a whole or not at all."""
    pending = base.pending_request_info_events
    accepted: dict[str, Any] = {}
    for request_id, response in arguments.responses.items():
        event = pending.get(request_id)
        if step.mode == "cancel":
            run.rejected[request_id] = (
                "A functional workflow cannot continue from a cancelled request: answer the request instead."
            )
        elif event is None:
            run.rejected[request_id] = f"Response provided for unknown request ID: {request_id}"
        elif request_id in arguments.refused:
            run.rejected[request_id] = arguments.refused[request_id]
        else:
            try:
                # The framework takes None for an answer, whatever the type.
                accepted[request_id] = (
                    None if response is None else coerce_response(response, event.response_type, request_id)
                )
            except ValueError as error:
                run.rejected[request_id] = str(error)
    together = any(answer.call_id is not None for answer in step.responses or [])
    if together and run.rejected:
        for request_id in accepted:
            run.rejected[request_id] = "Not delivered: another response of the same call was refused."
        return False
    answers.given.update(accepted)
    return bool(accepted)


class _Answers:
    """What has been answered since the message.

    Args:
        base: The checkpoint that remembers it; None for a new message.
        catalog: The types that may be stored.
    """

    def __init__(self, base: WorkflowCheckpoint | None, catalog: TypeCatalog) -> None:
        self._catalog = catalog
        noted: Any = base.metadata.get(_ANSWERS) if base is not None else None
        self.given: dict[str, Any] = {}
        if isinstance(noted, str):
            found = loads(noted.encode(), catalog)
            self.given.update(found if isinstance(found, dict) else {})
        self._text = ""

    def note(self, checkpoint: WorkflowCheckpoint) -> None:
        """Put them into a checkpoint of the run, which is given no more."""
        if self.given:
            self._text = self._text or dumps(self.given, self._catalog).decode()
            checkpoint.metadata = {**checkpoint.metadata, _ANSWERS: self._text}


class _StepStorage:
    """The `CheckpointStorage` of the run: it takes a checkpoint after each step, and one at the pause or the end.

    Args:
        capture: Keeps them.
        answers: Go into each.
    """

    def __init__(self, capture: CapturingStorage, answers: _Answers) -> None:
        self._capture = capture
        self._answers = answers
        self._error: Exception | None = None
        """Why the newest could not be stored."""
        self.last: WorkflowCheckpoint | None = None

    async def save(self, checkpoint: WorkflowCheckpoint) -> str:
        """Take a checkpoint, and give it an id of ours.

        One that cannot be stored is left out, as what the function put into its state may be gone before the run
        pauses; the next follows the one before.
        """
        previous_id = checkpoint.previous_checkpoint_id
        self._capture.identify(checkpoint)
        self.last, self._error = checkpoint, None
        try:
            self._answers.note(checkpoint)
            self._capture.keep(checkpoint, passing="step")
        except Exception as error:  # Of values, whose own code it may be.
            self._error = error
            return previous_id or ""
        return checkpoint.checkpoint_id

    async def enter(self, base: WorkflowCheckpoint | None, workflow: FunctionalInstance, message: Any) -> None:
        """Save what the run began with, if no step has finished since: a message, or answers to the base's requests."""
        if self.last is not None:
            return
        entry = first_checkpoint(workflow.functional, message)
        if message is None and base is not None:
            pending = {name: event for name, event in base.pending_request_info_events.items()}
            for request_id in self._answers.given:
                pending.pop(request_id, None)
            entry = dataclasses.replace(
                base, previous_checkpoint_id=base.checkpoint_id, pending_request_info_events=pending
            )
        await self.save(entry)

    def check(self) -> None:
        """Check that the newest checkpoint was kept.

        Raises:
            PayloadError: When it cannot be stored.
        """
        if self._error is not None:
            raise self._error

    async def load(self, checkpoint_id: str) -> WorkflowCheckpoint:
        """Return the base checkpoint."""
        return await self._capture.load(checkpoint_id)


class _Observer:
    """Is told of a run: of its events, and of its steps.

    Args:
        run: Takes the events.
        catalog: The types that may be stored.
        timeouts: Limit the steps that have a policy.
        streaming: Whether the caller streams.
    """

    def __init__(self, run: FrameworkRun, catalog: TypeCatalog, timeouts: ExecutorTimeouts, *, streaming: bool) -> None:
        self.streaming = streaming
        self.context: RunContext | None = None
        self.asked: set[str] = set()
        """Ids of the requests that the run has asked."""
        self._run = run
        self._catalog = catalog
        self._timeouts = timeouts
        self._told: set[int] = set()
        self._watched: set[str] = set()
        """Keys of steps whose beginning is noted."""
        scope = current_scope()
        self._journal = scope.journal if scope is not None else None
        self._key = scope.key if scope is not None else ""

    def has_told(self, event: WorkflowEvent[Any]) -> bool:
        """Tell whether an event that the framework gives at the end has been told before."""
        return id(event) in self._told or (
            event.type == "status" and event.state == WorkflowRunState.IN_PROGRESS_PENDING_REQUESTS
        )

    def told(self, event: WorkflowEvent[Any]) -> None:
        """See base class."""
        self._told.add(id(event))  # The framework keeps the event to the end of the run.
        self._run.add(event, 0)
        if event.type == "request_info":
            self.asked.add(event.request_id)
            pending, origin = WorkflowRunState.IN_PROGRESS_PENDING_REQUESTS, WorkflowEventSource.FRAMEWORK
            self._run.add(new_event("status", state=pending, origin=origin), 0)

    def fitting(self, event: WorkflowEvent[Any]) -> WorkflowEvent[Any]:
        """See base class."""
        data = event.data
        if event.type != "executor_invoked" or not isinstance(data, dict):
            return event
        args = tuple(map(self._stored, data.get("args", ())))
        kwargs = {name: self._stored(value) for name, value in data.get("kwargs", {}).items()}
        return new_event(
            event.type, executor_id=event.executor_id, data={"args": args, "kwargs": kwargs}, origin=event.origin
        )

    def _stored(self, value: Any) -> Any:
        """Return an argument, or words for one that cannot be stored: a client, a connection."""
        if isinstance(value, _SCALARS):
            return value
        try:
            dumps(value, self._catalog)
        except PayloadError:
            return f"({type_key(type(value))})"
        return value

    def known(self, key: str) -> FinishedStep | None:
        """See base class."""
        taken = self._journal.take("step", self._key + key, counted=False) if self._journal is not None else None
        if self._journal is None or taken is None:
            return None
        try:
            found = FinishedStep(*taken.value)
        except TypeError:  # It is no step's: this one runs.
            return None
        self._journal.tally.took("step")
        return found

    def begins(self, key: str, name: str) -> None:
        """See base class."""
        stack = contextlib.ExitStack()
        _open.set((*_open.get(), stack))
        stack.enter_context(self._timeouts.invocation(name))
        if self._journal is not None:
            stack.callback(enter(Scope(self._journal, f"{self._key}{key}/", name)))

    def leaves(self) -> None:
        """See base class."""
        *around, stack = _open.get()
        _open.set(tuple(around))
        stack.close()

    async def begun(self, key: str, name: str) -> None:
        """See base class."""
        if self._journal is not None and is_watched_step(self._journal, name):
            await step_begins(Scope(self._journal, self._key + key, name))
            self._watched.add(key)

    async def failed(self, key: str, name: str) -> None:
        """See base class."""
        if self._journal is not None and key in self._watched and not is_given_up():
            await self._journal.withdraw("step", self._key + key, name, durable=True)

    async def finished(self, key: str, name: str, step: FinishedStep) -> None:
        """See base class."""
        if self._journal is not None and self._journal.rules.keeps(name):
            value = [getattr(step, found.name) for found in dataclasses.fields(step)]
            await self._journal.end("step", self._key + key, name, value)
