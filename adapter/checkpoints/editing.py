"""A checkpoint as a person edits it, and whether what has become of it fits what the workflow's executors declare."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from agent_framework import WorkflowCheckpoint, WorkflowEvent, WorkflowMessage

from ...workflows.exported import exported
from ...workflows.value_limits import MAX_ID
from ..encoding.conformance import UnfitError, check
from ..encoding.differences import difference
from ..errors import EditRefusedError
from ..framework.catalog import TypeCatalog, members, readable_name
from ..framework.declared import DeclaredWorkflow
from ..framework.internals import (
    AGENT_REQUEST_ORDER,
    AGENT_REQUESTS,
    EXECUTOR_STATE,
    FRAMEWORK_STATE,
    SUB_WORKFLOW,
    buffered_messages,
    event_types,
    internal_source,
    is_response,
    matches,
    new_event,
)
from .label import loads_checkpoint

_MAX_PROBLEMS = 20


@exported
class CheckpointEdit:
    """A checkpoint that is being edited: change what it holds in place.

    What the framework keeps for itself is left out, and stays as it was.

    Args:
        checkpoint: A copy of its own.
        declared: What the workflow's executors declare.
        place: Names a sub-workflow's in errors.
    """

    def __init__(self, checkpoint: WorkflowCheckpoint, declared: DeclaredWorkflow, place: str = "") -> None:
        self._checkpoint = checkpoint
        self._declared = declared
        self._place = place
        self._annotations: dict[str, Any] = {}
        kept = checkpoint.state.get(EXECUTOR_STATE, {})
        self.state: dict[str, Any] = {
            key: value for key, value in checkpoint.state.items() if key not in FRAMEWORK_STATE
        }
        """Shared state, by key."""
        self.sub_workflows: dict[str, CheckpointEdit] = {
            name: CheckpointEdit(kept[name][SUB_WORKFLOW], found.inner, f"{place}sub_workflows[{name!r}].")
            for name, found in declared.executors.items()
            if found.inner is not None and isinstance(kept.get(name, {}).get(SUB_WORKFLOW), WorkflowCheckpoint)
        }
        """Sub-workflows, by the ids of their executors."""
        self.executor_state: dict[str, dict[str, Any]] = {
            name: {key: value for key, value in state.items() if key != SUB_WORKFLOW or name not in self.sub_workflows}
            for name, state in kept.items()
        }
        """What the executors keep for themselves, by executor and key; of an agent its conversation."""
        self.messages: list[WorkflowMessage] = [
            message for messages in checkpoint.messages.values() for message in messages
        ]
        """Messages in flight: what the next superstep delivers."""
        self.buffered: tuple[WorkflowMessage, ...] = tuple(buffered_messages(checkpoint.state))
        """Messages that wait in fan-ins for those of other sources: their data can be changed."""
        self.pending: dict[str, WorkflowEvent[Any]] = dict(checkpoint.pending_request_info_events)
        """Requests that wait for responses, by id."""

    @property
    def checkpoint_id(self) -> str:
        """Id of the checkpoint that is edited."""
        return self._checkpoint.checkpoint_id

    @property
    def superstep(self) -> int:
        """The framework's iteration count."""
        return self._checkpoint.iteration_count

    @property
    def declared(self) -> DeclaredWorkflow:
        """What the workflow's executors declare."""
        return self._declared

    @property
    def annotations(self) -> Mapping[str, Any]:
        """Types of the shared state that `declare` was told of."""
        return self._annotations

    def declare(self, key: str, annotation: Any) -> None:
        """Let a key of the shared state hold another type than that of the value it had.

        Args:
            key: The key.
            annotation: The type, as in `int | None`.
        """
        self._annotations[key] = annotation

    def send(self, data: Any, to: str) -> None:
        """Add a message in flight, as the framework delivers what a run begins with: to one executor, over no edge.

        Args:
            data: Of a type that the executor handles.
            to: Id of the executor.
        """
        self.messages.append(WorkflowMessage(data=data, source_id=internal_source(to), target_id=to))

    def ask(self, executor_id: str, data: Any, response_type: Any, *, request_id: str | None = None) -> str:
        """Add a pending request.

        Args:
            executor_id: The executor that takes the response; it declares this pair of types.
            data: The request.
            response_type: Type of the response.
            request_id: Its id; a new one when left out.

        Returns:
            The id.
        """
        chosen = request_id or str(uuid.uuid4())
        self.pending[chosen] = new_request(chosen, executor_id, data, response_type)
        return chosen

    def finished(self) -> WorkflowCheckpoint:
        """Return the checkpoint as it is now."""
        before = self._checkpoint
        kept = before.state.get(EXECUTOR_STATE, {})
        executors: dict[str, Any] = {}
        for name in [*kept, *(name for name in self.executor_state if name not in kept)]:
            if name in self.executor_state or name in self.sub_workflows:
                executors[name] = dict(self.executor_state.get(name, {}))
            if name in self.sub_workflows:
                executors[name][SUB_WORKFLOW] = self.sub_workflows[name].finished()
        state: dict[str, Any] = {}
        for key in [*before.state, *(key for key in self.state if key not in before.state)]:
            if key in FRAMEWORK_STATE:
                state[key] = executors if key == EXECUTOR_STATE else before.state.get(key)
            elif key in self.state:
                state[key] = self.state[key]
        if executors:
            state[EXECUTOR_STATE] = executors
        messages: dict[str, list[WorkflowMessage]] = {}
        for message in self.messages:
            messages.setdefault(message.source_id, []).append(message)
        return dataclasses.replace(
            before, state=state, messages=messages, pending_request_info_events=dict(self.pending)
        )

    def accept(self, original: CheckpointEdit, catalog: TypeCatalog) -> None:
        """Bring in step what is there more than once, and check what has been changed.

        Args:
            original: The same checkpoint, as it was.
            catalog: The classes that may be part of it.

        Raises:
            EditRefusedError: Naming each place that does not fit, and what is expected there.
        """
        self._bring_in_step(original)
        problems = [
            problem for _, problem in zip(range(_MAX_PROBLEMS), self._problems(original, catalog), strict=False)
        ]
        if problems:
            raise EditRefusedError(problems)

    def _bring_in_step(self, original: CheckpointEdit) -> None:
        """Carry changes of requests to the sub-workflow or the agent that has asked them, and from there."""
        for name, inner in self.sub_workflows.items():
            before = original.sub_workflows[name]
            for request_id, event in original.pending.items():
                if event.source_executor_id != name or request_id not in before.pending:
                    continue
                mine, theirs = self.pending.get(request_id), inner.pending.get(request_id)
                if mine is None or theirs is None:
                    self.pending.pop(request_id, None)
                    inner.pending.pop(request_id, None)
                elif difference(event.data, mine.data) is not None:
                    theirs.data = mine.data
                elif difference(event.data, theirs.data) is not None:
                    mine.data = theirs.data
            inner._bring_in_step(before)
        for name, found in self._declared.executors.items():
            state = self.executor_state.get(name)
            if found.keeps_requests and state is not None and isinstance(state.get(AGENT_REQUESTS), dict):
                asked = [key for key, event in original.pending.items() if event.source_executor_id == name]
                self._bring_agent_in_step(asked, state)

    def _bring_agent_in_step(self, asked: list[str], state: dict[str, Any]) -> None:
        for request_id in asked:
            if request_id in self.pending:
                if request_id in state[AGENT_REQUESTS]:
                    state[AGENT_REQUESTS][request_id] = self.pending[request_id].data
                continue
            state[AGENT_REQUESTS].pop(request_id, None)
            if request_id in (state.get(AGENT_REQUEST_ORDER) or ()):
                state[AGENT_REQUEST_ORDER].remove(request_id)

    def _problems(self, original: CheckpointEdit, catalog: TypeCatalog) -> Iterator[str]:
        place = self._place
        for key, value in self.state.items():
            if not isinstance(key, str) or key in FRAMEWORK_STATE:
                yield f"`{place}state[{key!r:.60}]`: a key is a text, and none of the framework's own."
                continue
            yield from _value_problems(
                f"{place}state[{key!r:.60}]",
                original.state.get(key, _NOTHING),
                value,
                self._annotations.get(key),
                catalog,
                hint=f" To change its type: `declare({key!r}, ...)`.",
            )
        yield from self._executor_problems(original, catalog)
        for index, message in enumerate(self.messages):
            same = original.messages[index : index + 1]
            if all(difference(found, message) is not None for found in (*same, *original.messages)):
                yield from self._message_problems(f"{place}messages[{index}]", message, catalog)
        for index, (before, message) in enumerate(zip(original.buffered, self.buffered, strict=True)):
            if difference(before, message) is not None:
                yield from self._buffered_problems(f"{place}buffered[{index}]", before, message, catalog)
        for request_id, event in self.pending.items():
            asked = original.pending.get(request_id)
            if asked is None or difference(asked, event) is not None:
                yield from self._request_problems(f"{place}pending[{request_id!r:.60}]", request_id, event, catalog)
        for name, inner in self.sub_workflows.items():
            yield from inner._problems(original.sub_workflows[name], catalog)

    def _executor_problems(self, original: CheckpointEdit, catalog: TypeCatalog) -> Iterator[str]:
        for name, state in self.executor_state.items():
            where = f"{self._place}executor_state[{name!r:.60}]"
            if name not in self._declared.executors:
                yield f"`{where}`: there is no executor of this id; there are {sorted(self._declared.executors)}."
                continue
            if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
                yield f"`{where}`: expected a dictionary with texts as keys, got {type(state).__name__}."
                continue
            declared = self._declared.executors[name]
            before = original.executor_state.get(name, {})
            for key, value in state.items():
                yield from _value_problems(
                    f"{where}[{key!r:.60}]", before.get(key, _NOTHING), value, declared.state.get(key), catalog
                )
            if declared.keeps_requests:
                kept = original.executor_state.get(name, {}).get(AGENT_REQUESTS) or {}
                lost = [
                    found for found in kept if found in self.pending and found not in (state.get(AGENT_REQUESTS) or ())
                ]
                if lost:
                    yield f"`{where}[{AGENT_REQUESTS!r}]`: {lost} wait for responses. Remove them from `pending`."

    def _message_problems(self, where: str, message: Any, catalog: TypeCatalog) -> Iterator[str]:
        if not isinstance(message, WorkflowMessage):
            yield f"`{where}`: expected a WorkflowMessage, got {type(message).__name__}. Use `send`."
            return
        if is_response(message):
            yield from self._response_problems(where, message, catalog)
            return
        receivers = self._declared.receivers(message.source_id, message.target_id)
        if not receivers:
            yield (
                f"`{where}`: no edge leads from {message.source_id!r} to {message.target_id or 'any executor'!r}. "
                f"Executors: {sorted(self._declared.executors)}."
            )
        elif not any(self._declared.takes(name, message.data) for name in receivers):
            expected = [item for name in receivers for item in self._declared.expected(name)]
            yield (
                f"`{where}.data`: expected {_names(expected)}, which {' or '.join(map(repr, receivers))} handles, got "
                f"{readable_name(type(message.data))}."
            )
        else:
            yield from _unfit(f"{where}.data", message.data, catalog)

    def _response_problems(self, where: str, message: WorkflowMessage, catalog: TypeCatalog) -> Iterator[str]:
        asked = message.original_request_info_event
        expected = event_types(asked)[1] if asked is not None else None
        if expected is None or not matches(message.data, expected):
            yield f"`{where}.data`: expected {_names([expected])}, got {readable_name(type(message.data))}."
        else:
            yield from _unfit(f"{where}.data", message.data, catalog)

    def _buffered_problems(
        self, where: str, before: WorkflowMessage, message: WorkflowMessage, catalog: TypeCatalog
    ) -> Iterator[str]:
        if difference(dataclasses.replace(before, data=None), dataclasses.replace(message, data=None)) is not None:
            yield f"`{where}`: of a message that waits in a fan-in only the data can be changed."
        yield from self._message_problems(where, message, catalog)

    def _request_problems(self, where: str, request_id: Any, event: Any, catalog: TypeCatalog) -> Iterator[str]:
        if not isinstance(event, WorkflowEvent) or event.type != "request_info":
            yield f"`{where}`: expected a request_info event, got {type(event).__name__}. Use `ask`."
            return
        if not isinstance(request_id, str) or not 1 <= len(request_id) <= MAX_ID or event.request_id != request_id:
            yield f"`{where}`: its id is {event.request_id!r:.60}; it has 1 to {MAX_ID} characters, as the key says it."
        source = event.source_executor_id
        if source not in self._declared.executors:
            yield f"`{where}`: there is no executor {source!r:.60}; there are {sorted(self._declared.executors)}."
            return
        pairs = list(self.pairs(source))
        response_type = event_types(event)[1]
        if not any(matches(event.data, asked) and answered == response_type for asked, answered in pairs):
            known = [f"{readable_name(asked)}, answered by {readable_name(answered)}" for asked, answered in pairs]
            yield (
                f"`{where}.data`: expected what executor {source!r} asks for ({'; '.join(known) or 'nothing'}), got "
                f"{readable_name(type(event.data))}, answered by {readable_name(response_type)}."
            )
            return
        yield from _unfit(f"{where}.data", event.data, catalog)

    def pairs(self, executor_id: str) -> Iterator[tuple[Any, Any]]:
        """Yield the requests that an executor may have asked; a sub-workflow passes on those of its executors."""
        found = self._declared.executors[executor_id]
        inner = self.sub_workflows.get(executor_id)
        if inner is None:
            yield from found.requests
        else:
            for name in inner.declared.executors:
                yield from inner.pairs(name)


