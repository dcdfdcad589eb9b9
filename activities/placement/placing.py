"""The superstep's side of executors that run elsewhere: it starts their invocations, and does what these have done.

An invocation is a standalone activity on the queue of its policy. Its id is the same in each attempt of the superstep,
so that the next one takes up what the one before has started, whether it still runs or is over. What it has done comes
back as a value and is done here, in the framework's run: who gets its messages, what is in the state, when the
superstep ends, all that is decided as if the executor had run here.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from agent_framework import Executor, Workflow, WorkflowErrorDetails, WorkflowEventSource
from temporalio import activity
from temporalio.api.activity.v1 import ActivityExecutionOutcome
from temporalio.api.enums.v1 import TimeoutType
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from ...adapter.checkpoints.history import decode, failure_text
from ...adapter.encoding.encoding import dumps
from ...adapter.errors import NoWorkerError, PayloadError, PlacementError, RunFailedError, WorkerLostError
from ...adapter.framework.catalog import TypeCatalog, executors_of
from ...adapter.framework.definition import WorkflowDefinition
from ...adapter.framework.error_data import rebuilt
from ...adapter.framework.internals import (
    apply_recorded,
    drop_restored_events_of,
    message_parts,
    new_event,
    sessions_of,
    share_restored,
    state_values,
)
from ...adapter.framework.selection import ExecutorSelection
from ...adapter.temporal.converter import MAX_PAYLOAD_BYTES, encoded_payload, stores_outside
from ...adapter.temporal.standalone import StandaloneActivity, StandaloneOptions
from ...workflows import limits
from ...workflows.display import shell_command
from ...workflows.messages import (
    INVOCATION_ACTIVITY,
    MAX_SECONDS,
    Calls,
    ExecutorRule,
    InvocationInput,
    InvocationResult,
    RunOptions,
    SuperstepFailure,
    SuperstepInput,
)
from ..executor_rules import RetryRule, retry_rule
from ..framework_run import SuperstepError
from ..heartbeat import Beat
from ..invocation import current_superstep
from ..journal.journal import current_scope
from .carried import Did, Given
from .current import placing
from .relay import AttemptOverError, Relay

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
_DEFAULTS = RunOptions()
_PATIENCE = 10.0
"""Seconds until it is looked whether an invocation waits in vain for a worker."""
_LOOK_AGAIN = 30.0
_ID_BYTES = 12
_MAX_THREAD_ID, _MAX_EXECUTOR_ID = 120, 60
"""Bytes in an activity's id, of which many servers are set up to take no more than 255."""


