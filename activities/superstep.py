"""The superstep activity: load the base checkpoint, run one superstep, return the next checkpoint and the events.

It may run more than once for a superstep (a lost worker, a failed attempt), but only one result is committed: the one
Temporal writes to history. An executor's own side effects should therefore be idempotent.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import functools
from collections.abc import AsyncIterator
from typing import Any, get_args

from agent_framework import WorkflowCheckpoint, WorkflowInvocationKwargs
from temporalio import activity
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.converter import StorageDriverWorkflowInfo
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from ..adapter.checkpoints.history import load_checkpoint, start_input
from ..adapter.checkpoints.label import decoded_checkpoint
from ..adapter.checkpoints.mirror import ThreadSource
from ..adapter.encoding.sending import received
from ..adapter.errors import (
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    DurableWorkflowError,
    MessageRefusedError,
    NewerReleaseError,
    NotSealedError,
    PayloadError,
    WorkerLostError,
)
from ..adapter.framework.beginning import message_facts
from ..adapter.framework.definition import WorkflowDefinition
from ..adapter.framework.error_data import is_readable
from ..adapter.framework.internals import current_key, matches, pending_events
from ..adapter.framework.selection import ExecutorSelection
from ..adapter.framework.static import type_key
from ..adapter.framework.values import from_json_value
from ..adapter.temporal.client import framed_client
from ..adapter.temporal.converter import stores_outside
from ..workflows.executor_rules import rules_by_id
from ..workflows.messages import (
    SUPERSTEP_ACTIVITY,
    WORKFLOW_TYPE,
    CheckpointRef,
    MessageFacts,
    RunInput,
    SuperstepInput,
    SuperstepMode,
    SuperstepResult,
    Value,
)
from .attempts import check_attempts
from .burst import Burst, Recovered
from .burst_guard import BurstGuard
from .cache import CheckpointCache, CheckpointKey
from .capturing_storage import CapturingStorage
from .containment import Scope, escaped, is_leaving
from .deployment import takes_over
from .executor_rules import ExecutorTimeouts, retry_rule
from .failures import cause_of, to_application_error
from .framework_run import FrameworkRun, RunArguments, SuperstepError, run_superstep
from .functional_run import run_to_pause
from .heartbeat import Beat
from .hosting import find
from .invocation import Superstep, in_superstep
from .journal.calls import journal_calls
from .journal.journal import Scope as JournalScope
from .journal.journal import journalled
from .left_over import left_overs, take_left_over
from .limits import MAX_LEFT_JOURNAL_BYTES, fits, guard_result
from .live_events import LiveEvents
from .metrics import calls_counted, count_restore, count_superstep
from .mirrors import Mirror, Mirrors, add_status_changes
from .pacemaker import current_pacemaker
from .placement.placing import Placement
from .report import bare_failure, keep_journal, payloads_of, reported_failure, result_of, stored_of, targets_of
from .resources import Resources
from .start_check import check_graph, check_start, refuse_start
from .unsaved_state import UnsavedState
from .warm import WarmInstance, WarmInstances


@dataclasses.dataclass
class _End:
    """How the supersteps of an activity have ended."""

    run: FrameworkRun | None = None
    """What the last has told; None where it stands in the burst already, or has come to nothing."""
    payloads: bytes = b""
    executors: list[str] = dataclasses.field(default_factory=list)
    """Whom the messages of the last that has finished may reach."""
    failed: ApplicationError | None = None
    cause: Exception | None = None
    error: SuperstepError | None = None
    """What was raised, for who runs a superstep again to look into it."""
    begun: str | None = None
    """See `SuperstepResult.begun`."""


def _end_of(error: DurableWorkflowError | ApplicationError, step: SuperstepInput, beat: Beat, who: list[str]) -> _End:
    """Return the end of a burst whose last superstep cannot be run, or has come to what cannot be stored."""
    failed = error if isinstance(error, ApplicationError) else _reported(error, step, beat)
    return _End(executors=who, failed=failed, cause=cause_of(error), begun="failed")


class SuperstepActivity:
    """The activity and what it keeps between supersteps: hosted workflows, checkpoints and warm instances.

    Args:
        hosted: Hosted workflows by name; filled before the worker polls.
        cache: Raw checkpoints of recent supersteps.
        warm: Instances that hold them.
        mirrors: Take copies of them.
        caller_checkpoints: Whether runs may begin from checkpoints of their callers' own.
        selection: The executors that run on this worker; all of them by default.
    """

    def __init__(
        self,
        hosted: dict[str, WorkflowDefinition],
        cache: CheckpointCache,
        warm: WarmInstances,
        mirrors: Mirrors,
        *,
        caller_checkpoints: bool = True,
        selection: ExecutorSelection | None = None,
    ) -> None:
        self._hosted = hosted
        self._selection = selection or ExecutorSelection()
        self._cache = cache
        self._warm = warm
        self._mirrors = mirrors
        self._caller_checkpoints = caller_checkpoints
        self._unsaved = UnsavedState()
        self._clients: tuple[Client, Client] | None = None
        self.refused: BaseException | None = None
        """Why this worker cannot host its workflows; it stops, and what it has been given yet is left to others."""
        journal_calls()

    @activity.defn(name=SUPERSTEP_ACTIVITY)
    async def superstep(self, given: RawValue) -> SuperstepResult:
        """Run one superstep.

        Args:
            given: A `SuperstepInput`; decoded here, as the SDK would try again for long what nobody has sealed.

        Raises:
            ApplicationError: With a `SuperstepFailure` as its detail; not retryable where that could not help.
        """
        if self.refused is not None:
            raise ApplicationError(f"This worker cannot host its workflows: {self.refused}", type="HostingError")
        step = _step(given)
        self._name_executors(step)
        timeouts = ExecutorTimeouts(step, {name for name, rule in (step.executors or {}).items() if rule.task_queue})
        beat = self._beat(step, timeouts)
        async with beat.beating():
            try:
                try:
                    check_attempts(step, beat)
                except (WorkerLostError, ApplicationError) as error:
                    if not beat.burst_before:
                        raise
                    beat.refusal = error  # What has finished of the burst is committed first.
                await beat.begin()
                if step.burst is None:
                    return await self._step(step, beat, timeouts, None)
                guard = BurstGuard(self._client(), step.superstep_id)
                return await guard.run(self._step(step, beat, timeouts, guard))
            except (ApplicationError, RPCError):
                raise  # Told already; or the server's, which is no failure of the superstep.
            except DurableWorkflowError as error:
                raise _reported(error, step, beat) from cause_of(error)
            except BaseException as error:  # Of the factory, of hooks: user code outside of the framework's run.
                if is_leaving(error, is_cancelled=activity.is_cancelled()):
                    details = activity.cancellation_details()
                    if details is not None and details.worker_shutdown:
                        await beat.released()
                    elif details is not None and details.cancel_requested:
                        await beat.cancelled()
                    raise
                readable = error if isinstance(error, Exception) and is_readable(error) else escaped(error)
                failed = await self._failed(step, readable, beat)
                raise failed from cause_of(readable)

    def _name_executors(self, step: SuperstepInput) -> None:
        """Replace patterns by the executors that they stand for."""
        hosted = self._hosted.get(step.workflow_name)
        if hosted is not None and step.executors:
            step.executors = rules_by_id(step.executors, hosted.graph_signature.get("executors", ()))

    def _beat(self, step: SuperstepInput, timeouts: ExecutorTimeouts) -> Beat:
        return Beat(self._client(), step, timeouts, current_pacemaker())

    async def _guard(
        self, result: SuperstepResult, hosted: WorkflowDefinition, capture: CapturingStorage, client: Client
    ) -> None:
        await guard_result(result, hosted, capture, client, _target(activity.info()))

    @staticmethod
    async def _failed(step: SuperstepInput, error: Exception, beat: Beat) -> ApplicationError:
        failure = bare_failure(step, beat)
        failed = to_application_error(
            error, failure, executor_failed=True, failures=beat.failures + 1, rule=retry_rule(step, None)
        )
        if not failed.non_retryable:
            await beat.failed()
        return failed

    async def _step(
        self, step: SuperstepInput, beat: Beat, timeouts: ExecutorTimeouts, guard: BurstGuard | None
    ) -> SuperstepResult:
        if step.flaw is not None:
            raise PayloadError(f"The input of the superstep cannot be read: {step.flaw}.")
        if step.mode not in get_args(SuperstepMode):
            raise NewerReleaseError(
                f"This worker does not know supersteps of mode {step.mode!r}, which a newer release of "
                "agent-framework-temporal scheduled. Upgrade this worker; another worker may take the superstep."
            )
        hosted = find(self._hosted, step.workflow_name)
        client = self._client()
        if step.mode == "upgrade":
            taken = await takes_over(client, step.deployment or "", hosted.name, step.graph_hash or "")
            return SuperstepResult(answers=step.superstep_id, state="running", upgrade=taken)
        if step.mode == "describe":
            return SuperstepResult(answers=step.superstep_id, state="running", takes=message_facts(hosted))
        if step.mode == "store":
            return await self._store(client, hosted, step)
        return await self._run(client, hosted, step, beat, timeouts, guard)

    def _client(self) -> Client:
        """Return the worker's client; the SDK hands it out as it was given, perhaps without our payload converter."""
        given = activity.client()
        if self._clients is None or self._clients[0] is not given:
            self._clients = (given, framed_client(given))
        return self._clients[1]

    async def _run(
        self,
        client: Client,
        hosted: WorkflowDefinition,
        step: SuperstepInput,
        beat: Beat,
        timeouts: ExecutorTimeouts,
        guard: BurstGuard | None,
    ) -> SuperstepResult:
        info = activity.info()
        await take_left_over(client, step, beat, _thread_id(info))
        begins = _begins(step)
        mirrors = self._mirrors.of(hosted, step.mirror, required=begins)
        brought, run_input = await asyncio.gather(
            self._check_start(client, hosted, step, mirrors), _run_input(client, step)
        )
        if step.own_storage:  # It takes the place of the workflow's own, as in process.
            mirrors = [mirror for mirror in mirrors if not mirror.is_built_in]
        base_raw, recovered = await self._recovered(client, hosted, step, beat, brought)
        first, held = (step, brought) if recovered is None else (recovered.following(step), recovered.last.raw)
        async with self._instance(client, hosted, first, held) as warm:
            if begins:
                check_graph(hosted, step)
            capture = warm.capture
            base_raw = warm.raw if recovered is None else base_raw
            burst = Burst(step, beat, capture, base_raw)
            if recovered is not None:
                burst.resume(recovered)
            if first.mode == "message":
                capture.message_run_id = (
                    (info.workflow_run_id or "") if step.message is None else step.message.message_run_id
                )
            arguments = await self._arguments(run_input if recovered is None else None, hosted, first, warm)
            unsaved = self._unsaved.snapshot(warm.workflow)
            # Only a caller who streams reads along; for any other the beat is a sign of life and nothing more.
            told = beat.tell(LiveEvents(hosted.catalog, info.attempt, step.offset)) if step.streaming else None
            await beat.open_journal(hosted.catalog, first)
            place = Superstep(hosted.name, _thread_id(info), capture.message_run_id, superstep=0, attempt=info.attempt)
            with in_superstep(warm.workflow, place):
                if beat.refusal is None:
                    end = await self._supersteps(client, hosted, warm, burst, arguments, told, beat, timeouts, guard)
                else:
                    end = _end_of(beat.refusal, burst.step, beat, burst.executors)
            if end.failed is not None and not burst.count:
                if not end.failed.non_retryable:
                    await beat.failed()
                else:  # Only the last attempt's checkpoint gets into history.
                    self._copy(mirrors, client, hosted, capture)
                end.failed.__context__ = end.error
                raise end.failed from end.cause
            self._unsaved.compare(warm.workflow, unsaved)
            unknown = run_input is not None and run_input.options.start_executor is None and not hosted.is_functional
            takes = message_facts(hosted) if unknown else None
            try:
                result = await self._report(client, hosted, step, beat, burst, end, base_raw, takes)
            except PayloadError as error:
                if not burst.count or end.run is None:
                    raise
                # What the last superstep has come to cannot be stored; those before it stand.
                end = _end_of(error, burst.step, beat, burst.executors)
                result = await self._report(client, hosted, step, beat, burst, end, base_raw, takes)
            if end.run is not None:
                add_status_changes(result, mirrors, (client.namespace, _thread_id(info)), step.offset)
            self._keep(hosted, step, warm, result)
            self._copy(mirrors, client, hosted, capture)
        count_superstep(hosted.name, result)
        return result

    async def _supersteps(
        self,
        client: Client,
        hosted: WorkflowDefinition,
        warm: WarmInstance,
        burst: Burst,
        arguments: RunArguments,
        told: LiveEvents | None,
        beat: Beat,
        timeouts: ExecutorTimeouts,
        guard: BurstGuard | None,
    ) -> _End:
        """Run one superstep, or the supersteps of a burst, until it has to end."""
        executors: list[str] = []
        while True:
            step, journal = burst.step, beat.current_journal
            run = FrameworkRun(burst.writer(), told)
            scope = Scope(hosted.name, timeouts, warm.resources.enter if warm.resources is not None else None)
            placement = Placement(client, hosted, warm.workflow, step, self._selection, beat)
            try:
                with (
                    journalled(None if journal is None else JournalScope(journal)),
                    calls_counted(hosted.name, journal),
                    contextlib.nullcontext() if guard is None else guard.inside(),
                ):
                    async with placement.entered():
                        await run_superstep(hosted, warm, step, arguments, run, scope, run_to_pause)
                executors = targets_of(warm.workflow, warm.capture.last)
                end = _End(run, payloads_of(run.writer, hosted), executors)
            except SuperstepError as error:
                outside = stores_outside(client.data_converter)
                run.writer.stand_alone()
                failed = to_application_error(
                    error.error,
                    await reported_failure(
                        hosted, step, run, warm.capture, burst.base_raw, journal, stored_outside=outside
                    ),
                    executor_failed=run.executor_failed,
                    failures=beat.failures + 1,
                    rule=placement.retry_rule(run.failed_executor),
                    told=placement.failures.get(run.failed_executor or ""),
                )
                if failed.non_retryable:
                    await placement.cancel_open()
                return _End(
                    executors=burst.executors, failed=failed, cause=cause_of(error.error), error=error, begun="failed"
                )
            except PayloadError as error:
                if not burst.count:
                    raise
                return _end_of(error, step, beat, burst.executors)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if not burst.count or guard is None or not guard.is_cut or task is None:
                    raise
                task.uncancel()
                await placement.cancel_open()
                return _End(executors=burst.executors, begun="cut")
            if not burst.may_go_on(run, executors, warm.workflow.max_iterations):
                return end
            acknowledged = await burst.finish(run, end.payloads, executors)
            warm.raw = burst.base_raw
            if not acknowledged or beat.is_asked_to_end or (guard is not None and guard.is_asked):
                return _End(executors=executors)

    async def _report(
        self,
        client: Client,
        hosted: WorkflowDefinition,
        step: SuperstepInput,
        beat: Beat,
        burst: Burst,
        end: _End,
        base_raw: bytes | None,
        takes: MessageFacts | None,
    ) -> SuperstepResult:
        """Return the result of the activity.

        Raises:
            PayloadError: When it cannot be stored.
        """
        capture, journal = burst.capture, beat.current_journal
        run, payloads = burst.close(end.run, end.payloads)
        report = functools.partial(
            result_of,
            *(hosted, step, run, capture, base_raw, end.executors, _thread_id(activity.info()), payloads),
        )
        result = await report()
        if run.writer.readable and not await fits(result, client):
            result = await report(readable=False)
        if capture.passed.facts and not await fits(result, client):
            saved, passed = list(capture.saved), copy.deepcopy(capture.passed)
            while capture.passed.facts and not await fits(result, client):
                capture.keep_passed(len(capture.passed.facts) // 2)
                result = await report(readable=False)
            if burst.count and not await fits(result, client):
                capture.saved, capture.passed = saved, passed  # The last superstep fails, and those before it stand.
        if takes is not None:
            result.takes = takes
            if not await fits(result, client):
                result.takes = None
        result.calls = burst.calls(beat.calls if end.run is not None else None)
        if end.begun is not None:
            await self._leave(client, result, beat, burst, end)
        elif journal is not None and step.keep_journal:
            keep_journal(result, journal)
            if not await fits(result, client):  # What a codec makes of it may be larger.
                result.with_journal(b"")
        await self._guard(result, hosted, capture, client)
        return result

    @staticmethod
    async def _leave(client: Client, result: SuperstepResult, beat: Beat, burst: Burst, end: _End) -> None:
        """Let a result carry what there is of the superstep that was begun after its last, as far as there is room."""
        result.begun = end.begun
        journal = beat.journal(MAX_LEFT_JOURNAL_BYTES)
        for left in left_overs(journal, beat.calls, end.failed, burst.step.offset):
            result.with_journal(left)
            if await fits(result, client):
                return
        result.begun = None  # It runs again.
        result.with_journal(b"")

    @staticmethod
    def _copy(mirrors: list[Mirror], client: Client, hosted: WorkflowDefinition, capture: CapturingStorage) -> None:
        if not mirrors or not capture.saved:
            return
        info = activity.info()
        source = ThreadSource(client, _thread_id(info), info.workflow_run_id or "", hosted.catalog)
        for mirror in mirrors:
            mirror.offer(source, capture.saved, activity.metric_meter())

    async def _check_start(
        self, client: Client, hosted: WorkflowDefinition, step: SuperstepInput, mirrors: list[Mirror]
    ) -> bytes | None:
        if not _begins(step):
            return None
        key = _key(hosted, step.base)
        return await check_start(
            client,
            hosted,
            step,
            mirrors,
            known=key is not None and (self._cache.get(key) is not None or self._warm.holds(key)),
            caller_checkpoints=self._caller_checkpoints,
        )

    async def _recovered(
        self, client: Client, hosted: WorkflowDefinition, step: SuperstepInput, beat: Beat, brought: bytes | None
    ) -> tuple[bytes | None, Recovered | None]:
        """Return what attempts before this one have finished of a burst, and the checkpoint that it began from."""
        if step.burst is None or not beat.burst_before:
            return None, None
        raw = brought
        if raw is None and step.base is not None:
            raw = await self._base(client, hosted, step.base)
        recovered = Recovered.read(beat.burst_before, raw)
        return raw, recovered if recovered.finished else None

    async def _store(self, client: Client, hosted: WorkflowDefinition, step: SuperstepInput) -> SuperstepResult:
        """Store the base whole in this run's history, which then stands without that of the run before."""
        if step.base is None:
            raise PayloadError("There is no checkpoint to store.")
        raw = await self._base(client, hosted, step.base)
        checkpoint = await decoded_checkpoint(raw, hosted)
        result = await stored_of(hosted, step, checkpoint, raw, _thread_id(activity.info()))
        self._cache.put(_own_key(hosted, result), raw)
        return result

    @contextlib.asynccontextmanager
    async def _instance(
        self, client: Client, hosted: WorkflowDefinition, step: SuperstepInput, brought: bytes | None
    ) -> AsyncIterator[WarmInstance]:
        """Give an instance that holds the base, or a new one that is to be restored from it."""
        info = activity.info()
        run_id = info.workflow_run_id or ""
        key, warm = _key(hosted, step.base), None
        # Another thread's instance may hold what no checkpoint does, which a fork must not see.
        own = step.base is not None and step.base.thread_id == info.workflow_id
        if key is not None and own and step.mode != "resume" and not step.discard_in_flight:
            warm = self._warm.take(key, open_run=step.mode == "continue")
        if warm is not None:
            count_restore(hosted.name, "live")
            warm.capture.begin(run_id)
            async with self._ended_on_error(warm):
                yield warm
            return
        raw, base = None, None
        if step.base is not None:
            raw, base = await self._restored(client, hosted, step, step.base, brought)
        if base is not None and step.discard_in_flight:
            base = dataclasses.replace(base, messages={})
        if base is not None and step.recount:
            base = dataclasses.replace(base, iteration_count=0)
        async with hosted.acquire() as workflow:
            resources = None if hosted.is_instance else Resources(workflow, hosted.shared)
            warm = WarmInstance(workflow, CapturingStorage(hosted, base, run_id=run_id), raw, resources=resources)
            async with self._ended_on_error(warm):
                yield warm
            if hosted.is_instance:
                await warm.close()

    @contextlib.asynccontextmanager
    async def _ended_on_error(self, warm: WarmInstance) -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            await warm.close()
            self._warm.end(warm)
            raise

    def _keep(
        self, hosted: WorkflowDefinition, step: SuperstepInput, warm: WarmInstance, result: SuperstepResult
    ) -> None:
        last = warm.capture.last
        if last is None:
            self._warm.end(warm)
            return
        key = _own_key(hosted, result)
        self._cache.put(key, last.raw, replaces=_key(hosted, step.base))
        if hosted.is_functional:
            self._warm.end(warm)  # It begins anew from its checkpoint, and its instance holds nothing.
        elif result.begun is not None:
            self._warm.end(warm)  # Its instance has gone on from there.
        elif not hosted.is_instance:
            warm.raw = last.raw
            if warm.is_open and result.state != "running":  # Who waits for a person does not keep a server running.
                self._warm.end(warm)
            else:
                self._warm.keep(key, warm)

    async def _restored(
        self,
        client: Client,
        hosted: WorkflowDefinition,
        step: SuperstepInput,
        ref: CheckpointRef,
        brought: bytes | None,
    ) -> tuple[bytes, WorkflowCheckpoint]:
        try:
            raw = await self._base(client, hosted, ref) if brought is None else brought
            return raw, await decoded_checkpoint(raw, hosted)
        except (CheckpointNotFoundError, CheckpointCorruptedError) as error:
            if _begins(step):
                refuse_start("base", error)
            raise

    async def _base(self, client: Client, hosted: WorkflowDefinition, ref: CheckpointRef) -> bytes:
        key = _key(hosted, ref)
        raw = self._cache.get(key) if key is not None else None
        count_restore(hosted.name, "history" if raw is None else "cache")
        return raw if raw is not None else await load_checkpoint(client, ref)

    async def _arguments(
        self, run_input: RunInput | None, hosted: WorkflowDefinition, step: SuperstepInput, warm: WarmInstance
    ) -> RunArguments:
        """Decode what the caller gave; a message lies in the run's start event, not in this activity's input."""
        if step.message is not None:
            message = await _message(step.message, hosted)
            if step.message.message_id is not None and not hosted.is_functional:
                _check_message(message, hosted)
            return RunArguments(
                message=message,
                function_invocation_kwargs=await _kwargs(step.function_invocation_kwargs, hosted),
                client_kwargs=await _kwargs(step.client_kwargs, hosted),
            )
        if run_input is not None:
            return RunArguments(
                message=await _message(run_input.message or Value(), hosted),
                function_invocation_kwargs=await _kwargs(run_input.function_invocation_kwargs, hosted),
                client_kwargs=await _kwargs(run_input.client_kwargs, hosted),
            )
        base = warm.capture.base
        pending: dict[str, Any] = {}
        if base is not None:
            pending = base.pending_request_info_events
        elif not hosted.is_functional:
            pending = await pending_events(warm.workflow)
        responses: dict[str, Any] = {}
        refused: dict[str, str] = {}
        for answer in step.responses or []:
            event = pending.get(answer.request_id)
            declared = (event.response_type,) if event is not None else ()
            try:
                responses[answer.request_id] = await received(
                    answer.response, answer.typed, answer.type, declared, hosted.catalog
                )
            except PayloadError as error:
                responses[answer.request_id] = None
                refused[answer.request_id] = str(error)
        return RunArguments(
            responses=responses,
            refused=refused,
            function_invocation_kwargs=await _kwargs(step.function_invocation_kwargs, hosted),
            client_kwargs=await _kwargs(step.client_kwargs, hosted),
        )


def _target(info: activity.Info) -> StorageDriverWorkflowInfo:
    return StorageDriverWorkflowInfo(
        namespace=info.workflow_namespace or info.namespace,
        id=info.workflow_id,
        run_id=info.workflow_run_id,
        type=info.workflow_type,
    )


def _thread_id(info: activity.Info) -> str:
    if info.workflow_id is None or info.workflow_type != WORKFLOW_TYPE:
        raise PayloadError("The superstep activity runs for the generic workflow only.")
    return info.workflow_id


async def _run_input(client: Client, step: SuperstepInput) -> RunInput | None:
    """Return the input of the run, where it has the message that the superstep takes."""
    info = activity.info()
    if step.mode != "message" or step.message is not None:
        return None
    return await start_input(client, _thread_id(info), info.workflow_run_id or "")


def _step(given: RawValue) -> SuperstepInput:
    """Decode the input of a superstep.

    Raises:
        ApplicationError: When nobody with a key has sealed it for a superstep of this thread, or a newer release has
            written it.
    """
    try:
        step = activity.payload_converter().from_payload(given.payload, SuperstepInput)
    except (NotSealedError, NewerReleaseError) as error:
        raise _reported(error, SuperstepInput(workflow_name="", mode="resume")) from cause_of(error)
    assert isinstance(step, SuperstepInput)  # noqa: S101 - the converter has made it, or raised
    return step


def _reported(error: DurableWorkflowError, step: SuperstepInput, beat: Beat | None = None) -> ApplicationError:
    rule = retry_rule(step, None)
    return to_application_error(error, bare_failure(step, beat), executor_failed=False, failures=1, rule=rule)


def _begins(step: SuperstepInput) -> bool:
    """Tell whether this is the first superstep of a run that somebody has started."""
    return step.keyframe and step.mode not in ("continue", "store", "upgrade", "describe")


def _key(hosted: WorkflowDefinition, ref: CheckpointRef | None) -> CheckpointKey | None:
    return CheckpointKey.of(activity.info().namespace, hosted.name, ref)


def _own_key(hosted: WorkflowDefinition, result: SuperstepResult) -> CheckpointKey:
    """Return the key of the checkpoint of a result: who has made it is what the server says, not what was claimed."""
    info, facts = activity.info(), result.checkpoint
    if facts is None:
        raise PayloadError("The result has no checkpoint; this is a bug.")
    run_id = info.workflow_run_id or ""
    return CheckpointKey(info.namespace, hosted.name, _thread_id(info), run_id, facts.checkpoint_id, facts.digest)


async def _message(message: Value, hosted: WorkflowDefinition) -> Any:
    """Build the message; a client without types leaves it to us to unwrap a one-element list."""
    declared = hosted.catalog.input_types
    value = await received(message.value, message.typed, message.type, declared, hosted.catalog)
    if message.typed is not None:
        return value
    if isinstance(value, list) and len(value) == 1 and not any(matches(value, kind) for kind in declared):
        element = from_json_value(value[0], None, declared, hosted.catalog)
        if any(matches(element, kind) for kind in declared):
            return element
    return value


def _check_message(message: Any, hosted: WorkflowDefinition) -> None:
    """Refuse a message from the queue before anything runs: its thread goes on as if it had never come.

    Raises:
        MessageRefusedError: When it fits none of the start executor's types.
    """
    declared = hosted.catalog.input_types
    if declared and not any(matches(message, kind) for kind in declared):
        names = ", ".join(getattr(kind, "__qualname__", None) or str(kind) for kind in declared)
        raise MessageRefusedError(
            f"The start executor of workflow {hosted.name!r} cannot handle input of type {type(message).__name__}: it "
            f"takes {names}. The message was not run."
        )


async def _kwargs(value: Value | None, hosted: WorkflowDefinition) -> Any:
    if value is None:
        return None
    given = value.value if value.typed is None else await received(None, value.typed, None, (), hosted.catalog)
    named = current_key(value.type) if value.type is not None else None
    if named == type_key(WorkflowInvocationKwargs) and isinstance(given, dict):
        return WorkflowInvocationKwargs(
            global_kwargs=given.get("global_kwargs", {}), executor_kwargs=given.get("executor_kwargs", {})
        )
    return given
