"""What the Temporal server answers, in one place: which refusals are tried again, and which error of ours each becomes.

| status                                                  | tried again | error |
|---------------------------------------------------------|-------------|-------|
| UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED; a connection that broke | yes | ServerUnreachableError |
| RESOURCE_EXHAUSTED: a rate limit, a busy run             | yes         | ServerBusyError |
| ABORTED, INTERNAL, UNKNOWN, DATA_LOSS, OUT_OF_RANGE      | yes         | DurableWorkflowError |
| anything whose text says that it is too large            | no          | PayloadError |
| UNAUTHENTICATED, PERMISSION_DENIED; no such namespace    | no          | ServerUnreachableError |
| NOT_FOUND of a thread                                    | no          | ThreadNotFoundError |
| UNIMPLEMENTED and the others                             | no          | DurableWorkflowError |

The SDK tries most calls again itself, for up to 10 seconds and with the same request id. What is tried again here is
what it leaves: streams outlast an outage, and a call is not given up at the first refusal that came too quickly.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    ListWorkflowExecutionsRequest,
)
from temporalio.client import Client, WorkflowQueryRejectedError
from temporalio.converter import WorkflowSerializationContext
from temporalio.service import RPCError, RPCStatusCode

from ..advice import Advice, Step, Way
from ..errors import (
    DurableWorkflowError,
    PayloadError,
    ServerBusyError,
    ServerUnreachableError,
    ThreadNotFoundError,
    ThreadPausedError,
)

MEMO_WORKFLOW_NAME = "agent_framework_workflow"

_UNREACHABLE = frozenset({RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED})
REFUSED = frozenset({RPCStatusCode.RESOURCE_EXHAUSTED})
"""Refused before anything was done, so that any call may be tried again."""
TRANSIENT = (
    _UNREACHABLE
    | REFUSED
    | {
        RPCStatusCode.ABORTED,
        RPCStatusCode.INTERNAL,
        RPCStatusCode.UNKNOWN,
        RPCStatusCode.DATA_LOSS,
        RPCStatusCode.OUT_OF_RANGE,
    }
)
"""What a call that only reads may be tried again after."""
_BROKEN = ("transport error", "h2 protocol error", "error reading a body from connection", "connection error")
"""What the transport says of a connection that broke in the middle of a call, under status UNKNOWN or INTERNAL."""
_NOT_CONNECTED = "Failed client connect"
"""In a RuntimeError of a lazy client; the SDK has no type of its own for it."""
_SIGNAL_LIMIT = "limit for signal events"
"""What the server says of a run that has taken 10,000 of them."""
_RUN_OVER = "already completed"
_TOO_LARGE = ("exceeds", "larger than max", "too large")
_NO_ENTRY = frozenset({RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED})

PATIENCE_SECONDS = 10.0
"""How long one call is tried again; streams have a time of their own."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0

_T = TypeVar("_T")


class SignalLimitError(DurableWorkflowError):
    """A run has taken as many signals as the server allows for one run."""


class RunOverError(ThreadNotFoundError):
    """A run that was there a moment ago has ended, or continued as new."""


def is_unreachable(error: RPCError) -> bool:
    """Tell whether a call failed because the connection did."""
    if error.status in (RPCStatusCode.UNKNOWN, RPCStatusCode.INTERNAL):
        return any(text in error.message for text in _BROKEN)
    return error.status in _UNREACHABLE


def is_transient(error: BaseException | None) -> bool:
    """Tell whether a call that failed so could succeed a moment later."""
    if isinstance(error, RPCError):
        return error.status in TRANSIENT and not _is_too_large(error)
    return isinstance(error, RuntimeError) and _NOT_CONNECTED in str(error)


def _is_too_large(error: RPCError) -> bool:
    return any(text in error.message for text in _TOO_LARGE)


@contextmanager
def rpc_errors(client: Client, what: str, thread_id: str | None = None) -> Iterator[None]:
    """Turn errors of the server and the connection into ours, by the table above.

    Args:
        client: The client that calls.
        what: What is being done, for the message, e.g. "start thread 'a'".
        thread_id: The thread that all calls within are about: what is not found is that.

    Raises:
        DurableWorkflowError: Or one of its subclasses.
    """
    try:
        yield
    except RuntimeError as error:
        if _NOT_CONNECTED not in str(error):
            raise
        raise _unreachable(client, what, error) from error
    except RPCError as error:
        raise _translated(client, what, thread_id, error) from error