class Placement:
    """The executors of one superstep that run elsewhere.

    Args:
        client: A client with our payload converter.
        hosted: The hosted workflow.
        workflow: The instance that runs.
        step: The superstep, its rules by executor id.
        selection: The executors that run on this worker.
        beat: Tells who waits for a worker.
    """

    def __init__(
        self,
        client: Client,
        hosted: WorkflowDefinition,
        workflow: Workflow,
        step: SuperstepInput,
        selection: ExecutorSelection,
        beat: Beat,
    ) -> None:
        self._client = client
        self._hosted = hosted
        self._instance = workflow
        self._step = step
        self._rules = step.executors or {}
        self._selection = selection
        self._beat = beat
        self._likes: Counter[str] = Counter()
        self._turns: dict[str, asyncio.Lock] = {}
        """Let an executor have one invocation at a time, as here: the next begins with the state after it."""
        self._open: dict[str, StandaloneActivity] = {}
        self._over: set[str] = set()
        """Executors whose invocation has failed for good."""
        self._told: set[str] = set()
        """Those of which that was told."""
        self.failures: dict[str, SuperstepFailure] = {}
        """By executor id: what has failed for good, as it was reported."""

    def is_elsewhere(self, executor: Executor) -> bool:
        """Tell whether an executor runs elsewhere; also of one that this worker does not run."""
        return self._queue_of(executor) is not None or not self._selection.takes(executor.id)

    def retry_rule(self, executor_id: str | None) -> RetryRule:
        """Return what holds for the superstep after an executor has failed: one that was placed was retried there."""
        rule = retry_rule(self._step, executor_id)
        return replace(rule, max_attempts=1) if executor_id in self._over else rule

    @contextlib.asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """Let the executors that the body runs, which is the superstep, be run where they are placed.

        Raises:
            ApplicationError: When the superstep is to be tried again without a failure of its own.
        """
        with placing(self):
            try:
                yield
            except asyncio.CancelledError:
                details = activity.cancellation_details()
                if details is not None and details.cancel_requested:  # Else another attempt takes up what is open.
                    await self.cancel_open()
                raise
            except SuperstepError as error:
                if not isinstance(error.error, AttemptOverError):
                    raise
                await self._beat.released()
                text = "An executor that runs elsewhere has begun another attempt there."
                raise ApplicationError(text, next_retry_delay=timedelta(0)) from None

    async def invoke(self, executor: Executor, message: Any, sources: list[str], state: Any, context: Any) -> None:
        """Have one invocation run where its policy says, and do here what it has done.

        Costs two round trips, and one for each heartbeat while somebody streams; no history event.

        Raises:
            Exception: What it has failed with.
        """
        try:
            async with self._turns.setdefault(executor.id, asyncio.Lock()):
                await self._invoke(executor, message, sources, state, context)
        except AttemptOverError:
            raise
        except Exception as error:
            self._over.add(executor.id)
            if executor.id not in self._told:
                await apply_recorded(executor, message, state, context, "invoked", [])
                details = WorkflowErrorDetails.from_exception(error)
                origin = WorkflowEventSource.FRAMEWORK
                failed = new_event(
                    "executor_failed", executor_id=executor.id, data=details, details=details, origin=origin
                )
                await context.add_event(failed)
            raise

    async def _invoke(self, executor: Executor, message: Any, sources: list[str], state: Any, context: Any) -> None:
        rule, queue = self._rules.get(executor.id) or ExecutorRule(), self._queue_of(executor)
        if queue is None:
            raise PlacementError(
                f"This worker runs {list(self._selection.patterns)}, not executor {executor.id!r}, which has no task "
                "queue of its own. Set one in its policy, with the option `executors`."
            )
        if queue == activity.info().task_queue:
            raise PlacementError(
                f"Executor {executor.id!r} cannot use the task queue of its superstep, {queue!r}: supersteps that "
                "wait for it would occupy the worker slots that it needs. Choose another task queue for it."
            )
        if self._hosted.is_instance:
            raise PlacementError(
                f"Executor {executor.id!r} cannot run on task queue {queue!r}: workflow {self._hosted.name!r} is "
                "hosted as a single instance, which this superstep uses. Host the factory that builds it instead."
            )
        activity_id = self._id(executor, message, sources)
        given = await self._input(executor, rule, activity_id, message, sources, state)
        options = self._options(executor, rule, queue)
        started = await StandaloneActivity.start(self._client, INVOCATION_ACTIVITY, given, activity_id, options)
        self._open[activity_id] = started
        relay: Relay | None = None
        if self._step.streaming:
            invoked = functools.partial(apply_recorded, executor, message, state, context, "invoked", [])
            relay = Relay(self._client, self._hosted.catalog, started, context, invoked)
        watching = asyncio.create_task(self._watch(executor, queue, started, context))
        try:
            outcome = await (started.outcome() if relay is None else relay.outcome())
        finally:
            watching.cancel()
            self._waits(executor, None)
        del self._open[activity_id]
        ended = await self._ended(executor, rule, queue, started, outcome)
        if ended.did.own is not None:
            sessions = sessions_of(executors_of(self._instance))
            await executor.on_checkpoint_restore(ended.did.own)
            await drop_restored_events_of(executor)
            share_restored(sessions)
        for _, name, *arguments in ended.did.steps if relay is None else relay.left_of(ended.did.steps):
            await apply_recorded(executor, message, state, context, name, arguments)
            if name == "event" and arguments[0].type == "executor_failed":
                self._told.add(executor.id)
        scope = current_scope()
        if scope is not None and ended.calls is not None:
            await scope.journal.called_elsewhere(activity_id, executor.id, ended.calls)
        if scope is not None and ended.failure is not None:
            await scope.journal.left_elsewhere(scope.key, executor.id, ended.failure.journal)
        if ended.error is not None:
            if ended.failure is not None:
                self.failures[executor.id] = ended.failure
            raise ended.error

    async def cancel_open(self) -> None:
        """Ask what is not over to end: nobody will take what comes of it."""
        found, self._open = [*self._open.values()], {}
        results = await asyncio.gather(*(started.cancel() for started in found), return_exceptions=True)
        for started, result in zip(found, results, strict=True):
            gone = isinstance(result, RPCError) and result.status == RPCStatusCode.NOT_FOUND
            if isinstance(result, Exception) and not gone:
                _LOGGER.warning("Invocation %r could not be cancelled: %s", started.id, result)

    def _queue_of(self, executor: Executor) -> str | None:
        rule = self._rules.get(executor.id)
        return rule.task_queue if rule is not None else None

    def _id(self, executor: Executor, message: Any, sources: list[str]) -> str:
        """Return the invocation's name: the same in each attempt of the superstep, and in no other superstep."""
        scope = current_scope()
        key = scope.key if scope is not None else ""
        if not key:  # Without a journal none is taken from it, so that counting goes the same way each time.
            data, request_id = message_parts(message)
            like = _digest([executor.id, sources, request_id, dumps(data, self._hosted.catalog).hex()])
            self._likes[like] += 1
            key = f"/{self._likes[like]}.{like}"
        thread_id = _short(activity.info().workflow_id or "", _MAX_THREAD_ID)
        # A burst runs several supersteps, told apart by where their events begin.
        superstep = f"{self._step.superstep_id}.{self._step.offset}" if self._step.burst else self._step.superstep_id
        return f"{thread_id}/{superstep}/{_short(executor.id, _MAX_EXECUTOR_ID)}{key}"

    async def _input(
        self, executor: Executor, rule: ExecutorRule, activity_id: str, message: Any, sources: list[str], state: Any
    ) -> InvocationInput:
        info, superstep, step = activity.info(), current_superstep(), self._step
        if superstep is None:
            raise RuntimeError("An executor runs outside of a superstep; this is a bug.")
        within = {name: found for name, found in self._rules.items() if name.startswith(f"{executor.id}/")}
        given = Given(message, sources, state_values(state), await executor.on_checkpoint_save())
        found: InvocationInput = InvocationInput(
            executor_id=executor.id,
            graph_hash=self._hosted.graph_hash,
            invocation_id=activity_id,
            thread_id=superstep.thread_id,
            run_id=info.workflow_run_id or "",
            activity_id=info.activity_id,
            message_run_id=superstep.message_run_id,
            superstep=superstep.superstep,
            superstep_attempt=superstep.attempt,
            step=SuperstepInput(
                workflow_name=self._hosted.name,
                mode="continue",
                superstep_id=activity_id,
                streaming=step.streaming,
                max_attempts=step.max_attempts,
                max_worker_losses=step.max_worker_losses,
                retry=step.retry,
                executors={executor.id: rule, **within},
                tools=step.tools,
                journal=step.journal,
                timeout=step.timeout,
                trace=step.trace,
            ),
        ).with_frame(await given.framed(self._hosted.catalog))
        scope = current_scope()
        if scope is not None:
            found.with_journal(scope.journal.take_elsewhere(scope.key))
        if not stores_outside(self._client.data_converter):
            size = (await encoded_payload(self._client.data_converter, found)).ByteSize()
            if size > MAX_PAYLOAD_BYTES:
                raise PayloadError(
                    f"The input of executor {executor.id!r} on its task queue, its message and the workflow's state, "
                    f"takes {size:,} bytes, more than the {MAX_PAYLOAD_BYTES:,} that fit in a Temporal payload. Keep "
                    "a reference in the state instead of the data, or configure external storage on the client's "
                    "data converter."
                )
        return found

    def _options(self, executor: Executor, rule: ExecutorRule, queue: str) -> StandaloneOptions:
        retry = retry_rule(self._step, executor.id)
        most = _DEFAULTS.max_worker_losses if self._step.max_worker_losses is None else self._step.max_worker_losses
        whole = timedelta(seconds=self._step.timeout or _DEFAULTS.superstep_timeout) + limits.TIMEOUT_GRACE
        priority, seconds = activity.info().priority, rule.heartbeat_timeout
        heartbeat = activity.info().heartbeat_timeout if seconds is None else timedelta(seconds=seconds)
        return StandaloneOptions(
            task_queue=queue,
            schedule_to_start=None if rule.worker_timeout is None else timedelta(seconds=rule.worker_timeout),
            # Past this no attempt of the superstep is there any more to take what comes of it.
            schedule_to_close=min(whole * (self._step.max_attempts + most), timedelta(seconds=MAX_SECONDS)),
            start_to_close=whole,
            heartbeat=heartbeat or timedelta(seconds=_DEFAULTS.heartbeat_timeout),
            retry=RetryPolicy(
                initial_interval=timedelta(seconds=retry.initial_interval),
                backoff_coefficient=retry.backoff,
                maximum_interval=max(timedelta(seconds=retry.maximum_interval), limits.LONGEST_WAIT),
                # As of supersteps: the activity counts what has failed and who was lost, each to its own bound.
                maximum_attempts=retry.max_attempts + most + limits.MAX_NOT_BEGUN,
            ),
            priority=priority if rule.priority is None else replace(priority, priority_key=rule.priority),
            summary=f"executor {executor.id}"[:200],
        )

    async def _ended(
        self,
        executor: Executor,
        rule: ExecutorRule,
        queue: str,
        started: StandaloneActivity,
        outcome: ActivityExecutionOutcome,
    ) -> _Ended:
        catalog = self._hosted.catalog
        if not outcome.HasField("failure"):
            payloads = outcome.result.payloads
            result: InvocationResult = await decode(self._client, payloads[0], InvocationResult, started.place)
            self._check(started, result.answers)
            return _Ended(await Did.of(result.frame, catalog), result.calls)
        failure = outcome.failure
        nothing = Did([])
        if failure.HasField("timeout_failure_info"):
            return _Ended(nothing, error=_timed_out(executor, rule, queue, failure))
        if failure.HasField("canceled_failure_info") or failure.HasField("terminated_failure_info"):
            how = "cancelled" if failure.HasField("canceled_failure_info") else "terminated"
            return _Ended(nothing, error=RunFailedError(f"The invocation of executor {executor.id!r} was {how}."))
        details = failure.application_failure_info.details.payloads
        if not details:
            text = await failure_text(self._client, failure, started.place)
            return _Ended(nothing, error=RunFailedError(f"The invocation of executor {executor.id!r} failed: {text}"))
        told: SuperstepFailure = await decode(self._client, details[0], SuperstepFailure, started.place)
        self._check(started, told.answers)
        did = await Did.of(told.frame, catalog) if told.frame else nothing
        return _Ended(Did(did.steps), told.calls, told, _error_of(told, catalog))

    def _check(self, started: StandaloneActivity, answers: str | None) -> None:
        if answers != started.id:
            raise PayloadError(
                f"The outcome of invocation {started.id!r} is one of {answers!r}: somebody has copied it from there."
            )

    async def _watch(self, executor: Executor, queue: str, started: StandaloneActivity, context: Any) -> None:
        """Tell when nobody is there to run an invocation."""
        pause, told = _PATIENCE, False
        while True:
            await asyncio.sleep(pause)
            pause = _LOOK_AGAIN
            try:
                waits = await started.waits_for_worker()
            except RPCError:
                continue
            self._waits(executor, queue if waits else None)
            if waits and not told:
                told = True
                text = _no_worker(executor, queue)
                _LOGGER.warning("Thread %r: %s", activity.info().workflow_id, text)
                origin = WorkflowEventSource.FRAMEWORK
                await context.add_event(new_event("warning", data=text, origin=origin))

    def _waits(self, executor: Executor, queue: str | None) -> None:
        waits = {name: found for name, found in self._beat.waits.items() if name != executor.id}
        if queue is not None:
            waits[executor.id] = queue
        if waits != self._beat.waits:
            self._beat.waits = waits
            self._beat.write_soon()


