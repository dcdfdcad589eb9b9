"""A checkpoint as JSON that a person edits: what it says is typed by what was there, and by what executors declare."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from agent_framework import WorkflowEvent, WorkflowMessage

from ..advice import Advice, Step, Way
from ..errors import EditRefusedError
from ..framework.catalog import TypeCatalog, type_name
from ..framework.declared import DeclaredWorkflow
from ..framework.internals import event_types, internal_source, is_response
from .edit_values import ABSENT, EditValues, annotation_of, counterparts, union
from .editing import CheckpointEdit, new_request

HEADER = ("checkpoint_id", "superstep")
_SECTIONS = ("state", "executor_state", "messages", "fan_in", "pending_requests", "sub_workflows")


@dataclasses.dataclass(frozen=True, slots=True)
class _Level:
    """A checkpoint, or that of a sub-workflow in it."""

    before: CheckpointEdit
    edit: CheckpointEdit
    declared: DeclaredWorkflow
    place: str
    whole: bool
    """Whether a document says all of it, so that what it leaves out is removed."""

    def within(self, name: str) -> _Level | None:
        """Return that of a sub-workflow."""
        before, found = self.before.sub_workflows.get(name), self.declared.executors.get(name)
        if before is None or found is None or found.inner is None:
            return None
        place = f"{self.place}sub_workflows[{name!r}]."
        return _Level(before, self.edit.sub_workflows[name], found.inner, place, self.whole)


class EditDocument:
    """The JSON of a checkpoint, and the way back.

    Args:
        original: The checkpoint as it is.
        declared: What the workflow's executors declare.
        catalog: The classes that may be part of it.
    """

    def __init__(self, original: CheckpointEdit, declared: DeclaredWorkflow, catalog: TypeCatalog) -> None:
        self._original = original
        self._declared = declared
        self._values = EditValues(catalog)
        self.content: dict[str, Any] = {
            "checkpoint_id": original.checkpoint_id,
            "superstep": original.superstep,
            **self._written(original, ""),
        }
        """The whole, as JSON data."""

    def apply(self, document: Mapping[str, Any], edit: CheckpointEdit) -> None:
        """Make in `edit` the changes that an edited document says.

        Args:
            document: The whole, as `content` is; or, without `checkpoint_id`, only what is to be another: keys of
                `state` and of an executor's state, requests by id, and `messages` as a whole.
            edit: Another copy of the checkpoint.

        Raises:
            EditRefusedError: Naming the places that cannot be read.
        """
        whole = "checkpoint_id" in document
        problems: list[str] = []
        if whole:
            for name in HEADER:
                if document.get(name) != self.content[name]:
                    problems.append(f"`{name}`: it identifies what is edited and must stay {self.content[name]!r}.")
        unknown = sorted(set(document) - {*_SECTIONS, *(HEADER if whole else ())})
        if unknown:
            problems.append(f"`{unknown[0]}`: there is no such part; there are {', '.join(_SECTIONS)}.")
        self._values.begin(problems)
        self._read(document, _Level(self._original, edit, self._declared, "", whole))
        if whole:
            self._values.check_kept()
        if problems:
            raise EditRefusedError.of(problems)

    def _written(self, edit: CheckpointEdit, place: str) -> dict[str, Any]:
        write = self._values.write
        found: dict[str, Any] = {
            "state": {key: write(value, f"{place}state[{key!r}]") for key, value in edit.state.items()},
            "executor_state": {
                name: {key: write(value, f"{place}executor_state[{name!r}][{key!r}]") for key, value in state.items()}
                for name, state in edit.executor_state.items()
                if state
            },
            "messages": [
                self._message(message, f"{place}messages[{index}]") for index, message in enumerate(edit.messages)
            ],
        }
        if edit.buffered:
            found["fan_in"] = [
                self._message(message, f"{place}fan_in[{index}]") for index, message in enumerate(edit.buffered)
            ]
        found["pending_requests"] = {
            request_id: self._request(event, f"{place}pending_requests[{request_id!r}]")
            for request_id, event in edit.pending.items()
        }
        if edit.sub_workflows:
            found["sub_workflows"] = {
                name: self._written(inner, f"{place}sub_workflows[{name!r}].")
                for name, inner in edit.sub_workflows.items()
            }
        return found

    def _message(self, message: WorkflowMessage, place: str) -> dict[str, Any]:
        data = self._values.write(message.data, f"{place}.data")
        if is_response(message):
            asked = message.original_request_info_event
            return {
                "response_to": asked.request_id if asked is not None else None,
                "to": message.target_id,
                "data": data,
            }
        if message.source_id == internal_source(message.target_id or ""):
            return {"to": message.target_id, "data": data}
        found: dict[str, Any] = {"from": message.source_id}
        if message.target_id is not None:
            found["to"] = message.target_id
        return {**found, "data": data}

    def _request(self, event: WorkflowEvent[Any], place: str) -> dict[str, Any]:
        return {
            "executor_id": event.source_executor_id,
            "request": self._values.write(event.data, f"{place}.request"),
            "response_type": type_name(event_types(event)[1]),
        }

    def _read(self, document: Mapping[str, Any], level: _Level) -> None:
        values, edit, place = self._values, level.edit, level.place
        state = values.mapping(document.get("state", ABSENT), f"{place}state")
        if state is not None:
            edit.state = self._keys(state, level.before.state, edit.annotations, f"{place}state", whole=level.whole)
        self._read_executors(document, level)
        if "messages" in document:
            edit.messages = self._messages(document["messages"], level, f"{place}messages")
        if "fan_in" in document or (level.whole and level.before.buffered):
            self._buffered(document.get("fan_in"), level, f"{place}fan_in")
        requests = values.mapping(document.get("pending_requests", ABSENT), f"{place}pending_requests")
        if requests is not None:
            self._requests(requests, level, f"{place}pending_requests")
        inner = values.mapping(document.get("sub_workflows", ABSENT), f"{place}sub_workflows")
        for name, given in (inner or {}).items():
            where = f"{place}sub_workflows[{name!r:.60}]"
            found = values.mapping(given, where)
            within = level.within(name)
            if within is None:
                values.refuse(where, f"there is no such sub-workflow; there are {sorted(edit.sub_workflows)}")
            elif found is not None:
                self._read(found, within)

    def _read_executors(self, document: Mapping[str, Any], level: _Level) -> None:
        values, edit, place = self._values, level.edit, level.place
        executors = values.mapping(document.get("executor_state", ABSENT), f"{place}executor_state")
        for name in list(edit.executor_state) if executors is not None and level.whole else ():
            if name not in (executors or {}) and edit.executor_state[name]:
                values.refuse(
                    f"{place}executor_state[{name!r}]", "an executor's state cannot be removed; remove keys from it"
                )
        for name, given in (executors or {}).items():
            where = f"{place}executor_state[{name!r:.60}]"
            found = values.mapping(given, where)
            declared = level.declared.executors.get(name)
            if declared is None:
                values.refuse(where, f"there is no such executor; there are {sorted(level.declared.executors)}")
            elif found is not None:
                kept = level.before.executor_state.get(name, {})
                edit.executor_state[name] = self._keys(found, kept, declared.state, where, whole=level.whole)

    def _keys(
        self,
        given: Mapping[str, Any],
        before: Mapping[str, Any],
        declared: Mapping[str, Any],
        place: str,
        *,
        whole: bool,
    ) -> dict[str, Any]:
        found = {} if whole else dict(before)
        for key, node in given.items():
            old = before.get(key, ABSENT)
            where = f"{place}[{key!r:.60}]"
            found[key] = self._values.read(node, old, where, declared.get(key, annotation_of(old)))
        return found

    def _messages(self, given: Any, level: _Level, place: str) -> list[WorkflowMessage]:
        before, nodes = level.before, self._values.sequence(given, place)
        written = [self._message(message, f"{place}[{index}]") for index, message in enumerate(before.messages)]
        found: list[WorkflowMessage] = []
        for index, (node, match) in enumerate(zip(nodes, counterparts(nodes, written), strict=True)):
            where = f"{place}[{index}]"
            fields = self._values.mapping(node, where)
            if fields is None:
                continue
            old = before.messages[match] if match is not None else None
            message = self._read_message(fields, old, level.declared, where)
            if message is not None:
                found.append(message)
        return found

    def _read_message(
        self, fields: Mapping[str, Any], old: WorkflowMessage | None, declared: DeclaredWorkflow, place: str
    ) -> WorkflowMessage | None:
        source, target = fields.get("from"), fields.get("to")
        unknown = sorted(set(fields) - {"from", "to", "data", "response_to"})
        if unknown or "data" not in fields:
            self._values.refuse(place, f"expected `from`, `to` and `data`, got {sorted(fields)}")
            return None
        if old is not None and is_response(old):
            same = self._message(old, place)
            if any(fields.get(name) != same[name] for name in ("response_to", "to")):
                self._values.refuse(place, "only the `data` of a response can be changed")
            expected = event_types(old.original_request_info_event)[1] if old.original_request_info_event else Any
            return _with_data(old, self._values.read(fields["data"], old.data, f"{place}.data", expected))
        if "response_to" in fields:
            text = Advice("a response cannot be added here: pass it with ", Step(Way.WITH_RESPONSES), " instead")
            self._values.refuse(place, text)
            return None
        source = internal_source(str(target)) if source is None else source
        expected = union([item for name in declared.receivers(str(source), target) for item in declared.expected(name)])
        data = self._values.read(fields["data"], ABSENT if old is None else old.data, f"{place}.data", expected)
        if old is not None and (old.source_id, old.target_id) == (source, target):
            return _with_data(old, data)
        return WorkflowMessage(data=data, source_id=str(source), target_id=target)

    def _buffered(self, given: Any, level: _Level, place: str) -> None:
        before, declared, nodes = level.before, level.declared, self._values.sequence(given, place)
        if len(nodes) != len(before.buffered):
            self._values.refuse(
                place, f"expected {len(before.buffered)} messages: they can be changed, but not added or removed"
            )
            return
        for index, (node, old) in enumerate(zip(nodes, before.buffered, strict=True)):
            where = f"{place}[{index}]"
            fields = self._values.mapping(node, where)
            same = self._message(old, where)
            if fields is None or {**fields, "data": None} != {**same, "data": None}:
                self._values.refuse(where, "only its `data` can be changed")
                continue
            receivers = declared.receivers(old.source_id, old.target_id)
            expected = union([item for name in receivers for item in declared.expected(name)])
            level.edit.buffered[index].data = self._values.read(fields["data"], old.data, f"{where}.data", expected)

    def _requests(self, given: Mapping[str, Any], level: _Level, place: str) -> None:
        edit, declared = level.edit, level.declared
        if level.whole:
            edit.pending = {name: event for name, event in edit.pending.items() if name in given}
        for request_id, node in given.items():
            where = f"{place}[{request_id!r:.60}]"
            fields = self._values.mapping(node, where)
            if fields is None:
                continue
            old = level.before.pending.get(request_id)
            executor_id = fields.get("executor_id", old.source_executor_id if old is not None else None)
            pairs = [*declared.pairs(executor_id)] if executor_id in declared.executors else []
            named = {type_name(answered): answered for _, answered in pairs}
            response = fields.get("response_type", type_name(event_types(old)[1]) if old is not None else None)
            if executor_id not in declared.executors or response not in named:
                self._values.refuse(
                    where,
                    f"expected `executor_id` of {sorted(declared.executors)} and its `response_type`"
                    f"{f' of {sorted(named)}' if named else ''}, got {executor_id!r:.60} and {response!r:.60}",
                )
                continue
            expected = union([asked for asked, answered in pairs if type_name(answered) == response])
            old_data = ABSENT if old is None else old.data
            data = self._values.read(fields.get("request"), old_data, f"{where}.request", expected)
            asked = edit.pending.get(request_id)
            if asked is not None and (asked.source_executor_id, event_types(asked)[1]) == (
                executor_id,
                named[response],
            ):
                asked.data = data
            else:
                edit.pending[request_id] = new_request(request_id, str(executor_id), data, named[response])


def _with_data(message: WorkflowMessage, data: Any) -> WorkflowMessage:
    return dataclasses.replace(message, data=data)
