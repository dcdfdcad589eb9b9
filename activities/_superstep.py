"""The superstep activity: load the base checkpoint, run one superstep, return the next checkpoint and the events.

It may run more than once for a superstep (a lost worker, a failed attempt), but only one result is committed: the one
Temporal writes to history. An executor's own side effects should therefore be idempotent.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

from agent_framework import WorkflowInvocationKwargs
from temporalio import activity
from temporalio.client import Client
from temporalio.converter import StorageDriverWorkflowInfo
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from ..adapter._client import framed_client
from ..adapter._converter import stores_outside
from ..adapter._deployment import takes_over
from ..adapter._error_data import is_readable
from ..adapter._errors import DurableWorkflowError, PayloadError
from ..adapter._framework import matches, pending_events
from ..adapter._history import load_checkpoint, start_input
from ..adapter._hosting import HostedWorkflow, find
from ..adapter._invocation import Superstep, running
from ..adapter._mirror import ThreadSource
from ..adapter._records import RecordWriter
from ..adapter._types import type_key
from ..adapter._values import from_json_value
from ..workflows._messages import (
    SUPERSTEP_ACTIVITY,
    CheckpointRef,
    SuperstepFailure,
    SuperstepInput,
    SuperstepResult,
    Value,
)
from ._attempts import check_attempts
from ._beat import Beat
from ._cache import CheckpointCache
from ._capture import Capture, loads_checkpoint
from ._containment import Scope, escaped, is_leaving
from ._failures import cause_of, to_application_error
from ._framework_run import FrameworkRun, RunArguments, SuperstepError, run_superstep
from ._limits import guard_result
from ._live import LiveRun, LiveRuns
from ._live_events import LiveEvents
from ._metrics import count_restore, count_superstep
from ._mirrors import Mirror, Mirrors, add_news
from ._pacemaker import current_pacemaker
from ._policy import ExecutorTimeouts, retry_rule
from ._report import failure_of, result_of, stored_of, targets_of
from ._resources import Resources
from ._unsaved_state import UnsavedState


class SuperstepActivity:
    """The activity and what it keeps between supersteps: hosted workflows, checkpoints and live instances.

    Args:
        hosted: Hosted workflows by name; filled before the worker polls.
        cache: Raw checkpoints of recent supersteps.
        live: Instances that hold them.
        mirrors: Take copies of them.
    """

    def __init__(
        self, hosted: dict[str, HostedWorkflow], cache: CheckpointCache, live: LiveRuns, mirrors: Mirrors
    ) -> None:
        self._hosted = hosted
        self._cache = cache
        self._live = live
        self._mirrors = mirrors
        self._unsaved = UnsavedState()
        self._clients: tuple[Client, Client] | None = None
        self.refused: BaseException | None = None
        """Why this worker cannot host its workflows; it stops, and what it has been given yet is left to others."""

    @activity.defn(name=SUPERSTEP_ACTIVITY)
    async def superstep(self, step: SuperstepInput) -> SuperstepResult:
        """Run one superstep.

        Raises:
            ApplicationError: With a `SuperstepFailure` as its detail; not retryable where that could not help.
        """
        if self.refused is not None:
            raise ApplicationError(f"This worker cannot host its workflows: {self.refused}", type="HostingError")
        timeouts = ExecutorTimeouts(step)
        beat = Beat(step, timeouts, current_pacemaker())
        async with beat.beating():
            try:
                check_attempts(step, beat)
                await beat.begin()
                return await self._step(step, beat, timeouts)
            except (ApplicationError, RPCError):
                raise  # Told already; or the server's, which is no failure of the superstep.
            except DurableWorkflowError as error:
                failed = await self._failed(step, error, beat, in_user_code=False)
                raise failed from cause_of(error)
            except BaseException as error:  # Of the factory, of hooks: user code outside of the framework's run.
                if is_leaving(error, is_cancelled=activity.is_cancelled()):
                    details = activity.cancellation_details()
                    if details is not None and details.worker_shutdown:
                        await beat.released()
                    raise
                readable = error if isinstance(error, Exception) and is_readable(error) else escaped(error)
                failed = await self._failed(step, readable, beat, in_user_code=True)
                raise failed from cause_of(readable)

    @staticmethod
    async def _failed(step: SuperstepInput, error: Exception, beat: Beat, *, in_user_code: bool) -> ApplicationError:
        failure = SuperstepFailure(attempt=activity.info().attempt)
        failed = to_application_error(
            error,
            failure,
            executor_failed=in_user_code,
            failures=beat.failures + 1,
            rule=retry_rule(step, None),
        )
        if not failed.non_retryable:
            await beat.failed()
        return failed

    async def _step(self, step: SuperstepInput, beat: Beat, timeouts: ExecutorTimeouts) -> SuperstepResult:
        hosted = find(self._hosted, step.workflow_name)
        client = self._client()
        if step.mode == "upgrade":
            taken = await takes_over(client, step.deployment or "", hosted.name, step.graph_hash or "")
            return SuperstepResult(state="running", upgrade=taken)
        if step.mode == "store":
            return await self._store(client, hosted, step)
        return await self._run(client, hosted, step, beat, timeouts)

    def _client(self) -> Client:
        """Return the worker's client; the SDK hands it out as it was given, perhaps without our payload converter."""
        given = activity.client()
        if self._clients is None or self._clients[0] is not given:
            self._clients = (given, framed_client(given))
        return self._clients[1]

    async def _run(
        self,
        client: Client,
        hosted: HostedWorkflow,
        step: SuperstepInput,
        beat: Beat,
        timeouts: ExecutorTimeouts,
    ) -> SuperstepResult:
        info = activity.info()
        begins = step.keyframe and step.mode != "continue"
        mirrors = self._mirrors.of(hosted, step.mirror, required=begins)
        async with self._instance(client, hosted, step) as live:
            capture, base_raw = live.capture, live.raw
            if step.mode == "message":
                capture.turn = info.workflow_run_id or ""
            arguments = await self._arguments(client, hosted, step, live)
            before = self._unsaved.snapshot(live.workflow)
            # Only a caller who streams reads along; for any other the beat is a sign of life and nothing more.
            told = beat.tell(LiveEvents(hosted.catalog, info.attempt, step.offset)) if step.streaming else None
            run = FrameworkRun(RecordWriter(offset=step.offset, attempt=info.attempt), told)
            scope = Scope(hosted.name, timeouts, live.resources.enter if live.resources is not None else None)
            place = Superstep(hosted.name, _thread_id(info), capture.turn, superstep=0, attempt=info.attempt)
            try:
                with running(live.workflow, place):
                    await run_superstep(hosted, live, step, arguments, run, scope)
            except SuperstepError as error:
                outside = stores_outside(client.data_converter)
                failed = to_application_error(
                    error.error,
                    failure_of(hosted, step, run, capture, base_raw, stored_outside=outside),
                    executor_failed=run.executor_failed,
                    failures=beat.failures + 1,
                    rule=retry_rule(step, run.failed_executor),
                )
                if not failed.non_retryable:
                    await beat.failed()
                else:  # Only the last attempt's checkpoint gets into history.
                    self._copy(mirrors, client, hosted, capture)
                raise failed from cause_of(error.error)
            self._unsaved.compare(live.workflow, before)
            executors = targets_of(live.workflow, capture.last)
            result = result_of(hosted, step, run, capture, base_raw, executors, _thread_id(info))
            add_news(result, mirrors, _thread_id(info), step.offset)
            await guard_result(result, hosted, capture, client, _target(info))
            self._keep(hosted, step, live, result)
            self._copy(mirrors, client, hosted, capture)
        count_superstep(hosted.name, result)
        return result

    @staticmethod
    def _copy(mirrors: list[Mirror], client: Client, hosted: HostedWorkflow, capture: Capture) -> None:
        if not mirrors or not capture.saved:
            return
        info = activity.info()
        source = ThreadSource(client, _thread_id(info), info.workflow_run_id or "", hosted.catalog)
        for mirror in mirrors:
            mirror.offer(source, capture.saved, activity.metric_meter())

    async def _store(self, client: Client, hosted: HostedWorkflow, step: SuperstepInput) -> SuperstepResult:
        """Store the base whole in this run's history, which then stands without that of the run before."""
        if step.base is None:
            raise PayloadError("There is no checkpoint to store.")
        raw = await self._base(client, hosted, step.base)
        checkpoint = loads_checkpoint(raw, hosted)
        self._cache.put(step.base.checkpoint_id, raw)
        return stored_of(hosted, step, checkpoint, raw, _thread_id(activity.info()))

    @contextlib.asynccontextmanager
    async def _instance(self, client: Client, hosted: HostedWorkflow, step: SuperstepInput) -> AsyncIterator[LiveRun]:
        """Give an instance that holds the base, or a new one that is to be restored from it."""
        run_id = activity.info().workflow_run_id or ""
        live = None
        if step.base is not None and step.mode != "resume" and not step.discard_in_flight:
            live = self._live.take(step.base.checkpoint_id, open_run=step.mode == "continue")
        if live is not None:
            count_restore(hosted.name, "live")
            live.capture.begin(run_id)
            async with self._ended_on_error(live):
                yield live
            return
        raw = await self._base(client, hosted, step.base) if step.base is not None else None
        base = loads_checkpoint(raw, hosted) if raw is not None else None
        if base is not None and step.discard_in_flight:
            base = dataclasses.replace(base, messages={})
        async with hosted.acquire() as workflow:
            resources = None if hosted.is_instance else Resources(workflow, hosted.shared)
            live = LiveRun(workflow, Capture(hosted, base, run_id=run_id), raw, resources=resources)
            async with self._ended_on_error(live):
                yield live
            if hosted.is_instance:
                await live.close()

    @contextlib.asynccontextmanager
    async def _ended_on_error(self, live: LiveRun) -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            await live.close()
            self._live.end(live)
            raise

    def _keep(self, hosted: HostedWorkflow, step: SuperstepInput, live: LiveRun, result: SuperstepResult) -> None:
        last = live.capture.last
        if last is None:
            self._live.end(live)
            return
        self._cache.put(last.checkpoint_id, last.raw, replaces=step.base.checkpoint_id if step.base else None)
        if not hosted.is_instance:
            live.raw = last.raw
            if live.is_open and result.state != "running":  # Who waits for a person does not keep a server running.
                self._live.end(live)
            else:
                self._live.keep(last.checkpoint_id, live)

    async def _base(self, client: Client, hosted: HostedWorkflow, ref: CheckpointRef) -> bytes:
        raw = self._cache.get(ref.checkpoint_id)
        count_restore(hosted.name, "history" if raw is None else "cache")
        return raw if raw is not None else await load_checkpoint(client, ref)

    async def _arguments(
        self, client: Client, hosted: HostedWorkflow, step: SuperstepInput, live: LiveRun
    ) -> RunArguments:
        """Decode what the caller gave; a message lies in the run's start event, not in this activity's input."""
        if step.mode == "message":
            info = activity.info()
            run_input = await start_input(client, _thread_id(info), info.workflow_run_id or "")
            message = run_input.message or Value()
            return RunArguments(
                message=_message(message, hosted),
                function_invocation_kwargs=_kwargs(run_input.function_invocation_kwargs),
                client_kwargs=_kwargs(run_input.client_kwargs),
            )
        base = live.capture.base
        pending = await pending_events(live.workflow) if base is None else base.pending_request_info_events
        responses: dict[str, Any] = {}
        for answer in step.responses or []:
            event = pending.get(answer.request_id)
            declared = (event.response_type,) if event is not None else ()
            responses[answer.request_id] = from_json_value(answer.response, answer.type, declared, hosted.catalog)
        return RunArguments(
            responses=responses,
            function_invocation_kwargs=_kwargs(step.function_invocation_kwargs),
            client_kwargs=_kwargs(step.client_kwargs),
        )