def _translated(client: Client, what: str, thread_id: str | None, error: RPCError) -> DurableWorkflowError:
    where = f"the server at {client.service_client.config.target_host!r}"
    said = f"{error.message} ({error.status.name})"
    if _is_too_large(error):
        return PayloadError(
            f"Could not {what}: {where} refuses it as too large ({error.message}). Pass a reference instead of the "
            "data, or configure external storage on the client's data converter."
        )
    if _SIGNAL_LIMIT in error.message:
        return SignalLimitError(
            f"Could not {what}: its run has reached the server's limit of signals per run. It continues as new when "
            "it next waits or its superstep ends; try again then."
        )
    if is_unreachable(error):
        return _unreachable(client, what, error)
    if error.status in REFUSED:
        return ServerBusyError(
            f"Could not {what}: {where} rejects calls for now: {said}. Nothing was changed. Try again later. If this "
            "happens often, raise the namespace's rate limits."
        )
    if error.status in _NO_ENTRY or is_of_namespace(error):
        return ServerUnreachableError(
            f"Could not {what}: {where} rejects this client: {said}. Check namespace {client.namespace!r} and the "
            "credentials."
        )
    if error.status == RPCStatusCode.NOT_FOUND and _RUN_OVER in error.message:
        return RunOverError(
            Advice(
                f"Could not {what}: its run has ended in the meantime, and nothing was changed. See its state with ",
                Step(Way.FOLLOW, thread_id or ""),
                ".",
            )
        )
    if error.status == RPCStatusCode.NOT_FOUND and thread_id is not None:
        return gone(client, thread_id)
    if error.status == RPCStatusCode.UNIMPLEMENTED:
        return DurableWorkflowError(f"Could not {what}: {where} does not support that: {said}. Upgrade the server.")
    if error.status in TRANSIENT:
        return DurableWorkflowError(f"Could not {what}: {where} failed: {said}. Try again.")
    return DurableWorkflowError(f"Could not {what}: {said}")


def _unreachable(client: Client, what: str, error: Exception) -> ServerUnreachableError:
    return ServerUnreachableError(
        f"Could not {what}: no Temporal server answers at {client.service_client.config.target_host!r} ({error}). "
        "Start one with `agent-framework-temporal-dev-server`, or check the address and the network."
    )


def is_of_namespace(error: RPCError) -> bool:
    """Tell whether what was not found is the namespace."""
    if error.status != RPCStatusCode.NOT_FOUND:
        return False
    return any(detail.Is(NamespaceNotFoundFailure.DESCRIPTOR) for detail in error.grpc_status.details)


def gone(client: Client, thread_id: str) -> ThreadNotFoundError:
    """Return the error of a thread whose run is not there any more."""
    return ThreadNotFoundError(
        Advice(
            f"Thread {thread_id!r} is not in namespace {client.namespace!r}: it was deleted, or its history is past "
            "the namespace's retention. Start it again from ",
            Step(Way.COPY),
            ", or start a new thread.",
        )
    )


class Patience:
    """Bears an outage of the server by trying again after ever longer pauses, until it has lasted too long.

    Args:
        seconds: How long.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.over()

    def over(self) -> None:
        """Take that the server has answered."""
        self._since: float | None = None
        self._pause = _FIRST_PAUSE

    async def bear(self, error: RPCError, only: Collection[RPCStatusCode] = TRANSIENT) -> bool:
        """Wait until it is time for another try; False where none would help, or the time is over.

        Args:
            error: What the last try failed with.
            only: What is tried again.
        """
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if error.status not in only or not is_transient(error) or now - self._since > self._seconds:
            return False
        # Not in step with the others: what many callers do at once is what a rate limit refuses.
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret depends on it.
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return True


async def retried(call: Callable[[], Awaitable[_T]], *, only: Collection[RPCStatusCode] = TRANSIENT) -> _T:
    """Make a call, again if the server refuses it for the moment.

    Args:
        call: Makes it.
        only: What is tried again: `REFUSED` for a call that must not be made twice.

    Raises:
        RPCError: The last refusal; `rpc_errors` around it says what that is.
    """
    patience, begun = Patience(PATIENCE_SECONDS), time.monotonic()
    while True:
        try:
            return await call()
        except RPCError as error:
            # The SDK may have tried for as long already.
            if time.monotonic() - begun > PATIENCE_SECONDS or not await patience.bear(error, only):
                raise


async def each(iterator: AsyncIterator[_T]) -> AsyncIterator[_T]:
    """Yield what an iterator of the SDK yields, whose pages are one call each; see `retried`."""
    while True:
        try:
            item = await retried(lambda: anext(iterator))
        except StopAsyncIteration:
            return
        yield item


def is_open_status(status: int) -> bool:
    """Tell whether a run of that status runs or waits, or is paused."""
    return status in (
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING,
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED,
    )


@dataclass(frozen=True, slots=True)
class RunDescription:
    """What the server knows of a run. The SDK's own fails at a run that is paused, whose status it does not know."""

    client: Client
    raw: DescribeWorkflowExecutionResponse

    @property
    def info(self) -> WorkflowExecutionInfo:
        """The facts."""
        return self.raw.workflow_execution_info

    @property
    def run_id(self) -> str:
        """Temporal run id."""
        return self.info.execution.run_id

    @property
    def is_paused(self) -> bool:
        """Whether an operator has paused it."""
        return self.info.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED

    @property
    def is_open(self) -> bool:
        """Whether it runs or waits, or is paused."""
        return is_open_status(self.info.status)

    @property
    def reset_run_id(self) -> str:
        """The run that an operator has reset it to; empty if none has."""
        return self.raw.workflow_extended_info.reset_run_id

    async def workflow_name(self) -> str | None:
        """Return the name of its framework workflow; None for a run of something else."""
        return await workflow_name_of(self.client, self.info)

    async def memo(self, name: str) -> Any:
        """Return what its memo has under a name; None if it has nothing."""
        return await memo_value(self.client, self.info, name)

    def paused(self) -> ThreadPausedError:
        """Return the error of a call that a paused run does not take."""
        thread_id = self.info.execution.workflow_id
        pause = self.raw.workflow_extended_info.pause_info
        why = f": {pause.reason}" if pause.reason else ""
        return ThreadPausedError(
            f"Thread {thread_id!r} is paused by {pause.identity or 'an operator'}{why}. It accepts responses again "
            f"after `temporal workflow unpause --workflow-id {thread_id}`; a stream that follows it waits until then."
        )


