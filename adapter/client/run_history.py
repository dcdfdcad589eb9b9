"""A run's history as it grows. Readers of one process that follow the same run ask the server once for all of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypeAlias
from weakref import WeakSet

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import HistoryEventFilterType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
)
from temporalio.client import Client

from .sharing import Shared, SharedCall

_KEPT_BYTES = 4_000_000
"""Of pages that a reader has read and a slower one of the same run has not; who is left further behind reads them from
the server."""

_ALL = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT
_CLOSE = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT

_FULL = 256
"""Events that a page has at least where there is more to read at once."""

_Page: TypeAlias = tuple[Sequence[HistoryEvent], bool]
"""Events, and whether they are the last that the server gives."""


class RunHistory:
    """One reader's way through the history of a run, from its beginning.

    Args:
        client: A connected client.
        thread_id: Temporal workflow id.
        run_id: Temporal run id.
    """

    def __init__(self, client: Client, thread_id: str, run_id: str) -> None:
        self._client = client
        self._thread_id = thread_id
        self._run_id = run_id
        self.events: deque[HistoryEvent] = deque()
        """What was read and not taken yet; where several read a run, some of it may be there twice."""
        self.is_over: bool = False
        """Whether the server gives no more: the run is over, or an operator has paused it."""
        self.has_more: bool = False
        """Whether there is more to read at once."""
        self.next_page: int = 0
        """Of those that are read for all readers of the run."""
        self._tail: _Tail | None = None
        self._token = b""
        self._last_id = 0
        self._catches_up = False
        """Whether this one reads by itself what the others have read before it came."""

    async def read(self) -> Sequence[HistoryEvent]:
        """Ask for what comes next and return it, waiting for it on the server for as long as that lets one wait.

        Raises:
            RPCError: When the server refuses; what was read before stays so.
        """
        tail = self._tail if self._tail is not None else self._join()
        if self._catches_up:
            response = await _history(self._client, self._thread_id, self._run_id, self._token, wait=False)
            self._token = response.next_page_token
            self._catches_up = bool(self._token)
            events: Sequence[HistoryEvent] = response.history.events
        else:
            page = await tail.page(self.next_page)
            if page is None:  # Left too far behind.
                self._start_over()
                return ()
            events, self.is_over = page
            self.next_page += 1
            tail.forget()
        if events and events[0].event_id > self._last_id + 1:
            # The server leaves events out where a page is asked for long after the one before it.
            self._start_over()
            return ()
        self._last_id = max(self._last_id, *(event.event_id for event in events)) if events else self._last_id
        self.has_more = len(events) >= _FULL
        self.events.extend(events)
        return events

    async def closed(self) -> None:
        """Wait until the run is over, on the server. A paused run counts as over: nothing there can be waited for.

        Raises:
            RPCError: When the server refuses.
        """
        token = b""
        while True:
            response = await _history(self._client, self._thread_id, self._run_id, token, wait=True, kind=_CLOSE)
            token = response.next_page_token
            if response.history.events or not token:
                return

    def rest(self) -> None:
        """Read no more for now: the others need not keep anything for this one."""
        tail, self._tail = self._tail, None
        if tail is not None:
            tail.readers.discard(self)
            self._token = b"" if self._catches_up or self.next_page < tail.end else tail.token
            self._catches_up = False

    def _start_over(self) -> None:
        self.rest()
        self._token, self._last_id, self.has_more, self.is_over = b"", 0, True, False

    def _join(self) -> _Tail:
        tail = _tails.find(self._client, self._thread_id, self._run_id)
        if tail is None or tail.is_over or not tail.readers:
            tail = _Tail(self._client, self._thread_id, self._run_id, self._token)
            _tails.put(tail, self._client, self._thread_id, self._run_id)
        elif tail.end or tail.token != self._token:
            # What comes from now on is kept for this one too; what was before it has to read itself.
            self._token, self._last_id, self._catches_up = b"", 0, True
        tail.readers.add(self)
        self._tail, self.next_page = tail, tail.end
        return tail


class _Tail:
    """Where the readers of a run wait together for what comes next.

    Args:
        client: A connected client.
        thread_id: Temporal workflow id.
        run_id: Temporal run id.
        token: Of the page to begin with.
    """

    def __init__(self, client: Client, thread_id: str, run_id: str, token: bytes) -> None:
        self._about = (client, thread_id, run_id)
        self._pages: deque[_Page] = deque()
        self._bytes = 0
        self._call = SharedCall(self._read)
        self.readers: WeakSet[RunHistory] = WeakSet()
        self.token = token
        self.end = 0
        """Pages read so far."""
        self.is_over: bool = False

    async def page(self, number: int) -> _Page | None:
        """Return a page, the next one when it comes; None where it is not kept any more."""
        if number == self.end:
            await self._call.result()
        kept = number - (self.end - len(self._pages))
        return self._pages[kept] if kept >= 0 else None

    def forget(self) -> None:
        """Let go of the pages that every reader has read, and of the oldest where they are too many."""
        needed = min((reader.next_page for reader in self.readers), default=self.end)
        while self._pages and (self.end - len(self._pages) < needed or self._bytes > _KEPT_BYTES):
            self._bytes -= _size(self._pages.popleft())

    async def _read(self) -> None:
        response = await _history(*self._about, self.token, wait=True)
        self.token = response.next_page_token
        self.is_over = not self.token
        page = (response.history.events, self.is_over)
        self._pages.append(page)
        self._bytes += _size(page)
        self.end += 1


_tails: Shared[_Tail] = Shared()


def _size(page: _Page) -> int:
    return sum(event.ByteSize() for event in page[0])


async def _history(
    client: Client,
    thread_id: str,
    run_id: str,
    token: bytes,
    *,
    wait: bool,
    kind: HistoryEventFilterType.ValueType = _ALL,
) -> GetWorkflowExecutionHistoryResponse:
    request = GetWorkflowExecutionHistoryRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=thread_id, run_id=run_id),
        next_page_token=token,
        wait_new_event=wait,
        history_event_filter_type=kind,
    )
    return await client.workflow_service.get_workflow_execution_history(request, retry=True)
