"""Writing a thread to a file, for another place; `archive.py` says what is in it and reads it."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryResponse,
    GetWorkflowExecutionHistoryReverseResponse,
)
from temporalio.client import Client, WorkflowHistory
from temporalio.common import RawValue
from temporalio.converter import SerializationContext
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.exported import exported
from ..errors import CheckpointCorruptedError, NotSealedError, ThreadNotFoundError
from ..temporal.client import framed_client
from ..temporal.sdk import RecordedService
from ..temporal.sealed_converter import ENCODING, KIND_METADATA, NOTES
from ..temporal.server import each, rpc_errors, workflow_name_of
from .archive import FORMAT, ArchiveHeader
from .handle import Checkpoint, thread_id_of
from .history import FrameReader, StoredFrame, of_superstep, of_thread, run_frames, run_outcomes, start_input
from .lineage import CheckpointInfo, checkpoint_infos
from .runs import runs_of
from .thread import UNREADABLE

_ACTIVITY = "EVENT_TYPE_ACTIVITY_"


@exported
async def export_thread(client: Client, checkpoint: Checkpoint | str, *, opened: bool = False) -> AsyncIterator[str]:
    """Yield a thread as lines of JSON for a file: the history of each of its runs, its checkpoints and its events.

    `ThreadArchive` reads the file, and so do Temporal's own tools: the field `events` of a line of kind `run` is a
    history as `temporal workflow show --output json` writes it. Holds one run at a time.

    Args:
        client: A connected client.
        checkpoint: The thread's handle, or its id.
        opened: Whether payloads that a codec has sealed, or that lie in external storage, are opened, so that the file
            can be read without keys and storage by whoever gets it. Else they stay as they are, no key is needed, and
            the file has histories only, without checkpoints and events as JSON.

    Raises:
        ThreadNotFoundError: When there is no such thread.
        NotSealedError: When something is to be opened that no key of this client's opens.

    Cost: a round trip for each page of history, a visibility query, and two round trips more.
    """
    client, thread_id = framed_client(client), thread_id_of(checkpoint)
    with rpc_errors(client, f"export thread {thread_id!r}", thread_id):
        runs = await runs_of(client, thread_id)
        keyless = client.data_converter.payload_codec is None and any(map(_is_sealed, runs))
        if keyless and opened:
            raise NotSealedError(
                f"Thread {thread_id!r} is sealed. To open it, connect with the keys that it was sealed with."
            )
        closed = keyless or (client.data_converter.payload_codec is not None and not opened)
        name = "" if keyless else await _name(client, runs)
        if not runs or name is None:
            raise ThreadNotFoundError(f"There is no thread {thread_id!r} in namespace {client.namespace!r} to export.")
        header = ArchiveHeader(
            format=FORMAT,
            thread_id=thread_id,
            namespace=client.namespace,
            workflow_name=name,
            sealed=closed,
            exported_at=datetime.now(UTC).isoformat(),
            release=importlib.metadata.version("agent-framework-temporal"),
        )
        yield _line(header.model_dump())
        frames = FrameReader(client, thread_id, runs[-1].execution.run_id)
        for info in runs:
            run_id = info.execution.run_id
            try:
                handle = client.get_workflow_handle(thread_id, run_id=run_id)
                events = [event async for event in each(handle.fetch_history_events())]
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
                continue  # Deleted since it was listed.
            recorded = _recorded(client, events)
            if not keyless and not await _is_ours(recorded, thread_id, run_id):
                continue
            shown, plain = info, events
            if opened:
                shown = await _opened(client, info, thread_id)
                plain = [await _opened(client, event, thread_id) for event in events]
            yield _run_line(shown, plain)
            if closed:
                continue
            async for line in _readable_lines(recorded, frames, thread_id, run_id):
                yield line


def _is_sealed(info: WorkflowExecutionInfo) -> bool:
    return any(payload.metadata.get("encoding") == ENCODING for payload in info.memo.fields.values())


async def _name(client: Client, runs: Sequence[WorkflowExecutionInfo]) -> str | None:
    """Return the name of the framework workflow, of the latest run that tells it; None where none does."""
    refusal: Exception | None = None
    for info in reversed(runs):
        try:
            name = await workflow_name_of(client, info)
        except UNREADABLE as error:
            refusal = refusal or error
            continue
        if name is not None:
            return name
    if refusal is not None:
        raise refusal
    return None


async def _is_ours(recorded: Client, thread_id: str, run_id: str) -> bool:
    """Tell whether a run is one of the thread, and not a start that was refused."""
    try:
        await start_input(recorded, thread_id, run_id)
    except UNREADABLE as error:
        if getattr(error, "waits_for_key", False):
            raise
        return False
    return True


def _run_line(info: WorkflowExecutionInfo, events: Sequence[HistoryEvent]) -> str:
    return _line(
        {
            "kind": "run",
            "run_id": info.execution.run_id,
            "info": json_format.MessageToDict(info),
            "events": WorkflowHistory(info.execution.workflow_id, events).to_json_dict()["events"],
        }
    )


async def _readable_lines(recorded: Client, frames: FrameReader, thread_id: str, run_id: str) -> AsyncIterator[str]:
    """Yield the checkpoints and the logged events of a run, oldest first."""
    stored: list[StoredFrame] = []
    async for found in run_frames(recorded, thread_id, run_id):
        if isinstance(found, StoredFrame):
            stored.append(found)
    infos = {info.checkpoint_id: info for frame in stored for info in checkpoint_infos(thread_id, run_id, frame)}
    frames.enter(run_id)
    async for checkpoint_id, raw in frames.restore_all(reversed(stored)):
        yield _checkpoint_line(infos[checkpoint_id], raw)
    outcomes = [outcome async for outcome in run_outcomes(recorded, thread_id, run_id)]
    for outcome in reversed(outcomes):
        for record in outcome.events:
            yield _line({"kind": "event", "run_id": run_id, **record.model_dump()})


def _checkpoint_line(info: CheckpointInfo, raw: bytes) -> str:
    facts = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(info).items()}
    # Three lines of JSON in the form that `encoding/document.py` describes: types are named, and none is called.
    parts = [json.loads(part) for part in raw.split(b"\n") if part]
    return _line({"kind": "checkpoint", "checkpoint_id": info.checkpoint_id, "info": facts, "checkpoint": parts})


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True) + "\n"


def _recorded(client: Client, events: Sequence[HistoryEvent]) -> Client:
    """Return a client of the same place that knows this run only, so that what is read of it is what was written."""

    def answer(rpc: str, _: Message) -> Message:
        if rpc == "get_workflow_execution_history":
            forward = GetWorkflowExecutionHistoryResponse()
            forward.history.events.extend(events)
            return forward
        backward = GetWorkflowExecutionHistoryReverseResponse()
        backward.history.events.extend(reversed(events))
        return backward

    config = client.config(active_config=True)
    config["service_client"] = RecordedService("export", answer)
    config["plugins"] = []
    return Client(**config)


async def _opened(client: Client, message: Any, thread_id: str) -> Any:
    """Return a copy of an event, or of what is listed of a run, with its payloads opened."""
    copy = type(message)()
    copy.CopyFrom(message)
    places: list[SerializationContext] = [of_thread(client, thread_id), of_superstep(client, thread_id)]
    if isinstance(message, HistoryEvent) and EventType.Name(message.event_type).startswith(_ACTIVITY):
        places.reverse()
    for payload in _payloads(copy):
        payload.CopyFrom(await _open(client, payload, places))
    return copy


async def _open(client: Client, payload: Payload, places: Iterable[SerializationContext]) -> Payload:
    found = payload
    for place in places:
        try:
            (value,) = await client.data_converter.with_context(place).decode([payload], [RawValue])
        except NotSealedError:
            raise
        except Exception as error:  # The codec and the storage driver are code of others.
            raise CheckpointCorruptedError(
                f"A payload cannot be opened ({type(error).__name__}: {error}). Export the thread sealed, without "
                "opening it."
            ) from error
        found = value.payload
        if found.metadata.get("encoding") != ENCODING:
            break
    plain = Payload()
    plain.CopyFrom(found)
    for name in (*NOTES, KIND_METADATA):
        if name in plain.metadata:
            del plain.metadata[name]
    return plain


def _payloads(message: Message) -> list[Payload]:
    """Return every payload in a message."""
    found: list[Payload] = []
    stack: list[Message] = [message]
    while stack:
        current = stack.pop()
        if isinstance(current, Payload):
            found.append(current)
            continue
        for _, value in current.ListFields():
            if isinstance(value, Message):
                stack.append(value)
            elif not isinstance(value, str | bytes | int | float):
                parts = value.values() if hasattr(value, "values") else value
                stack += [part for part in parts if isinstance(part, Message)]
    return found