def _target(info: activity.Info) -> StorageDriverWorkflowInfo:
    return StorageDriverWorkflowInfo(
        namespace=info.workflow_namespace or info.namespace,
        id=info.workflow_id,
        run_id=info.workflow_run_id,
        type=info.workflow_type,
    )


def _thread_id(info: activity.Info) -> str:
    if info.workflow_id is None:
        raise PayloadError("The superstep activity runs for the generic workflow only.")
    return info.workflow_id


def _message(message: Value, hosted: HostedWorkflow) -> Any:
    """Build the message; a client without types leaves it to us to unwrap a one-element list."""
    declared = hosted.catalog.input_types
    value = from_json_value(message.value, message.type, declared, hosted.catalog)
    if isinstance(value, list) and len(value) == 1 and not any(matches(value, kind) for kind in declared):
        element = from_json_value(value[0], None, declared, hosted.catalog)
        if any(matches(element, kind) for kind in declared):
            return element
    return value


def _kwargs(value: Value | None) -> Any:
    if value is None:
        return None
    if value.type == type_key(WorkflowInvocationKwargs) and isinstance(value.value, dict):
        return WorkflowInvocationKwargs(
            global_kwargs=value.value.get("global_kwargs", {}), executor_kwargs=value.value.get("executor_kwargs", {})
        )
    return value.value
