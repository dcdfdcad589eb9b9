"""What a thread's worker is asked by query, and the thread's cancellation."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.messages import (
    EVENTS_QUERY,
    PENDING_REQUESTS_QUERY,
    RETRY_SIGNAL,
    STATUS_QUERY,
    EventPage,
    PendingRequest,
    RunStatus,
)
from ...workflows.requests.pending import complete
from ..advice import Advice, Step, Way
from ..checkpoints.thread import ThreadStanding
from ..errors import (
    AlreadyRunningError,
    DurableWorkflowError,
    MessageRefusedError,
    NoWorkerError,
    PendingRequestsError,
    RunInterruptedError,
    ThreadNotFoundError,
)
from ..temporal.server import REFUSED, describe_run, query_run, retried, rpc_errors
from .options import WhenWaiting

_NO_ANSWER = frozenset({RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED})
"""The SDK reports a call that ran into its time as cancelled."""

ALREADY_RUNNING = "Workflow is already running; concurrent runs are not allowed on the same instance."
"""The framework's words; here the thread is what the instance is there."""

_FAILING = "Workflow Task in failed state"
"""How the server says that there is a worker, and that it fails."""


class ThreadQueries:
    """Asks threads; each question is one query, which a worker answers and which costs no history.

    Args:
        client: A client with our payload converter.
        task_queue: Named in errors: where a worker should be.
        worker_timeout: How long a worker may take to answer.
    """

    def __init__(self, client: Client, task_queue: str, worker_timeout: timedelta) -> None:
        self._client = client
        self._task_queue = task_queue
        self._worker_timeout = worker_timeout

    async def pending_requests(self, thread_id: str) -> list[PendingRequest]:
        """Ask a thread's latest run what it waits for."""
        pending: list[PendingRequest] = await self._query(
            thread_id, None, PENDING_REQUESTS_QUERY, result_type=list[PendingRequest]
        )
        complete(pending)
        return pending

    async def cancel(self, thread_id: str) -> None:
        """Cancel a thread's open run."""
        with rpc_errors(self._client, f"cancel thread {thread_id!r}", thread_id):
            handle = self._client.get_workflow_handle(thread_id)
            try:
                # The server takes a second request to cancel a run that is over without a word.
                if (await describe_run(self._client, thread_id)).is_open:
                    await retried(handle.cancel)
                    return
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
        raise ThreadNotFoundError(f"Thread {thread_id!r} has no open run to cancel.")

    async def retry(self, thread_id: str) -> None:
        """Let a thread's paused run go on."""
        status = await self.status(thread_id, None)
        if status.state != "paused":
            errors = {"running": AlreadyRunningError, "waiting": PendingRequestsError}
            raise errors.get(status.state, ThreadNotFoundError)(
                Advice(
                    f"Thread {thread_id!r} is not paused but {status.state!r}, so there is nothing to retry. Continue "
                    "with ",
                    Step(Way.RESUME, thread_id),
                    ", which resumes a run that has failed.",
                )
            )
        with rpc_errors(self._client, f"retry thread {thread_id!r}", thread_id):
            run = self._client.get_workflow_handle(thread_id, run_id=status.run_id)
            await retried(lambda: run.signal(RETRY_SIGNAL), only=REFUSED)

    def refuse_paused(self, thread_id: str, status: RunStatus) -> None:
        """Refuse a call to a paused run."""
        if status.failure is not None:
            raise AlreadyRunningError(
                Advice(
                    f"Thread {thread_id!r} is paused because it failed with {status.failure.error_type}: "
                    f"{status.failure.message} Let it continue with ",
                    Step(Way.RETRY, thread_id),
                    ", or cancel it.",
                )
            )

    async def takes_message(self, thread_id: str, standing: ThreadStanding, *, when_waiting: WhenWaiting) -> RunStatus:
        """Return where an open run stands that waits for answers and may be sent a message meanwhile.

        Raises:
            PendingRequestsError: When it may not, as `when_waiting` says.
            AlreadyRunningError: When the run does not wait.
        """
        try:
            status = await self.status(thread_id, standing.run_id)
        except NoWorkerError:
            status = None
        if status is not None:
            self.refuse_paused(thread_id, status)
        if status is not None and status.state == "waiting":
            if when_waiting == "take":
                return status
            raise PendingRequestsError(
                Advice(
                    f"Thread {thread_id!r} waits for responses to {status.pending_requests!r}, so it takes no new "
                    "message",
                    Step(Way.REFUSED_WAITING),
                    ". Answer with ",
                    Step(Way.RESPOND, thread_id),
                    ", cancel the thread with ",
                    Step(Way.CANCEL, thread_id),
                    ", or use another thread: ",
                    Step(Way.NEW_THREAD),
                    ".",
                )
            )
        raise AlreadyRunningError(
            Advice(
                f"Thread {thread_id!r} is running, so it takes no new message. {ALREADY_RUNNING} Follow it with ",
                Step(Way.FOLLOW, thread_id),
                ", or use another thread: ",
                Step(Way.NEW_THREAD),
                ".",
            )
        )

    async def takes_edit(self, thread_id: str, run_id: str | None) -> RunStatus:
        """Return where an open run stands that waits for answers, so that its checkpoint may be edited meanwhile.

        Raises:
            AlreadyRunningError: When the run does not wait.
        """
        status = await self.status(thread_id, run_id)
        if status.state != "waiting":
            raise AlreadyRunningError(
                Advice(
                    f"Thread {thread_id!r} is {status.state}, so it cannot be edited. Wait until it waits for "
                    "responses or is idle, or end its run with ",
                    Step(Way.CANCEL, thread_id),
                    " and then edit its last checkpoint.",
                )
            )
        return status

    async def raise_not_run(self, thread_id: str, message_id: str) -> None:
        """Raise why a message that was taken is not run.

        Raises:
            MessageRefusedError: When it was withdrawn, or the worker has refused it.
            RunInterruptedError: When the next one has cut it off before anything ran.
        """
        try:
            status = await self.status(thread_id, None)
        except NoWorkerError:
            return  # Nothing is wrong with the message: it waits for one.
        if status.state == "cancelled":
            return  # What the run ends with says it.
        for refused in status.refused_messages or ():
            if refused.message_id == message_id and refused.cut is not None:
                error = RunInterruptedError(f"Thread {thread_id!r}: {refused.error}")
                error.rolled_back = refused.cut == "rollback"
                raise error
            if refused.message_id == message_id:
                raise MessageRefusedError(refused.error)

    async def raise_rejected(self, thread_id: str, status: RunStatus, call_id: str) -> None:
        """Raise what the workflow rejected of a call's responses; queries see every signal sent before them.

        Raises:
            ValueError: As the framework refuses a response.
        """
        after = status.next_offset - 1
        while True:
            # The latest run: the one that was asked before may have continued as new.
            page: EventPage = await self._query(thread_id, None, EVENTS_QUERY, args=[after, 500], result_type=EventPage)
            for record in page.events:
                if record.call_id == call_id and record.error is not None:
                    raise ValueError(record.error)
                after = record.offset
            if not page.events:
                return

    async def status(self, thread_id: str, run_id: str | None) -> RunStatus:
        """Ask a run where it stands."""
        status: RunStatus = await self._query(thread_id, run_id, STATUS_QUERY, result_type=RunStatus)
        return status

    async def _query(
        self, thread_id: str, run_id: str | None, name: str, *, result_type: Any, args: list[Any] | None = None
    ) -> Any:
        with rpc_errors(self._client, f"ask thread {thread_id!r} for its {name.replace('_', ' ')}", thread_id):
            try:
                return await query_run(
                    self._client,
                    thread_id,
                    run_id,
                    name,
                    args=args or (),
                    result_type=result_type,
                    within=self._worker_timeout,
                )
            except WorkflowQueryFailedError as error:
                raise DurableWorkflowError(f"Thread {thread_id!r} did not answer query {name!r}: {error}") from error
            except RPCError as error:
                # A query needs a worker: without one the server says so at once, or lets the call run into its time.
                if error.status in _NO_ANSWER and _FAILING in error.message:
                    raise NoWorkerError(
                        f"The workers of thread {thread_id!r} on task queue {self._task_queue!r} fail, or have not "
                        "caught up with what it was sent. See their log for the reason. Temporal retries on its own; "
                        "ask again later."
                    ) from error
                if error.status in _NO_ANSWER:
                    raise NoWorkerError(
                        f"No worker answers for thread {thread_id!r} on task queue {self._task_queue!r} "
                        f"({error.message}). Start one: `agent-framework-temporal-worker --workflow ... --task-queue "
                        f"{self._task_queue}`."
                    ) from error
                raise