async def workflow_name_of(client: Client, info: WorkflowExecutionInfo) -> str | None:
    """Return the name of the framework workflow that a run is of; None for a run of something else."""
    name = await memo_value(client, info, MEMO_WORKFLOW_NAME)
    return name if isinstance(name, str) else None


async def memo_value(client: Client, info: WorkflowExecutionInfo, name: str) -> Any:
    """Return what the memo of a run has under a name; None if it has nothing."""
    payload = info.memo.fields.get(name)
    if payload is None:
        return None
    context = WorkflowSerializationContext(namespace=client.namespace, workflow_id=info.execution.workflow_id)
    (value,) = await client.data_converter.with_context(context).decode([payload])
    return value


async def describe_run(client: Client, thread_id: str, run_id: str | None = None) -> RunDescription:
    """Describe a run, by default a thread's latest; one round trip.

    Raises:
        RPCError: With status NOT_FOUND when there is none.
    """
    request = DescribeWorkflowExecutionRequest(
        namespace=client.namespace, execution=WorkflowExecution(workflow_id=thread_id, run_id=run_id or "")
    )
    raw = await retried(lambda: client.workflow_service.describe_workflow_execution(request, retry=True))
    return RunDescription(client, raw)


def visibility_text(text: str) -> str:
    """Return a text as a visibility query has it."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


async def list_runs(client: Client, query: str) -> AsyncIterator[WorkflowExecutionInfo]:
    """Yield the runs that a visibility query finds; a round trip for each page. The SDK's own fails at a paused one."""
    request = ListWorkflowExecutionsRequest(namespace=client.namespace, query=query, page_size=1000)
    while True:
        response = await retried(lambda: client.workflow_service.list_workflow_executions(request, retry=True))
        for info in response.executions:
            yield info
        request.next_page_token = response.next_page_token
        if not response.next_page_token:
            return


async def query_run(
    client: Client,
    thread_id: str,
    run_id: str | None,
    name: str,
    *,
    args: Sequence[Any] = (),
    result_type: Any,
    within: timedelta,
) -> Any:
    """Ask a run a query, which a worker answers.

    Raises:
        ThreadPausedError: When the run is paused.
        WorkflowQueryFailedError: When the workflow refuses the query.
        RPCError: Any other refusal; without a worker it is FAILED_PRECONDITION, DEADLINE_EXCEEDED, or CANCELLED.
    """
    handle = client.get_workflow_handle(thread_id, run_id=run_id)
    try:
        return await retried(
            lambda: handle.query(name, args=list(args), result_type=result_type, rpc_timeout=within),
            only=TRANSIENT - {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED},
        )
    except (ValueError, WorkflowQueryRejectedError):
        # The server rejects it with the run's status, of which the SDK makes an enum that does not know it.
        description = await describe_run(client, thread_id, run_id)
        if description.is_paused:
            raise description.paused() from None
        raise