def editable(raw: bytes, hosted: Any) -> CheckpointEdit:
    """Return a raw checkpoint to be edited, each time a copy of its own.

    Args:
        raw: The raw checkpoint.
        hosted: The definition of its workflow.

    Raises:
        GraphChangedError: When the workflow has changed since.
        PayloadError: When it holds a type that is not declared.
    """
    return CheckpointEdit(loads_checkpoint(raw, hosted), hosted.declared)


def new_request(request_id: str, executor_id: str, data: Any, response_type: Any) -> WorkflowEvent[Any]:
    """Return a request_info event as the framework makes it when an executor asks."""
    return new_event(
        "request_info",
        request_id=request_id,
        source_executor_id=executor_id,
        data=data,
        request_type=type(data),
        response_type=response_type,
    )


_NOTHING = object()


def _value_problems(
    where: str, before: Any, value: Any, annotation: Any, catalog: TypeCatalog, *, hint: str = ""
) -> Iterator[str]:
    """Say in what a changed value is not of the type that is declared, or else of that which it had."""
    if before is not _NOTHING and difference(before, value) is None:
        return
    if annotation is not None:
        if not matches(value, annotation):
            yield f"`{where}`: expected {_names([annotation])}, got {readable_name(type(value))}."
            return
    elif before is not _NOTHING and before is not None and not _is_of(value, type(before)):
        had, got = readable_name(type(before)), readable_name(type(value))
        yield f"`{where}`: expected {had}, the type it had, got {got}.{hint}"
        return
    if before is _NOTHING or not [*_unfit(where, before, catalog)]:
        yield from _unfit(where, value, catalog)


def _is_of(value: Any, cls: type[Any]) -> bool:
    return isinstance(value, cls) and (type(value) is not bool or cls is bool)  # To Python, True is an int.


def _unfit(where: str, value: Any, catalog: TypeCatalog) -> Iterator[str]:
    try:
        check(value, (), catalog)
    except UnfitError as error:
        yield f"`{where}`: {error}."
    except RecursionError:
        yield f"`{where}`: it is nested too deeply."


def _names(annotations: list[Any]) -> str:
    found = dict.fromkeys(readable_name(member) for annotation in annotations for member in members(annotation))
    return " or ".join(found) or "nothing"
