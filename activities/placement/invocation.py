"""The invocation activity: one invocation of an executor on a task queue of its own, for a superstep elsewhere.

It is told names and values, and no code: which executor, of a workflow that this worker hosts, of the same graph. What
it has done it returns; nothing of it counts until the superstep does it.

It is tried again as a superstep is, and has a journal as a superstep has: model and tool calls that had finished when
its worker was lost are not made again. While it runs long, it looks whether the superstep is still there that waits
for it: where nobody does, as the thread was terminated perhaps, it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator
from typing import Any

from agent_framework import Executor, Workflow, WorkflowEvent
from temporalio import activity
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from ...adapter.checkpoints.logged_events import EventWriter
from ...adapter.errors import (
    GraphChangedError,
    NewerReleaseError,
    NotSealedError,
    PayloadError,
    PlacementError,
)
from ...adapter.framework.definition import WorkflowDefinition
from ...adapter.framework.error_data import is_readable
from ...adapter.framework.internals import (
    drop_restored_events_of,
    invoke,
    set_streaming,
    state_of,
    without_pending_warning,
)
from ...adapter.framework.selection import ExecutorSelection
from ...adapter.framework.tracing import below
from ...adapter.temporal.client import framed_client
from ...adapter.temporal.converter import MAX_PAYLOAD_BYTES, encoded_payload, stores_outside
from ...adapter.temporal.server import describe_run
from ...workflows.messages import (
    INVOCATION_ACTIVITY,
    InvocationInput,
    InvocationResult,
    SuperstepFailure,
    SuperstepInput,
)
from ..attempts import check_attempts
from ..containment import Scope, containing, escaped, is_leaving
from ..executor_rules import ExecutorTimeouts, retry_rule
from ..failures import cause_of, to_application_error
from ..heartbeat import Beat
from ..hosting import find
from ..invocation import Superstep, in_superstep
from ..journal.calls import journal_calls
from ..journal.invocations import Done, journal_invocations
from ..journal.journal import Scope as JournalScope
from ..journal.journal import journalled
from ..limits import MAX_FAILURE_BYTES
from ..live_events import LiveEvents
from ..metrics import calls_counted
from ..pacemaker import current_pacemaker
from ..resources import Resources
from ..unsaved_state import UnsavedState
from .carried import EVENTS, Did, Given

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
_LOOK_SECONDS = 30.0
"""Between two looks whether anybody still waits."""


class InvocationActivity:
    """The activity, and whom it runs.

    Args:
        hosted: Hosted workflows by name; filled before the worker polls.
        selection: The executors that run on this worker.
    """

    def __init__(self, hosted: dict[str, WorkflowDefinition], selection: ExecutorSelection) -> None:
        self._hosted = hosted
        self._selection = selection
        self._unsaved = UnsavedState()
        self.refused: BaseException | None = None
        """See `SuperstepActivity.refused`."""
        journal_calls()

    @activity.defn(name=INVOCATION_ACTIVITY)
    async def invocation(self, given: RawValue) -> InvocationResult:
        """Run one invocation.

        Args:
            given: An `InvocationInput`; decoded here, as the SDK would try again for long what nobody has sealed.

        Raises:
            ApplicationError: With a `SuperstepFailure` as its detail; not retryable where that could not help.
        """
        if self.refused is not None:
            raise ApplicationError(f"This worker cannot host its workflows: {self.refused}", type="HostingError")
        found = _input(given)
        client = framed_client(activity.client())
        timeouts = ExecutorTimeouts(found.step)
        beat = Beat(client, found.step, timeouts, current_pacemaker())
        done = Done(itertools.count(1).__next__)
        hosted: WorkflowDefinition | None = None
        async with beat.beating(), _ended_with_superstep(client, found):
            try:
                check_attempts(found.step, beat)
                await beat.begin()
                hosted = self._checked(found)
                return await self._run(client, hosted, found, beat, timeouts, done)
            except (ApplicationError, RPCError):
                raise
            except BaseException as error:
                if is_leaving(error, is_cancelled=activity.is_cancelled()):
                    details = activity.cancellation_details()
                    if details is not None and details.worker_shutdown:
                        await beat.released()
                    raise
                failure = error if isinstance(error, Exception) and is_readable(error) else escaped(error)
                failed = await _failed(failure, found, hosted, beat, done)
                raise failed from cause_of(failure)

    def _checked(self, found: InvocationInput) -> WorkflowDefinition:
        """Return the workflow that an invocation is of, which this worker hosts.

        Raises:
            WorkflowNotHostedError: When it does not.
            GraphChangedError: When it hosts another graph under that name.
            PlacementError: When it does not run that executor.
        """
        step = found.step
        if step.flaw is not None:
            raise PayloadError(f"The input of the invocation cannot be read: {step.flaw}.")
        hosted = find(self._hosted, step.workflow_name)
        if found.graph_hash != hosted.graph_hash:
            raise GraphChangedError(
                f"The superstep's worker and the worker of task queue {activity.info().task_queue!r} host different "
                f"graphs as workflow {hosted.name!r}. Deploy the same version to both."
            )
        if not self._selection.takes(found.executor_id):
            raise PlacementError(
                f"The worker of task queue {activity.info().task_queue!r} runs {list(self._selection.patterns)}, not "
                f"executor {found.executor_id!r}. Start it with `--executors {found.executor_id}` as well, or choose "
                "another task queue for the executor."
            )
        return hosted

    async def _run(
        self,
        client: Client,
        hosted: WorkflowDefinition,
        found: InvocationInput,
        beat: Beat,
        timeouts: ExecutorTimeouts,
        done: Done,
    ) -> InvocationResult:
        given = await Given.of(found.frame, hosted.catalog)
        async with hosted.acquire() as workflow:
            executor = workflow.executors.get(found.executor_id)
            if executor is None:
                raise PlacementError(f"Workflow {hosted.name!r} has no executor {found.executor_id!r}.")
            resources = None if hosted.is_instance else Resources(workflow, hosted.shared)
            try:
                await executor.on_checkpoint_restore(given.own)
                await drop_restored_events_of(executor)
                before = self._unsaved.snapshot(workflow)
                scope = Scope(hosted.name, timeouts, None if resources is None else resources.enter)
                await self._invoke(hosted, workflow, executor, found, given, beat, scope, done)
                self._unsaved.compare(workflow, before)
                own = await executor.on_checkpoint_save()
            finally:
                if resources is not None and resources.any:
                    await resources.leave()
        frame = await Did(done.noted, own).framed(hosted.catalog)
        result: InvocationResult = InvocationResult(
            answers=found.invocation_id, attempt=activity.info().attempt, calls=beat.calls
        ).with_frame(frame)
        if not stores_outside(client.data_converter):
            size = (await encoded_payload(client.data_converter, result)).ByteSize()
            if size > MAX_PAYLOAD_BYTES:
                raise PayloadError(
                    f"The result of executor {executor.id!r} on its task queue takes {size:,} bytes, more than the "
                    f"{MAX_PAYLOAD_BYTES:,} that fit in a Temporal payload. Keep a reference instead of the data, or "
                    "configure external storage on the client's data converter."
                )
        return result

    async def _invoke(
        self,
        hosted: WorkflowDefinition,
        workflow: Workflow,
        executor: Executor,
        found: InvocationInput,
        given: Given,
        beat: Beat,
        scope: Scope,
        done: Done,
    ) -> None:
        step, info = found.step, activity.info()
        set_streaming(workflow, step.streaming)
        journal_invocations(workflow)
        told = beat.tell(LiveEvents(hosted.catalog, info.attempt, 0)) if step.streaming else None
        writer = EventWriter(offset=0, attempt=info.attempt)

        def record(name: str, *arguments: Any) -> None:
            done(name, *arguments)
            if told is not None and name in EVENTS:
                event: WorkflowEvent[Any] = arguments[0]
                writer.add(event, found.superstep)
                last = writer.records[-1]
                told.add(last, event, None if last.readable is None else writer.readable[last.readable])

        place = Superstep(hosted.name, found.thread_id, found.message_run_id, found.superstep, info.attempt)
        journal = await beat.open_journal(hosted.catalog, step, found.journal)
        with (
            in_superstep(workflow, place),
            journalled(None if journal is None else JournalScope(journal)),
            calls_counted(hosted.name, journal),
            without_pending_warning(),
            below(step.trace),
            containing(workflow, scope),
        ):
            try:
                async with scope.timeouts.limited():
                    await invoke(workflow, executor, given.message, given.sources, state_of(given.state), record)
            except TimeoutError as error:
                if not scope.timeouts.expired:
                    raise
                raise TimeoutError(scope.timeouts.overdue().text) from error
            finally:
                done.end()


def _input(given: RawValue) -> InvocationInput:
    """Decode the input of an invocation.

    Raises:
        ApplicationError: When nobody with a key has sealed it for this invocation, or a newer release has written it.
    """
    try:
        found = activity.payload_converter().from_payload(given.payload, InvocationInput)
    except (NotSealedError, NewerReleaseError) as error:
        failure, rule = SuperstepFailure(answers=activity.info().activity_id), retry_rule(_NOTHING, None)
        raise to_application_error(error, failure, executor_failed=False, rule=rule) from cause_of(error)
    assert isinstance(found, InvocationInput)  # noqa: S101 - the converter has made it, or raised
    if found.invocation_id != activity.info().activity_id:
        failure = SuperstepFailure(answers=activity.info().activity_id)
        refused = PayloadError(f"The input of invocation {found.invocation_id!r} was copied to another one.")
        raise to_application_error(refused, failure, executor_failed=False, rule=retry_rule(_NOTHING, None))
    return found


_NOTHING = SuperstepInput(workflow_name="", mode="resume")


async def _failed(
    error: Exception, found: InvocationInput, hosted: WorkflowDefinition | None, beat: Beat, done: Done
) -> ApplicationError:
    """Return what an invocation reports that has failed: with what it had told until then, if there is room."""
    done.end()
    failure = SuperstepFailure(answers=found.invocation_id, attempt=activity.info().attempt, calls=beat.calls)
    failure.with_journal(beat.journal(MAX_FAILURE_BYTES // 2))
    has_run = bool(done.noted) or isinstance(error, TimeoutError)
    if hosted is not None and done.noted:
        with contextlib.suppress(PayloadError):  # What failed first is what counts.
            frame = await Did(done.noted).framed(hosted.catalog)
            if len(frame) <= MAX_FAILURE_BYTES // 2:
                failure.with_frame(frame)
    rule = retry_rule(found.step, found.executor_id)
    failed = to_application_error(error, failure, executor_failed=has_run, failures=beat.failures + 1, rule=rule)
    if not failed.non_retryable:
        await beat.failed()
    return failed


@contextlib.asynccontextmanager
async def _ended_with_superstep(client: Client, found: InvocationInput) -> AsyncIterator[None]:
    """End the body when the superstep that waits for it is over."""
    looking = asyncio.create_task(_look_for_superstep(client, found))
    try:
        yield
    finally:
        looking.cancel()


async def _look_for_superstep(client: Client, found: InvocationInput) -> None:
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            run = await describe_run(client, found.thread_id, found.run_id)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                continue
        else:
            if run.is_open and any(pending.activity_id == found.activity_id for pending in run.raw.pending_activities):
                continue
        _LOGGER.warning(
            "Nothing waits for executor %r of thread %r any longer, so it stops.", found.executor_id, found.thread_id
        )
        with contextlib.suppress(RPCError):  # By the server, which tells the SDK: so it counts as cancelled.
            await client.get_activity_handle(found.invocation_id, run_id=activity.info().activity_run_id).cancel()
