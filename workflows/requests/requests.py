"""The requests of a run and everything people do with them: answers, cancellations, deadlines, and the audit of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RawValue

from ..log import EventLog
from ..messages import (
    ContinuedRun,
    PendingRequest,
    RefusedMessage,
    RequestRule,
    RespondReceipt,
    RespondSignal,
    SuperstepFailure,
    SuperstepInput,
    SuperstepResult,
    Value,
)
from ..unreadable import why_unreadable
from .audit import Audit
from .deadlines import DEADLINE_RESPONDER, Deadlines
from .pending import Schemas, shown, unpack
from .responses import Dropped, Responses
from .schema import check_schema, fits_schema
from .signals import RejectedResponseError, read, refusal


class RequestExpiredError(Exception):
    """A request's deadline has passed and its rule says to fail."""


class Requests:
    """Pending requests with their answers, deadlines and trail.

    Args:
        log: The event log, which takes the audit.
        rules: See `Deadlines`.
        workflow_name: Of the framework workflow, for readers of many threads.
    """

    def __init__(self, log: EventLog, rules: dict[str, RequestRule], workflow_name: str) -> None:
        self.answers: Responses = Responses(fits_schema)
        self._audit = Audit(log)
        self._deadlines = Deadlines(rules)
        self._workflow_name = workflow_name

    @property
    def pending(self) -> list[PendingRequest]:
        """The pending requests, in the order in which they were asked."""
        return list(self.answers.pending.values())

    def shown(self) -> list[PendingRequest]:
        """Return the pending requests as a query answers with them."""
        return shown(self.answers.pending.values())

    def signal(self, name: str, arguments: Sequence[RawValue], *, busy: bool, at: str) -> int:
        """Take a signal; what is wrong with it goes to the audit and nowhere else.

        Returns:
            How many answers and cancellations it holds.
        """
        batch: list[RespondSignal] = []
        try:
            batch = read(name, arguments, self.answers.cancellable)
            self.answers.add(batch, busy=busy, at=at)
        except (RejectedResponseError, ValueError, RecursionError) as error:
            # The last two are of values that can be read and not be written; nothing of the batch is kept then.
            known = isinstance(error, RejectedResponseError)
            reason = str(error) if known else f"`{name}` cannot be kept: {type(error).__name__}"
            self._audit.rejected_batch(batch, reason)
            if not batch:
                self._audit.malformed(reason)
        self._drop(self.answers.displaced)
        self.answers.displaced = []
        if not busy:
            self._audit.flush()
        return len(batch)

    def refuse(self, name: str, reason: str | None, *, busy: bool) -> None:
        """Refuse a signal that is of no known name, or cannot be read."""
        self._audit.malformed(str(refusal(name, reason)))
        if not busy:
            self._audit.flush()

    def refuse_message(self, message: RefusedMessage, *, busy: bool) -> None:
        """Tell of a message that is not run."""
        self._audit.message_refused(message)
        if not busy:
            self._audit.flush()

    def check_update(self, name: str, arguments: Sequence[RawValue], *, busy: bool) -> None:
        """Refuse an update that would be rejected, or does not fit the schema of its request; changes nothing.

        Raises:
            RejectedResponseError: With the errors.
        """
        batch = read(name, arguments)
        self.answers.check(batch, busy=busy)
        for answer in batch:
            request = self.answers.pending.get(answer.request_id)
            if request is not None and not answer.cancel:
                check_schema(request, answer.response)

    def update(self, name: str, arguments: Sequence[RawValue], *, busy: bool) -> RespondReceipt:
        """Take an update that was checked.

        Raises:
            RejectedResponseError: When it cannot be taken after all.
        """
        reason = why_unreadable(arguments)
        if reason is not None:
            # It was read when it was accepted; the workflow task is tried again until it can be.
            raise RuntimeError(f"An update that was accepted before cannot be read now: {reason}")
        batch = read(name, arguments)
        receipt = self.answers.add(batch, busy=busy, at=workflow.now().isoformat(), checked=True)
        self._drop(self.answers.displaced)
        self.answers.displaced = []
        return receipt

    async def wait(self, is_over_budget: Callable[[], bool], look_again: Callable[[], timedelta | None]) -> bool:
        """Wait until something can be delivered; reminds and expires meanwhile. A timer costs 2 history events.

        Args:
            is_over_budget: Whether to give up waiting.
            look_again: When to ask that again, whatever comes.

        Returns:
            Whether something can be delivered; not where the wait was given up.

        Raises:
            RequestExpiredError: When a deadline says to fail.
        """
        while True:
            self._act_on_deadlines()
            if is_over_budget():
                return False
            if self.answers.ready:
                return True
            due = Deadlines.next_due(self.answers.unanswered())
            timeout = None if due is None else max(due[0] - workflow.now(), timedelta(0))
            summary = None if due is None else due[1]
            lull = look_again()
            if lull is not None and (timeout is None or lull < timeout):
                timeout, summary = lull, "signals: continue as new in a lull"
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self.answers.ready or is_over_budget() or (lull is None and look_again() is not None),  # noqa: B023
                    timeout=timeout,
                    timeout_summary=summary,
                )

    def _act_on_deadlines(self) -> None:
        now = workflow.now()
        requests = self.answers.unanswered()
        for request in Deadlines.take_reminders(requests, now):
            self._audit.request(
                "request_reminder", request, {"asked_at": request.asked_at, "deadline": request.deadline}
            )
        expired = Deadlines.take_expired(requests, now)
        for request in expired:
            self._audit.request("request_expired", request, {"on_deadline": request.on_deadline})
        self._audit.flush()
        failing = [request for request in expired if request.on_deadline == "fail"]
        if failing:
            names = ", ".join(repr(request.request_id) for request in failing[:5])
            raise RequestExpiredError(
                f"Nobody answered request {names} of executor {failing[0].executor_id!r} by {failing[0].deadline}. Its "
                "checkpoint is intact: answer it all the same with `responses=`."
            )
        cancelled = [self._entry(request, cancel=True) for request in expired if request.on_deadline == "cancel"]
        if cancelled:
            self.answers.force(cancelled)
        for request in expired:
            if request.on_deadline == "default":
                rule = self._deadlines.rule(request)
                self.answers.force([self._entry(request, default=rule.default if rule else None)])

    @staticmethod
    def _entry(request: PendingRequest, *, cancel: bool = False, default: Value | None = None) -> RespondSignal:
        return RespondSignal(
            request_id=request.request_id,
            response=default.value if default else None,
            type=default.type if default else None,
            typed=default.typed if default else None,
            responder=DEADLINE_RESPONDER,
            received_at=request.expired_at,
            cancel=cancel,
        )

    def taken(self, step: SuperstepInput, result: SuperstepResult) -> None:
        """Write the audit of what a superstep took; one record for each, before the superstep's events."""
        for answer in step.responses or []:
            request = self.answers.pending.get(answer.request_id)
            error = result.rejected.get(answer.request_id)
            if step.mode == "cancel":
                self._audit.cancelled(answer, request, None)
            else:
                self._audit.answered(answer, request, error)
            if error is None and (request is not None or step.mode != "cancel"):
                self._drop(self.answers.delivered(answer.request_id))

    def take_result(self, step: SuperstepInput, result: SuperstepResult) -> None:
        """Take over the pending requests of a superstep that was committed.

        Raises:
            RequestExpiredError: When a deadline's default response was refused: nobody else will answer.
        """
        before = self.answers.pending
        self._unpack(result.pending, result.schemas)
        self._drop(self.answers.set_pending(result.pending, run_ended=result.state != "running"))
        now = workflow.now()
        for request in self.answers.pending.values():
            self._deadlines.set(request, now)
        told = {answer.request_id for answer in step.responses or []}
        for request_id, request in before.items():
            if step.mode == "cancel" and request_id not in self.answers.pending and request_id not in told:
                self._audit.request("request_cancelled", request)  # It could not go on without the others.
        for answer in step.responses or []:
            error = result.rejected.get(answer.request_id)
            if error is not None and answer.call_id is None:
                at = answer.received_at or now.isoformat()
                self.answers.refused(answer.request_id, answer.responder, error, at=at)
        self._audit.flush(counted=True)
        for answer in step.responses or []:
            known = self.answers.pending.get(answer.request_id)
            error = result.rejected.get(answer.request_id)
            if error and known and known.expired_at and answer.received_at == known.expired_at:
                raise RequestExpiredError(
                    f"The deadline of request {answer.request_id!r} has passed, and its default response is refused: "
                    f"{error} Answer it with `responses=`, and mend the default in the options."
                )

    def failed(self, step: SuperstepInput, failure: SuperstepFailure) -> None:
        """Write the audit of what a superstep took that then failed, before the superstep's events."""
        entered = failure.checkpoint is not None
        for answer in step.responses or []:
            request = self.answers.pending.get(answer.request_id)
            reason = failure.rejected.get(answer.request_id, None if entered else failure.message)
            if step.mode == "cancel":
                self._audit.cancelled(answer, request, reason)
            else:
                self._audit.answered(answer, request, reason)

    def flush(self) -> None:
        """Write what waited for the superstep's events, and how much was only counted."""
        self._audit.flush(counted=True)

    def take_over(self, continued: ContinuedRun) -> None:
        """Take what the run before has handed on."""
        self._unpack(continued.pending, continued.schemas)
        self.answers.take_over(continued)

    def _unpack(self, pending: list[PendingRequest], schemas: Schemas) -> None:
        unpack(pending, schemas, thread_id=workflow.info().workflow_id, workflow_name=self._workflow_name)

    def _drop(self, dropped: Dropped) -> None:
        for answer, reason in dropped:
            self._audit.rejected(answer, reason)