@dataclass(frozen=True, slots=True)
class _Ended:
    """How an invocation has ended."""

    did: Did
    calls: Calls | None = None
    failure: SuperstepFailure | None = None
    error: Exception | None = None


class _PlacedError(Exception):
    """Stands for an exception whose class this process does not know; it is raised as a class named as that."""


def _error_of(failure: SuperstepFailure, catalog: TypeCatalog) -> Exception:
    error = rebuilt(
        failure.error_module,
        failure.error_type,
        failure.error_args,
        failure.message,
        failure.error_data,
        catalog=catalog,
    )
    if type(error) is not RunFailedError or failure.error_type == RunFailedError.__name__:
        return error
    name = failure.error_type
    cls = type(name.rpartition(".")[2], (_PlacedError,), {"__module__": failure.error_module, "__qualname__": name})
    named: Exception = cls(failure.message)
    return named


def _timed_out(executor: Executor, rule: ExecutorRule, queue: str, failure: Failure) -> Exception:
    kind = failure.timeout_failure_info.timeout_type
    if kind == TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START:
        return NoWorkerError(f"{_no_worker(executor, queue)} It has waited for {rule.worker_timeout or 0:g} seconds.")
    if kind == TimeoutType.TIMEOUT_TYPE_HEARTBEAT:
        return WorkerLostError(
            f"The workers of task queue {queue!r} were lost while they ran executor {executor.id!r}."
        )
    return TimeoutError(f"Executor {executor.id!r} took too long on task queue {queue!r}.")


def _no_worker(executor: Executor, queue: str) -> str:
    command = shell_command(["agent-framework-temporal-worker", "--workflow", "MODULE:ATTR", "--task-queue", queue])
    return f"Executor {executor.id!r} waits for a worker: none polls task queue {queue!r}. Start one: `{command}`."


def _short(text: str, most: int) -> str:
    return text if len(text.encode()) <= most else _digest(text)


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=_ID_BYTES).hexdigest()
