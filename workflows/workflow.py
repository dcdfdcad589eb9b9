"""The one Temporal workflow: it decides which superstep is next and keeps what people and readers ask for.

It knows no type of the framework. It moves references, small facts and logged events; the state lies in the results of
its superstep activities. Every decision depends on its input, its signals and those results only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from . import limits
    from .details import current_details
    from .failure import (
        cut_off,
        expiry_of,
        failure_of,
        heartbeat_timeout,
        refuses_message,
        refuses_start,
        retry_policy,
        retry_rules,
        run_error,
    )
    from .history_budget import HistoryBudget
    from .log import EventLog
    from .messages import (
        EDIT_UPDATE,
        EVENTS_QUERY,
        MESSAGE_UPDATE,
        PENDING_REQUESTS_QUERY,
        REFUSED_SUMMARY,
        STATUS_QUERY,
        SUPERSTEP_ACTIVITY,
        WORKFLOW_TYPE,
        BurstRule,
        CheckpointRef,
        ContinuedRun,
        EditUpdate,
        EventPage,
        JournalRef,
        LoggedEvent,
        MessageFacts,
        MessageInput,
        MessageReceipt,
        PendingRequest,
        RespondReceipt,
        RespondSignal,
        RunInput,
        RunResult,
        RunState,
        RunStatus,
        SteeringReceipt,
        SuperstepFailure,
        SuperstepInput,
        SuperstepResult,
        SuperstepState,
    )
    from .next_edit import NextEdit, another_begins
    from .next_message import NextMessage
    from .outcomes import RefusedOutcomeError, check_failure, note_refused, read_result
    from .pause import Hold, Pause, retry_mode
    from .priority import RunPriority, priority_of
    from .progress import Progress, TurnMark
    from .queries import integers
    from .requests.arrivals import Arrivals
    from .requests.requests import RequestExpiredError, Requests
    from .requests.signals import RejectedResponseError
    from .search_attributes import Attributes
    from .start import NO_START, read_start
    from .steering import NAMES, Steering
    from .turns import TurnOverError
    from .upgrade import Upgrade

_ASIDE = ("store", "upgrade", "describe")
"""Modes that run no executor, so that no message cuts them off."""
RECOUNTED = ("responses", "cancel", "resume")
"""Modes that begin the count of supersteps anew, where the option says so; a message always does."""


@workflow.defn(name=WORKFLOW_TYPE)
class AgentFrameworkWorkflow:
    """One run of a thread: supersteps until the framework workflow is idle; pending requests wait for signals.

    Costs a superstep 6 history events; a waiting run costs nothing until a signal comes.
    """

    @workflow.init
    def __init__(self, argument: RawValue = NO_START) -> None:
        run_input, self._refusal = read_start(argument)
        self._input = run_input
        continued = run_input.continued
        self._log = EventLog(continued.events[0].offset if continued and continued.events else run_input.next_offset)
        self._requests = Requests(self._log, run_input.options.requests, run_input.workflow_name)
        self._answers = self._requests.answers
        self._budget = HistoryBudget(run_input.options)
        self._attributes = Attributes(enabled=run_input.options.search_attributes, fresh=continued is None)
        self._pause = Pause()
        self._hold = Hold(run_input.options.breakpoints or ())
        self._message = NextMessage(lambda refused: self._requests.refuse_message(refused, busy=self._busy))
        self._message.schema = run_input.options.message_schema
        self._described = False
        self._edit = NextEdit()
        self._steering = Steering(self._message, self._hold)
        self._priority = RunPriority(run_input.options)
        self._arrivals = Arrivals(self._requests, self._pause, self._budget, lambda: self._busy, self._steer)
        self._upgrade = Upgrade()
        self._running: workflow.ActivityHandle[RawValue] | None = None
        self._cutting = False
        """Whether it was cancelled as a message has cut it off."""
        self._burst: str | None = None
        """The burst that runs."""
        self._ending: str | None = None
        """A burst that was told to end with the superstep that it runs."""
        self._stands: SuperstepState = "running"
        """Where the last superstep has left the thread."""
        self._cut: TurnOverError | None = None
        """How the turn before has ended, until a superstep of the next is committed."""
        self._state: RunState = "running"
        self._progress = Progress(run_input)
        self._pending_status = False
        self._streaming = run_input.streaming
        self._own_storage = run_input.own_storage
        self._trace = run_input.trace
        self._answering: list[str] = []
        if continued is not None:
            self._take_over(continued)
        self._turn = self._turn_before = self._stood = self._progress.mark()
        if continued is not None and continued.turn is not None:
            self._turn = TurnMark.of(continued.turn)

    @workflow.run
    async def run(self, argument: RawValue = NO_START) -> RunResult:
        """Run supersteps until idle.

        Args:
            argument: A `RunInput`, which is decoded when the workflow is made; what it may say is in `claims.py`.

        Raises:
            ApplicationError: When a superstep failed for good, or the start is refused; its detail is a `RunFailure`.
        """
        if self._refusal is not None:
            raise self._refusal
        try:
            step = await self._first_step(self._input)
            while step is not None:
                try:
                    step = await self._following(await self._superstep(step))
                except TurnOverError as over:
                    step = await self._after(over)
        except (Exception, asyncio.CancelledError):  # Not GeneratorExit, of a run that a worker lets go of.
            if workflow.cancellation_reason() is not None and self._state != "failed":
                self._message.drop("The run was cancelled before its turn.")
                self._state = "cancelled"
            raise
        return self._finish()

    async def _following(self, result: SuperstepResult) -> SuperstepInput | None:
        """Return what to run next; None where the run is over."""
        if self._message.cuts is not None:
            return await self._next_turn()
        if result.begun is not None:
            return self._begun(result)
        if result.state == "idle" and not self._arrivals.are_read:
            # Among the signals that are put off may be a message, whose sender was told that it is taken.
            await workflow.wait_condition(lambda: self._arrivals.are_read)
        if result.state == "idle" and self._message.is_there:
            if self._budget.is_over(self._progress.supersteps) and self._arrivals.are_read:
                self._continue_as_new(waiting=False, ended=True)
            return await self._next_turn()
        if result.state == "idle":
            return None
        if result.state == "waiting":
            return await self._next_answers()
        if await self._may_upgrade():
            self._continue_as_new(waiting=False, upgrade=True)
        if self._budget.is_over(self._progress.supersteps) and self._arrivals.are_read:
            self._continue_as_new(waiting=False)
        return await self._next_superstep()

    def _begun(self, burst: SuperstepResult) -> SuperstepInput:
        """Return the superstep that a burst had begun and not finished: it has passed its breakpoints."""
        step = self._step("continue")
        step.begun = burst.begun
        step.begun_in = JournalRef(run_id=workflow.info().run_id, superstep_id=burst.answers)
        return step

    async def _next_superstep(self) -> SuperstepInput | None:
        await self._held(self._progress.executors)
        return self._step("continue") if self._message.cuts is None else await self._next_turn()

    async def _first_step(self, run_input: RunInput) -> SuperstepInput | None:
        continued = run_input.continued
        if continued is not None:
            if continued.waiting or self._hold.reason is not None:
                # It may wait for longer than the run before is retained, whose history holds its checkpoint.
                await self._superstep(self._step("store"))
            if continued.waiting:
                return await self._next_answers()
            return await (self._next_turn() if continued.ended else self._next_superstep())
        if run_input.mode == "message":
            await self._held(await self._start_executors(), movable=False)
            step = self._step(run_input.mode)
        elif run_input.mode in ("responses", "cancel"):
            await self._held((), movable=False)
            step = self._responses_step(run_input.responses or [])
            base = run_input.base
            restores = run_input.base_facts is not None or (base and base.thread_id != workflow.info().workflow_id)
            step.restores = (run_input.mode == "responses" and bool(restores)) or None
        else:
            await self._held((), movable=False)
            step = self._step(run_input.mode)
        step.discard_in_flight = run_input.discard_in_flight
        step.begun_in = run_input.journal
        return step if self._message.cuts is None else await self._after(TurnOverError(step))

    async def _start_executors(self) -> list[str]:
        """Return whom the next message reaches first; asks a worker where a breakpoint may name that executor."""
        options = self._input.options
        unknown = options.start_executor is None and not self._described
        if unknown and self._hold.reason is None and any(name != "*" for name in self._hold.breakpoints):
            self._described = True
            result = await self._asked(self._step("describe"))
            self._learn(result.takes if result is not None else None)
        return [options.start_executor] if options.start_executor is not None else []

    def _learn(self, facts: MessageFacts | None) -> None:
        options = self._input.options
        if facts is not None and options.start_executor is None:
            options.start_executor, options.message_schema = facts.start_executor, facts.message_schema
            self._message.schema = facts.message_schema

    async def _asked(self, step: SuperstepInput) -> SuperstepResult | None:
        """Return what a worker tells that runs nothing; None where none does."""
        try:
            result = await self._execute(step)
        except (ActivityError, RefusedOutcomeError) as error:
            if is_cancelled_exception(error):
                raise
            result = None
        _raise_if_cancelled()
        return result

    async def _held(
        self, executors: Sequence[str], *, movable: bool = True, waiting: bool = False, begins: bool = False
    ) -> None:
        """Hold the run for as long as somebody wants to look; costs nothing meanwhile.

        Args:
            executors: Whom its next superstep may run.
            movable: Whether it may continue as new meanwhile: what is next is known then.
            waiting: Whether it has requests that wait, and answers to them.
            begins: Whether the turn of the next message begins, which then has no other to cut off.
        """
        if not self._hold.stops(executors):
            return
        if self._input.continued is not None and not self._progress.is_committed:
            await self._superstep(self._step("store"))  # As where it waits.
        self._enter("paused")
        self._budget.pause()
        movable = movable and self._cut is None
        while self._is_held(begins=begins):
            if movable and self._is_over_budget():
                self._continue_as_new(waiting=waiting, ended=not waiting and self._stands != "running")
            lull = self._budget.look_again if movable else None
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: (
                        not self._is_held(begins=begins)
                        or (movable and (self._is_over_budget() or (lull is None and self._has_to_look())))  # noqa: B023
                    ),
                    timeout=lull,
                    timeout_summary=None if lull is None else "signals: continue as new in a lull",
                )
        self._hold.leave_breakpoint()
        self._enter("running")

    def _has_to_look(self) -> bool:
        return self._budget.look_again is not None

    def _is_held(self, *, begins: bool) -> bool:
        cuts = not begins and self._message.cuts is not None
        return self._hold.is_asked or (self._hold.reason is not None and not cuts)

    def _steer(self, name: str, arguments: Sequence[RawValue], at: str) -> bool:
        found = self._steering.signal(name, arguments, at)
        if found:
            self._cut_off()
            self._end_burst()
        return found

    def _cut_off(self) -> None:
        """Cancel the superstep that runs, where the next message says so."""
        if self._message.cuts is not None and self._running is not None:
            # Not at once: one that was scheduled just now would never hear of it.
            asyncio.get_running_loop().call_soon(self._running.cancel)
            self._running, self._cutting, self._ending = None, True, None

    def _end_burst(self) -> None:
        """Let a burst end with the superstep that it runs, where it is not known any more whether it may go on.

        Its next superstep does not begin before the server has answered it, which tells that this was asked for; why it
        was, the activity reads in the status.
        """
        if self._running is not None and self._burst is not None and self._steering.is_news:
            asyncio.get_running_loop().call_soon(self._running.cancel)
            self._ending, self._burst = self._burst, None

    async def _next_turn(self) -> SuperstepInput | None:
        """Begin the turn of the message that is next; where it was withdrawn, go on where the thread stands."""
        await self._held(await self._start_executors(), begins=True)
        while self._message.is_there:
            step = self._message_step()
            if self._message.cuts is None:
                return step
            # The next one cuts it off: what is cancelled in the task that schedules it is never in history.
            self._message.note_cut(step)
            self._cut = TurnOverError(step)
        return await self._go_on()

    async def _after(self, over: TurnOverError) -> SuperstepInput | None:
        """Go on after a turn that has ended before it was idle, or whose message was refused."""
        self._answering = []
        if over.refused:
            self._turn = self._turn_before
            self._priority.refuse()
            self._progress.return_to(self._stood)
            self._message.refuse(over.refused, over.reason)
            return await (self._next_turn() if self._message.is_there else self._go_on())
        self._cut = over
        return await self._next_turn()

    async def _go_on(self) -> SuperstepInput | None:
        """Go on where the thread stood before messages that were refused or withdrawn."""
        cut, self._cut = self._cut, None
        if cut is not None:
            if cut.failure is not None and cut.is_final:
                self._raise(cut.failure)
            return self._again(cut.step, cut.failure or cut_off(cut.step.superstep_id))
        if self._stands == "idle":
            return None
        return await (self._next_answers() if self._stands == "waiting" else self._next_superstep())

    async def _next_answers(self) -> SuperstepInput | None:
        self._enter("waiting")
        self._budget.pause()
        try:
            with self._message.awaited():
                ready = await self._requests.wait(self._is_over, lambda: self._budget.look_again)
        except RequestExpiredError as error:
            self._expire(error)
        if self._edit.taken is not None:
            self._go_on_edited(self._edit.taken)
        if self._message.is_ready:
            self._enter("running")
            return await self._next_turn()
        if not ready:
            self._continue_as_new(waiting=True)
        self._enter("running")
        if await self._may_upgrade():
            self._continue_as_new(waiting=True, upgrade=True)
        await self._held(self._answers.executors, waiting=True)
        if self._message.cuts is not None or not self._answers.ready:
            return await self._next_answers()
        return self._responses_step(self._answers.take())

    def _is_over(self) -> bool:
        return self._edit.taken is not None or self._message.is_ready or self._is_over_budget()

    def _is_over_budget(self) -> bool:
        return self._budget.is_over_budget() and self._arrivals.are_read

    async def _may_upgrade(self) -> bool:
        """Tell whether the run should move to another worker deployment version; asks its own version's worker."""
        if not self._upgrade.is_wanted(self._progress.supersteps) or not self._arrivals.are_read:
            return False
        step = self._step("upgrade")
        step.deployment = self._upgrade.deployment()
        result = await self._asked(step)
        if result is None or not result.upgrade:
            self._upgrade.refuse(self._progress.supersteps)
            return False
        return True

    def _continue_as_new(self, *, waiting: bool, upgrade: bool = False, ended: bool = False) -> NoReturn:
        _raise_if_cancelled()  # The next run would not know.
        self._requests.flush()
        continued = ContinuedRun(
            previous_run_id=workflow.info().run_id,
            waiting=waiting,
            superstep=self._progress.superstep,
            executors=self._progress.executors,
            pending_status=self._pending_status,
            answering=self._answering,
            outputs=self._progress.outputs,
            events=self._log.tail(limits.MAX_TAIL_BYTES),
            calls=self._progress.calls,
            turn=self._turn.hand_on(),
            ended=ended or None,
            pause=self._hold.reason,
        )
        self._answers.hand_on(continued)
        self._message.hand_on(continued)
        self._input.options.breakpoints = self._hold.breakpoints or None
        workflow.continue_as_new(
            RunInput(
                workflow_name=self._input.workflow_name,
                mode="continue",
                continued=continued,
                base=self._progress.checkpoint,
                graph_hash=self._progress.graph_hash,
                streaming=self._streaming,
                own_storage=self._own_storage,
                trace=self._trace,
                next_offset=self._log.next_offset,
                options=self._input.options,
            ),
            initial_versioning_behavior=workflow.ContinueAsNewVersioningBehavior.AUTO_UPGRADE if upgrade else None,
        )

    def _go_on_edited(self, edit: EditUpdate) -> NoReturn:
        """End, and begin the next run from an edited checkpoint. The server lets no answer get lost in between."""
        info = workflow.info()
        self._input.options.breakpoints = self._hold.breakpoints or None
        next_run = RunInput(
            workflow_name=self._input.workflow_name,
            mode="resume",
            base=CheckpointRef(thread_id=info.workflow_id, run_id="", checkpoint_id=edit.facts.checkpoint_id),
            base_facts=edit.facts,
            edited=edit.edited.model_copy(update={"previous_run_id": info.run_id}),
            graph_hash=edit.facts.graph_hash,
            streaming=edit.streaming,
            own_storage=self._own_storage,
            trace=self._trace,
            next_offset=self._log.next_offset,
            options=self._input.options,
        )
        workflow.continue_as_new(next_run.with_frame(edit.frame))

    def _why_not_edited(self) -> str | None:
        """Say why the run cannot go on from an edited checkpoint now; None where it can."""
        if self._state != "waiting":
            return "It does not wait for answers, so it takes no edit."
        if self._message.is_there:
            return "Messages wait for their turn, which an edit would lose. Wait for their turns, or withdraw them."
        if self._hold.reason is not None:
            return "It is to pause when answers come, which an edit would forget. Let it continue first."
        if self._answers.ready or self._answers.has_early or not self._arrivals.are_read:
            return "It has been sent answers that are not delivered yet, which an edit would lose."
        return None

    def _take_over(self, continued: ContinuedRun) -> None:
        for record in continued.events:
            self._log.append(record)
        self._requests.take_over(continued)
        self._progress.take_over(continued)
        self._pending_status = continued.pending_status
        self._answering = continued.answering
        self._message.take_over(continued)
        self._hold.reason = continued.pause
        self._state = "waiting" if continued.waiting else "running"
        self._stands = "waiting" if continued.waiting else "idle" if continued.ended else "running"

    @workflow.signal(dynamic=True, unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def on_signal(self, name: str, arguments: Sequence[RawValue]) -> None:
        """Take signal `respond`, one answer or a list that is delivered together, `cancel_requests`, or `retry`.

        `{"request_id": ..., "response": ..., "responder"?: ...}`; `{"request_ids": [...], "responder"?: ...}`. Also
        `message`, `withdraw`, `pause`, `continue` and `breakpoints`, see `steering.py`. Never
        fails the run: what is wrong is logged. A dynamic handler, as the SDK fails the workflow task for ever when a
        named one gets too many arguments, drops without a trace what is no JSON, and keeps signals of unknown names in
        memory. The worker hands over together what came together.
        """
        await self._arrivals.take(name, arguments)

    @workflow.update(dynamic=True)
    def on_update(self, name: str, arguments: Sequence[RawValue]) -> RespondReceipt | MessageReceipt | SteeringReceipt:
        """Take an update, of the same names and shapes as the signals; or `edit`, while the run waits.

        It returns when the answer is accepted, not when it is delivered. Accepted means that it fits the response's
        JSON schema; the type on the worker has the last word. Costs 2 history events, and none when it is rejected.

        Raises:
            ApplicationError: When it cannot be taken although it was checked; the run goes on.
        """
        self._budget.signalled(1, sum(argument.payload.ByteSize() for argument in arguments))
        if name == EDIT_UPDATE:
            self._edit.take(arguments)
            return MessageReceipt()
        if name == MESSAGE_UPDATE:
            update = workflow.current_update_info()
            receipt = self._message.take(
                arguments, update_id=update.id if update is not None else "", at=workflow.now().isoformat()
            )
            receipt.pending = list(self._answers.pending)
            self._cut_off()
            return receipt
        if name in NAMES:
            receipt_of_steering = self._steering.update(name, arguments)
            self._end_burst()
            return receipt_of_steering
        try:
            return self._requests.update(name, arguments, busy=self._busy)
        except RejectedResponseError as error:
            raise error.to_failure() from None  # A cause would say it all once more.

    @on_update.validator
    def check_update(self, name: str, arguments: Sequence[RawValue]) -> None:
        """Reject an update before it gets into history.

        Raises:
            ApplicationError: With the errors as its detail.
        """
        if self._edit.taken is not None:
            raise another_begins(name)
        if name == EDIT_UPDATE:
            waits_at = self._progress.checkpoint
            self._edit.check(
                arguments,
                busy=self._why_not_edited(),
                checkpoint_id=waits_at.checkpoint_id if waits_at is not None else None,
                graph_hash=self._progress.graph_hash,
            )
            return
        if name == MESSAGE_UPDATE:
            self._message.check(arguments, busy=self._answers.ready)
            return
        if name in NAMES:
            self._steering.check(name, arguments)
            return
        try:
            self._requests.check_update(name, arguments, busy=self._busy)
        except RejectedResponseError as error:
            raise error.to_failure() from None  # A cause would say it all once more.

    @workflow.query(name=EVENTS_QUERY, description="Event records with an offset greater than `after` (-1: all).")
    def events(self, *arguments: Any) -> EventPage:
        """Return a page of the event log: `events(after=-1, limit=500)`; at most `limit` records and about 1 MB.

        Raises:
            ApplicationError: When the arguments are others.
        """
        after, limit = integers(EVENTS_QUERY, arguments, after=-1, limit=500)
        return EventPage(
            run_id=workflow.info().run_id,
            state=self._state,
            events=self._log.page(after, limit),
            first_offset=self._log.first_offset,
            next_offset=self._log.next_offset,
        )

    @workflow.query(name=STATUS_QUERY, description="Where this thread stands.")
    def status(self, *arguments: Any) -> RunStatus:
        """Return state, superstep, last checkpoint and the ids of pending requests.

        Raises:
            ApplicationError: When there are arguments.
        """
        integers(STATUS_QUERY, arguments)
        info = workflow.info()
        return RunStatus(
            workflow_name=self._input.workflow_name,
            thread_id=info.workflow_id,
            run_id=info.run_id,
            state=self._state,
            superstep=self._progress.superstep,
            executors=self._progress.executors,
            checkpoint=self._progress.checkpoint,
            graph_hash=self._progress.graph_hash,
            next_offset=self._log.next_offset,
            pending_requests=list(self._answers.pending),
            attempts=self._progress.attempts,
            failure=self._pause.failure,
            calls=self._progress.calls,
            queued_messages=self._message.shown() or None,
            refused_messages=self._message.refused or None,
            pause=self._hold.reason,
            breakpoints=self._hold.breakpoints or None,
            priority=self._input.options.priority,
            fairness_key=self._input.options.fairness_key,
            fairness_weight=self._input.options.fairness_weight,
            ending=self._ending,
        )

    @workflow.query(name=PENDING_REQUESTS_QUERY, description="Requests that wait for a response, as plain JSON.")
    def pending_requests(self, *arguments: Any) -> list[PendingRequest]:
        """Return every pending request with its data, JSON schemas, deadline and refused answers; about 1 MB at most.

        Where there is no room to repeat a schema, the first request with the same `response_schema_id` has it.

        Raises:
            ApplicationError: When there are arguments.
        """
        integers(PENDING_REQUESTS_QUERY, arguments)
        return self._requests.shown()

    def _step(self, mode: str) -> SuperstepInput:
        return SuperstepInput.model_validate(
            {
                "workflow_name": self._input.workflow_name,
                "mode": mode,
                **self._progress.step_fields(),
                "streaming": self._streaming,
                "own_storage": self._own_storage or None,
                "trace": self._trace,
                "recount": (mode in RECOUNTED and self._input.options.iterations_per == "answer") or None,
                "offset": self._log.next_offset,
                "max_attempts": self._input.options.max_attempts,
                "timeout": self._input.options.superstep_timeout,
                "burst": None if mode in ("store", "upgrade") else self._burst_rule(),
                "pending_status": self._pending_status and mode == "continue",
                "answered": self._answering,
                "mirror": self._input.options.mirror,
                **retry_rules(self._input.options),
            }
        )

    def _burst_rule(self) -> BurstRule | None:
        options = self._input.options
        if options.burst is None:
            return None
        left = None
        if options.supersteps_per_run is not None:
            left = max(1, options.supersteps_per_run - self._progress.supersteps)
        return BurstRule(seconds=options.burst, supersteps=left, breakpoints=self._hold.breakpoints or None)

    def _message_step(self) -> SuperstepInput:
        cuts = self._message.cuts
        turn = self._message.next()
        message = turn.message
        self._streaming = message.streaming
        self._own_storage = message.own_storage
        self._trace = message.trace
        self._priority.take(message)
        self._answering = []
        self._pending_status = False
        ended = self._stands != "running" if self._cut is None else self._cut.failure is not None
        if cuts == "interrupt" and ended:
            cuts = None  # There was nothing to cut off (any more).
        if cuts is not None:
            self._log.append(
                LoggedEvent(offset=0, type=f"turn_{cuts}", at=workflow.now().isoformat(), data=turn.message_id)
            )
        self._turn_before, self._stood = self._turn, self._progress.mark()
        if cuts == "rollback":
            self._progress.return_to(self._turn)
        else:
            self._turn = self._stood
        step = self._step("message")
        step.cuts = cuts
        step.discard_in_flight = (self._cut is not None or self._stands == "running" or cuts is not None) and (
            step.base is not None
        )
        step.message = MessageInput(
            value=message.message,
            type=message.type,
            typed=message.typed,
            message_run_id=turn.message_run_id,
            call_id=message.call_id,
            message_id=turn.message_id,
        )
        step.function_invocation_kwargs = message.function_invocation_kwargs
        step.client_kwargs = message.client_kwargs
        return step

    def _responses_step(self, batch: list[RespondSignal]) -> SuperstepInput:
        first = batch[0]
        if first.streaming is not None:
            self._streaming = first.streaming
        if first.own_storage is not None:
            self._own_storage = first.own_storage
        if first.trace is not None:
            self._trace = first.trace
        self._answering = [answer.request_id for answer in batch]
        self._pending_status = False
        step = self._step("cancel" if first.cancel else "responses")
        step.responses = self._answers.as_inputs(batch)
        step.offset += len(batch)  # Each answer's audit record comes before the superstep's events.
        step.function_invocation_kwargs = first.function_invocation_kwargs
        step.client_kwargs = first.client_kwargs
        return step

    async def _superstep(self, step: SuperstepInput) -> SuperstepResult:
        while True:
            _raise_if_cancelled()
            try:
                result = await self._execute(step)
                break
            except (ActivityError, RefusedOutcomeError) as error:
                if is_cancelled_exception(error):
                    if not self._cutting or workflow.cancellation_reason() is not None:
                        raise
                    self._requests.failed(step, cut_off(step.superstep_id))
                    self._requests.flush()
                    raise TurnOverError(step) from error
                step = await self._fail(step, error)
        self._commit(step, result)
        try:
            self._requests.take_result(step, result)
        except RequestExpiredError as expired:
            self._expire(expired)
        self._show()
        if result.state != "idle":
            _raise_if_cancelled()
        return result

    async def _execute(self, step: SuperstepInput) -> SuperstepResult:
        """Run a superstep, and again where its outcome is refused."""
        refused = 0
        while True:
            if refused and self._message.cuts is not None and step.mode not in _ASIDE:
                raise TurnOverError(step)
            try:
                return await self._schedule(step)
            except RefusedOutcomeError as error:
                refused += 1
                pause = note_refused(refused, error)
                if pause is None:
                    raise
                step.refused = step.superstep_id
                if pause:
                    await workflow.sleep(pause, summary=f"{REFUSED_SUMMARY}{step.refused}")

    async def _schedule(self, step: SuperstepInput) -> SuperstepResult:
        options = self._input.options
        step.superstep_id = self._progress.next_superstep_id()
        if step.burst is not None:  # It may be an outcome later than it was made.
            step.burst = None if self._hold.is_asked else self._burst_rule()
        try:
            # Decoded here: an error in the SDK would fail the workflow task.
            running = workflow.start_activity(
                SUPERSTEP_ACTIVITY,
                step,
                result_type=RawValue,
                start_to_close_timeout=timedelta(
                    seconds=options.superstep_timeout + (step.burst.seconds if step.burst is not None else 0)
                )
                + limits.TIMEOUT_GRACE,
                heartbeat_timeout=heartbeat_timeout(
                    options, self._progress.executors if step.mode == "continue" and step.burst is None else None
                ),
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                retry_policy=retry_policy(options),
                priority=priority_of(options),
                summary=self._progress.summary(step),
            )
            self._cutting = False
            if step.mode not in _ASIDE:
                self._running = running
                self._burst = step.superstep_id if step.burst is not None else None
                self._cut_off()
            result: RawValue | None = await running
        except ActivityError as error:
            check_failure(error, step)
            raise
        finally:
            self._running = self._burst = self._ending = None
        return read_result(result, step)

    def _commit(self, step: SuperstepInput, result: SuperstepResult) -> None:
        self._requests.taken(step, result)
        for record in result.events:
            self._log.append(record)
            if record.type == "output" and (record.data is not None or record.data_bytes is None):
                self._progress.add_output(record.data)
            if record.state == "IN_PROGRESS_PENDING_REQUESTS":
                self._pending_status = True
        self._progress.commit(step, result)
        self._learn(result.takes)
        if step.mode != "store":
            self._cut, self._stands = None, result.state  # type: ignore[assignment]

    @property
    def _busy(self) -> bool:
        """Whether requests may still be asked."""
        return self._state in ("running", "paused")

    def _enter(self, state: RunState) -> None:
        self._state = state
        self._attributes.show(state, len(self._requests.pending))
        self._show()

    def _show(self) -> None:
        details = current_details(
            thread_id=workflow.info().workflow_id,
            state=self._state,
            superstep=self._progress.superstep,
            attempts=self._progress.attempts,
            executors=self._progress.executors,
            pending=self._requests.pending,
            failure=self._pause.failure,
            calls=self._progress.calls,
            pause=self._hold.reason,
            queued=len(self._message.ids),
        )
        workflow.set_current_details(details)

    def _finish(self) -> RunResult:
        self._hold.release()  # There is no next superstep to hold it before.
        self._requests.flush()
        self._enter("idle")
        return self._progress.result(self._log.next_offset)

    async def _fail(self, step: SuperstepInput, error: ActivityError | RefusedOutcomeError) -> SuperstepInput:
        """End the run with the framework's own events and error, or pause it; the last good checkpoint stays usable.

        Returns:
            What to run when the pause is over.
        """
        failure = failure_of(error, step)
        if refuses_start(failure) and step.message is None:
            raise run_error(failure, None, None, 0) from error  # As if there had never been a run.
        self._requests.failed(step, failure)
        self._progress.enter(failure)
        if step.message is not None and step.message.message_id is not None and refuses_message(failure):
            raise TurnOverError(step, failure, refused=step.message.message_id) from error
        # Temporal tells once that a run is cancelled, so one that paused now would not hear of it.
        if not self._input.options.pause_on_failure or workflow.cancellation_reason() is not None:
            self._end(failure, error, step)
        self._pause.begin(failure)
        self._tell(failure, "paused")
        await self._pause.wait(lambda: self._message.cuts is not None)
        self._enter("running")
        if self._message.cuts is not None:
            raise TurnOverError(step, failure) from error
        return self._again(step, failure)

    def _again(self, step: SuperstepInput, failure: SuperstepFailure) -> SuperstepInput:
        """Return what runs a superstep that has failed, or was cut off, once more."""
        self._answering = []
        self._streaming, self._own_storage, self._trace = step.streaming, bool(step.own_storage), step.trace
        retried = self._step(retry_mode(step, failure))
        if retried.mode == "message" and step.message is not None:
            retried = retried.model_copy(update={name: getattr(step, name) for name in self._progress.step_fields()})
            retried.message = step.message
            retried.function_invocation_kwargs, retried.client_kwargs = (
                step.function_invocation_kwargs,
                step.client_kwargs,
            )
        retried.discard_in_flight = step.discard_in_flight and retried.mode == "message"
        if failure.journalled or failure.answers is None:  # One that reported nothing has its last heartbeat.
            retried.begun_in = JournalRef(run_id=workflow.info().run_id, superstep_id=step.superstep_id)
        return retried

    def _expire(self, error: RequestExpiredError) -> NoReturn:
        """End the run because nobody has answered; its requests can still be answered from its last checkpoint."""
        self._end(expiry_of(str(error)), error)

    def _tell(self, failure: SuperstepFailure, state: RunState) -> None:
        for record in failure.events:
            self._log.append(record)
        self._requests.flush()
        self._enter(state)

    def _end(self, failure: SuperstepFailure, cause: Exception, step: SuperstepInput | None = None) -> NoReturn:
        """End the run, or only the turn, where a message waits for its own."""
        if self._message.is_there and workflow.cancellation_reason() is None:
            self._tell(failure, "running")
            raise TurnOverError(step or self._step("resume"), failure, is_final=True) from cause
        self._tell(failure, "failed")
        self._raise(failure, cause)

    def _raise(self, failure: SuperstepFailure, cause: Exception | None = None) -> NoReturn:
        self._enter("failed")
        progress = self._progress
        raise run_error(
            failure, progress.checkpoint, progress.graph_hash, self._log.next_offset, progress.calls
        ) from cause


def _raise_if_cancelled() -> None:
    """End a run whose cancellation was not felt: the activity it waited for ended before it heard of it, or ignored it.

    Raises:
        CancelledError: Which ends the run as cancelled.
    """
    if workflow.cancellation_reason() is not None:
        raise asyncio.CancelledError
