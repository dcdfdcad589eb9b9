"""The superstep activity: load the base checkpoint, run one superstep, return the next checkpoint and the events.

It may run more than once for a superstep (a lost worker, a failed attempt), but only one result is committed: the one
Temporal writes to history. An executor's own side effects should therefore be idempotent.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any, get_args

from agent_framework import WorkflowInvocationKwargs
from temporalio import activity
from temporalio.client import Client
from temporalio.converter import StorageDriverWorkflowInfo

from ..adapter.checkpoints.history import load_checkpoint, start_input
from ..adapter.checkpoints.mirror import ThreadSource
from ..adapter.checkpoints.records import RecordWriter
from ..adapter.errors import DurableWorkflowError, NewerReleaseError, PayloadError
from ..adapter.framework.catalog import type_key
from ..adapter.framework.definition import HostedWorkflow
from ..adapter.framework.internals import matches, pending_events
from ..adapter.framework.values import from_json_value
from ..adapter.temporal.client import framed_client
from ..adapter.temporal.converter import stores_outside
from ..workflows.messages import (
    SUPERSTEP_ACTIVITY,
    CheckpointRef,
    StepMode,
    SuperstepFailure,
    SuperstepInput,
    SuperstepResult,
    Value,
)
from .cache import CheckpointCache
from .capture import Capture, loads_checkpoint
from .deployment import takes_over
from .executor_rules import retry_rule
from .failures import cause_of, to_application_error
from .framework_run import FrameworkRun, RunArguments, SuperstepError, run_superstep
from .heartbeat import Beat, beating
from .hosting import find
from .invocation import Superstep, running
from .limits import guard_result
from .live_events import LiveEvents
from .metrics import count_restore, count_superstep
from .mirrors import Mirror, Mirrors, add_news
from .report import failure_of, result_of, stored_of, targets_of
from .unsaved_state import UnsavedState
from .warm import LiveRun, LiveRuns


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

    @activity.defn(name=SUPERSTEP_ACTIVITY)
    async def superstep(self, step: SuperstepInput) -> SuperstepResult:
        """Run one superstep.

        Raises:
            ApplicationError: With a `SuperstepFailure` as its detail; not retryable where that could not help.
        """
        async with beating() as beat:
            try:
                if step.mode not in get_args(StepMode):
                    raise NewerReleaseError(
                        f"This worker knows no superstep of mode {step.mode!r}, which a newer release of "
                        "agent-framework-temporal has scheduled. Upgrade it; another one may take the superstep."
                    )
                hosted = find(self._hosted, step.workflow_name)
                client = self._client()
                if step.mode == "upgrade":
                    taken = await takes_over(client, step.deployment or "", hosted.name, step.graph_hash or "")
                    return SuperstepResult(state="running", upgrade=taken)
                if step.mode == "store":
                    return await self._store(client, hosted, step)
                return await self._run(client, hosted, step, beat)
            except DurableWorkflowError as error:
                failure = SuperstepFailure(attempt=activity.info().attempt)
                rule = retry_rule(step, None)
                failed = to_application_error(error, failure, executor_failed=False, failures=1, rule=rule)
                raise failed from cause_of(error)

    def _client(self) -> Client:
        """Return the worker's client; the SDK hands it out as it was given, perhaps without our payload converter."""
        given = activity.client()
        if self._clients is None or self._clients[0] is not given:
            self._clients = (given, framed_client(given))
        return self._clients[1]

    async def _run(self, client: Client, hosted: HostedWorkflow, step: SuperstepInput, beat: Beat) -> SuperstepResult:
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
            place = Superstep(hosted.name, _thread_id(info), capture.turn, superstep=0, attempt=info.attempt)
            try:
                with running(live.workflow, place):
                    await run_superstep(hosted, live, step, arguments, run)
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
                    beat.failed()
                else:  # Only the last attempt's checkpoint gets into history.
                    self._copy(mirrors, client, hosted, capture)
                raise failed from cause_of(error.error)
            self._unsaved.compare(live.workflow, before)
            executors = targets_of(live.workflow, capture.last)
            result = result_of(hosted, step, run, capture, base_raw, executors, _thread_id(info))
            add_news(result, mirrors, _thread_id(info), step.offset)
            await guard_result(result, hosted, capture, client, _target(info))
            self._keep(hosted, step, live)
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
            async with _closed_on_error(live):
                yield live
            return
        raw = await self._base(client, hosted, step.base) if step.base is not None else None
        base = loads_checkpoint(raw, hosted) if raw is not None else None
        if base is not None and step.discard_in_flight:
            base = dataclasses.replace(base, messages={})
        async with hosted.acquire() as workflow:
            live = LiveRun(workflow, Capture(hosted, base, run_id=run_id), raw)
            async with _closed_on_error(live):
                yield live
            if hosted.is_instance:
                await live.close()

    def _keep(self, hosted: HostedWorkflow, step: SuperstepInput, live: LiveRun) -> None:
        last = live.capture.last
        if last is None:
            return
        self._cache.put(last.checkpoint_id, last.raw, replaces=step.base.checkpoint_id if step.base else None)
        if not hosted.is_instance:
            live.raw = last.raw
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


@contextlib.asynccontextmanager
async def _closed_on_error(live: LiveRun) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        await live.close()
        raise
