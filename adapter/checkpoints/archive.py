"""A thread in a file: what another place has exported, read as if it were in Temporal's history.

One JSON object a line, so that neither side holds more than one run at a time:

| line | holds |
|---|---|
| `{"kind":"thread", ...}` | format, thread, namespace, workflow, whether payloads are sealed; the first line |
| `{"kind":"run", "run_id", "info", "events"}` | a run, oldest first: its history as Temporal writes it, and its facts |
| `{"kind":"checkpoint", "checkpoint_id", ...}` | after its run, where it is not sealed: for people and for jq |
| `{"kind":"event", "offset", "type", ...}` | likewise |

Only the runs are read back, by the same readers as a server's: whoever wrote the file can have them call nothing and
name no class, as with any history. It is data that nobody has to trust, and nobody has vouched for.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

from google.protobuf import json_format
from google.protobuf.message import Message
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from temporalio.api.history.v1 import History
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueResponse,
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
    GetWorkflowExecutionHistoryReverseRequest,
    GetWorkflowExecutionHistoryReverseResponse,
    ListWorkflowExecutionsRequest,
    ListWorkflowExecutionsResponse,
)
from temporalio.client import Client, WorkflowHistory, WorkflowHistoryEventFilterType
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.exported import exported
from ...workflows.messages import WORKFLOW_TYPE
from ..advice import Advice, Step, Way
from ..errors import CheckpointCorruptedError, DurableWorkflowError, HistoryReadOnlyError, NotSealedError
from ..lru import BoundedCache
from ..temporal.client import framed_client
from ..temporal.sdk import RecordedService
from .history import is_close

FORMAT = 1
_RUN = b'{"kind":"run",'
_MAX_LINE_BYTES = 256 * 1024 * 1024
"""A server keeps 50 MB of history for a run, which JSON makes larger."""
_MAX_RUNS = 100_000
_KEPT = 4
_RUN_ID = re.compile(r"RunId = '([^']*)'")


class ArchiveHeader(BaseModel):
    """The first line."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", strict=True)

    kind: Literal["thread"] = "thread"
    format: int = Field(ge=1)
    thread_id: str = Field(min_length=1, max_length=1000)
    namespace: str = Field(min_length=1, max_length=1000)
    workflow_name: str = Field(max_length=1000)
    sealed: bool
    """Whether its payloads are as a codec of that place has left them."""
    exported_at: str = Field(max_length=100)
    release: str = Field(default="", max_length=100)


