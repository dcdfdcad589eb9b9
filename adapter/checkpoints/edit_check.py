"""Whether an edited checkpoint fits what the executors of its workflow declare."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from agent_framework import WorkflowEvent, WorkflowMessage

from ...workflows.value_limits import MAX_ID
from ..advice import Advice, Step, Way
from ..encoding.conformance import UnfitError, check
from ..encoding.differences import difference
from ..errors import EditRefusedError
from ..framework.catalog import TypeCatalog, members, readable_name
from ..framework.declared import DeclaredWorkflow
from ..framework.internals import (
    AGENT_REQUEST_ORDER,
    AGENT_REQUESTS,
    FRAMEWORK_STATE,
    event_types,
    is_response,
    matches,
)
from .conversation import bring_session_in_step
from .editing import CheckpointEdit

_MAX_PROBLEMS = 20


def accept(edit: CheckpointEdit, original: CheckpointEdit, declared: DeclaredWorkflow, catalog: TypeCatalog) -> None:
    """Bring in step what is there more than once in an edited checkpoint, and check what has been changed.

    Args:
        edit: The edited checkpoint.
        original: The same checkpoint, as it was.
        declared: What the workflow's executors declare.
        catalog: The classes that may be part of it.

    Raises:
        EditRefusedError: Naming each place that does not fit, and what is expected there.
    """
    edited = _Edited(edit, original, declared, catalog, "")
    edited.bring_in_step()
    problems = [problem for _, problem in zip(range(_MAX_PROBLEMS), edited.problems(), strict=False)]
    if problems:
        raise EditRefusedError.of(problems)


class _Edited:
    """An edited checkpoint, or that of a sub-workflow in it.

    Args:
        edit: As it is.
        original: As it was.
        declared: What the workflow's executors declare.
        catalog: The classes that may be part of it.
        place: Names a sub-workflow's in errors.
    """

    def __init__(
        self,
        edit: CheckpointEdit,
        original: CheckpointEdit,
        declared: DeclaredWorkflow,
        catalog: TypeCatalog,
        place: str,
    ) -> None:
        self._edit = edit
        self._original = original
        self._declared = declared
        self._catalog = catalog
        self._place = place
        self._inner = {
            name: _Edited(inner, original.sub_workflows[name], found, catalog, f"{place}sub_workflows[{name!r}].")
            for name, inner in edit.sub_workflows.items()
            if (found := declared.executors[name].inner) is not None
        }

    def bring_in_step(self) -> None:
        """Carry changes of requests to the sub-workflow or the agent that has asked them, and from there."""
        for name, within in self._inner.items():
            inner, before = self._edit.sub_workflows[name], self._original.sub_workflows[name]
            for request_id, event in self._original.pending.items():
                if event.source_executor_id != name or request_id not in before.pending:
                    continue
                mine, theirs = self._edit.pending.get(request_id), inner.pending.get(request_id)
                if mine is None or theirs is None:
                    self._edit.pending.pop(request_id, None)
                    inner.pending.pop(request_id, None)
                elif difference(event.data, mine.data) is not None:
                    theirs.data = mine.data
                elif difference(event.data, theirs.data) is not None:
                    mine.data = theirs.data
            within.bring_in_step()
        for name, found in self._declared.executors.items():
            state = self._edit.executor_state.get(name)
            if found.keeps_requests and state is not None and isinstance(state.get(AGENT_REQUESTS), dict):
                bring_session_in_step(self._original.executor_state.get(name, {}), state)
                asked = [key for key, event in self._original.pending.items() if event.source_executor_id == name]
                self._bring_agent_in_step(asked, state)

    def _bring_agent_in_step(self, asked: list[str], state: dict[str, Any]) -> None:
        # What has not been changed may be the original's own.
        state[AGENT_REQUESTS] = dict(state[AGENT_REQUESTS])
        if isinstance(state.get(AGENT_REQUEST_ORDER), list):
            state[AGENT_REQUEST_ORDER] = list(state[AGENT_REQUEST_ORDER])
        for request_id in asked:
            if request_id in self._edit.pending:
                if request_id in state[AGENT_REQUESTS]:
                    state[AGENT_REQUESTS][request_id] = self._edit.pending[request_id].data
                continue
            state[AGENT_REQUESTS].pop(request_id, None)
            if request_id in (state.get(AGENT_REQUEST_ORDER) or ()):
                state[AGENT_REQUEST_ORDER].remove(request_id)

    def problems(self) -> Iterator[str]:
        place = self._place
        for key, value in self._edit.state.items():
            if not isinstance(key, str) or key in FRAMEWORK_STATE:
                yield f"`{place}state[{key!r:.60}]`: a key must be a string and not one of the framework's own."
                continue
            yield from _value_problems(
                f"{place}state[{key!r:.60}]",
                self._original.state.get(key, _NOTHING),
                value,
                self._edit.annotations.get(key),
                self._catalog,
                hint=Advice(" To change its type: ", Step(Way.RETYPE, key), "."),
            )
        yield from self._executor_problems()
        for index, message in enumerate(self._edit.messages):
            same = self._original.messages[index : index + 1]
            if all(difference(found, message) is not None for found in (*same, *self._original.messages)):
                yield from self._message_problems(f"{place}messages[{index}]", message)
        for index, (before, message) in enumerate(zip(self._original.buffered, self._edit.buffered, strict=True)):
            if difference(before, message) is not None:
                yield from self._buffered_problems(f"{place}buffered[{index}]", before, message)
        for request_id, event in self._edit.pending.items():
            asked = self._original.pending.get(request_id)
            if asked is None or difference(asked, event) is not None:
                yield from self._request_problems(f"{place}pending[{request_id!r:.60}]", request_id, event)
        for inner in self._inner.values():
            yield from inner.problems()

    def _executor_problems(self) -> Iterator[str]:
        for name, state in self._edit.executor_state.items():
            where = f"{self._place}executor_state[{name!r:.60}]"
            if name not in self._declared.executors:
                yield f"`{where}`: there is no executor with this id; there are {sorted(self._declared.executors)}."
                continue
            if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
                yield f"`{where}`: expected a dictionary with strings as keys, got {type(state).__name__}."
                continue
            declared = self._declared.executors[name]
            before = self._original.executor_state.get(name, {})
            for key, value in state.items():
                yield from _value_problems(
                    f"{where}[{key!r:.60}]", before.get(key, _NOTHING), value, declared.state.get(key), self._catalog
                )
            if declared.keeps_requests:
                kept = self._original.executor_state.get(name, {}).get(AGENT_REQUESTS) or {}
                lost = [
                    found
                    for found in kept
                    if found in self._edit.pending and found not in (state.get(AGENT_REQUESTS) or ())
                ]
                if lost:
                    text = f"`{where}[{AGENT_REQUESTS!r}]`: {lost} wait for responses. Remove them from "
                    yield Advice(text, Step(Way.PENDING), ".")

    def _message_problems(self, where: str, message: Any) -> Iterator[str]:
        if not isinstance(message, WorkflowMessage):
            yield f"`{where}`: expected a WorkflowMessage, got {type(message).__name__}. Use `send`."
            return
        if is_response(message):
            yield from self._response_problems(where, message)
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
            yield from _unfit(f"{where}.data", message.data, self._catalog)

    def _response_problems(self, where: str, message: WorkflowMessage) -> Iterator[str]:
        asked = message.original_request_info_event
        expected = event_types(asked)[1] if asked is not None else None
        if expected is None or not matches(message.data, expected):
            yield f"`{where}.data`: expected {_names([expected])}, got {readable_name(type(message.data))}."
        else:
            yield from _unfit(f"{where}.data", message.data, self._catalog)

    def _buffered_problems(self, where: str, before: WorkflowMessage, message: WorkflowMessage) -> Iterator[str]:
        if difference(dataclasses.replace(before, data=None), dataclasses.replace(message, data=None)) is not None:
            yield f"`{where}`: only the data of a message that waits in a fan-in can be changed."
        yield from self._message_problems(where, message)

    def _request_problems(self, where: str, request_id: Any, event: Any) -> Iterator[str]:
        if not isinstance(event, WorkflowEvent) or event.type != "request_info":
            yield f"`{where}`: expected a request_info event, got {type(event).__name__}. Use `ask`."
            return
        if not isinstance(request_id, str) or not 1 <= len(request_id) <= MAX_ID or event.request_id != request_id:
            yield (
                f"`{where}`: its id is {event.request_id!r:.60}; it must have 1 to {MAX_ID} characters and equal the "
                "key."
            )
        source = event.source_executor_id
        if source not in self._declared.executors:
            yield f"`{where}`: there is no executor {source!r:.60}; there are {sorted(self._declared.executors)}."
            return
        pairs = list(self._declared.pairs(source))
        response_type = event_types(event)[1]
        if not any(matches(event.data, asked) and answered == response_type for asked, answered in pairs):
            known = [f"{readable_name(asked)}, answered by {readable_name(answered)}" for asked, answered in pairs]
            yield (
                f"`{where}.data`: expected what executor {source!r} asks for ({'; '.join(known) or 'nothing'}), got "
                f"{readable_name(type(event.data))}, answered by {readable_name(response_type)}."
            )
            return
        yield from _unfit(f"{where}.data", event.data, self._catalog)


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
        yield Advice(f"`{where}`: expected {had}, the type it had, got {got}.", hint)
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