@exported
class ThreadArchive:
    """An exported thread, to be looked at where its server is not: its checkpoints, its events, its histories.

    `client` reads it as a connected client reads a server: give it to `DurableWorkflow` to list checkpoints and read
    events, and to `HistoryCheckpointStorage` to run from a checkpoint in this process, or, as `checkpoint_storage=` of
    a facade with a live client, to begin a thread there. Nothing can be sent to it.

    Args:
        path: The file.
        data_converter: Of the place it is from, if its payloads are sealed or encoded, `sealing_data_converter(keys=)`,
            or lie in external storage.

    Raises:
        OSError: When the file cannot be read.
        CheckpointCorruptedError: When it is no exported thread.
        NotSealedError: When it is sealed, and there is no data converter with a codec.
    """

    def __init__(self, path: Path | str, *, data_converter: DataConverter | None = None) -> None:
        self._path = Path(path)
        self._lines: dict[str, tuple[int, int]] = {}
        self._infos: dict[str, WorkflowExecutionInfo] = {}
        self._events: BoundedCache[str, History] = BoundedCache(_KEPT)
        self._header = self._read()
        converter = data_converter or DataConverter.default
        if self._header.sealed and converter.payload_codec is None:
            raise NotSealedError(
                Advice(
                    f"The payloads in {self._path.name!r} are sealed, and this process has no keys. Read it with the "
                    "keys of the system it was exported from, ",
                    Step(Way.KEYS),
                    ", or have it exported there with `--open`.",
                )
            )
        if not self._header.sealed:  # What is not sealed would be refused by what opens only that.
            converter = dataclasses.replace(DataConverter.default, external_storage=converter.external_storage)
        service = RecordedService(f"file {self._path.name}", self._answer)
        self.client: Client = framed_client(Client(service, namespace=self._header.namespace, data_converter=converter))
        """Reads the file in the place of a server."""

    @property
    def thread_id(self) -> str:
        """Temporal workflow id of the thread."""
        return self._header.thread_id

    @property
    def namespace(self) -> str:
        """Namespace it is from."""
        return self._header.namespace

    @property
    def workflow_name(self) -> str:
        """Name of its framework workflow; empty where who has exported it had no key."""
        return self._header.workflow_name

    @property
    def exported_at(self) -> str:
        """When it was exported, as it says."""
        return self._header.exported_at

    @property
    def run_ids(self) -> list[str]:
        """Temporal run ids, oldest first."""
        return list(self._infos)

    def history(self, run_id: str) -> WorkflowHistory:
        """Return the history of a run, for `testing.replay_history` or a `Replayer` of your own.

        Raises:
            KeyError: When there is no such run.
            CheckpointCorruptedError: When the file has changed since it was opened.
        """
        return WorkflowHistory(self.thread_id, list(self._history(run_id).events))

    def _read(self) -> ArchiveHeader:
        with self._path.open("rb") as file:
            try:
                header = ArchiveHeader.model_validate_json(file.readline(64 * 1024))
            except ValidationError as error:
                raise self._bad("its first line is not that of an export") from error
            if header.format > FORMAT:
                raise self._bad(
                    f"it is of format {header.format}, but this release reads {FORMAT}: upgrade this package"
                )
            start = file.tell()
            for line in _lines(file):
                if line is None:
                    raise self._bad(f"a line is longer than {_MAX_LINE_BYTES:,} bytes")
                if line.startswith(_RUN):
                    info = self._run(line)[0]
                    if len(self._infos) == _MAX_RUNS or info.execution.run_id in self._infos:
                        raise self._bad("it has too many runs, or the same run twice")
                    self._infos[info.execution.run_id] = info
                    self._lines[info.execution.run_id] = (start, len(line))
                start = file.tell()
        if not self._infos:
            raise self._bad("it has no run")
        return header

    def _run(self, line: bytes) -> tuple[WorkflowExecutionInfo, History]:
        try:
            found = json.loads(line)
            info = json_format.ParseDict(found["info"], WorkflowExecutionInfo(), ignore_unknown_fields=True)
            events = WorkflowHistory.from_json("", {"events": found["events"]}).events
            if info.execution.run_id != found["run_id"] or not events:
                raise ValueError("a run is not the one that it claims to be, or has no events")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, json_format.ParseError) as error:
            raise self._bad(f"a run cannot be read: {error}") from error
        return info, History(events=events)

    def _history(self, run_id: str) -> History:
        known = self._events.get(run_id)
        if known is not None:
            return known
        start, length = self._lines[run_id]
        with self._path.open("rb") as file:
            file.seek(start)
            info, history = self._run(file.read(length))
        if info.execution.run_id != run_id:
            raise self._bad("it has changed since it was opened")
        self._events.put(run_id, history)
        return history

    def _bad(self, why: str) -> CheckpointCorruptedError:
        return CheckpointCorruptedError(
            f"{self._path.name!r} is not an exported thread: {why}. Create one with `agent-framework-temporal export`."
        )

    def _answer(self, rpc: str, request: Message) -> Message:
        """Answer a call as a server would that has this thread only.

        Raises:
            HistoryReadOnlyError: For a call that would change something, or needs a worker.
            DurableWorkflowError: For one that waits for what comes after the end of the file.
            RPCError: With status NOT_FOUND for what is not in the file.
        """
        if rpc == "get_workflow_execution_history":
            asked = cast(GetWorkflowExecutionHistoryRequest, request)
            history = self._history(self._found(asked.execution.workflow_id, asked.execution.run_id))
            goes_on = asked.wait_new_event and not is_close(history.events[-1])
            if goes_on and asked.next_page_token:
                raise DurableWorkflowError(
                    f"File {self._path.name!r} ends here: thread {self.thread_id!r} was running when it was exported, "
                    f"at {self.exported_at}."
                )
            if asked.history_event_filter_type == int(WorkflowHistoryEventFilterType.CLOSE_EVENT):
                history = History(events=[event for event in history.events[-1:] if is_close(event)])
            return GetWorkflowExecutionHistoryResponse(history=history, next_page_token=b"end" if goes_on else b"")
        if rpc == "get_workflow_execution_history_reverse":
            backward = cast(GetWorkflowExecutionHistoryReverseRequest, request)
            history = self._history(self._found(backward.execution.workflow_id, backward.execution.run_id))
            return GetWorkflowExecutionHistoryReverseResponse(history=History(events=list(history.events)[::-1]))
        if rpc == "describe_workflow_execution":
            described = cast(DescribeWorkflowExecutionRequest, request)
            run_id = self._found(described.execution.workflow_id, described.execution.run_id)
            return DescribeWorkflowExecutionResponse(workflow_execution_info=self._infos[run_id])
        if rpc == "list_workflow_executions":
            wanted = _RUN_ID.search(cast(ListWorkflowExecutionsRequest, request).query)
            runs = [info for name, info in self._infos.items() if wanted is None or wanted[1] == name]
            return ListWorkflowExecutionsResponse(executions=runs[::-1])
        if rpc == "describe_task_queue":
            return DescribeTaskQueueResponse()
        raise HistoryReadOnlyError(
            f"Thread {self.thread_id!r} is read from file {self._path.name!r}, which does not support the call "
            f"{rpc.replace('_', ' ')!r}. To continue it, start a thread on a server from one of its checkpoints: "
            "`agent-framework-temporal import FILE --into THREAD`."
        )

    def _found(self, thread_id: str, run_id: str) -> str:
        chosen = run_id or next(reversed(self._infos))
        if thread_id != self.thread_id or chosen not in self._infos:
            raise RPCError(f"{self._path.name} has no such run", RPCStatusCode.NOT_FOUND, b"")
        if self._infos[chosen].type.name != WORKFLOW_TYPE:
            raise self._bad("a run is of another workflow type")
        return chosen


def _lines(file: Any) -> Iterator[bytes | None]:
    """Yield lines; None for one that is too long."""
    while line := file.readline(_MAX_LINE_BYTES):
        yield line if len(line) < _MAX_LINE_BYTES else None
