"""When a pending request is reminded of, and what becomes of it when nobody answers in time."""

from __future__ import annotations

from datetime import datetime, timedelta

from ..messages import PendingRequest, RequestRule

OTHERS = "*"
DEADLINE_RESPONDER = "deadline"
"""Who answers or cancels, in the audit trail, when a deadline does."""


class Deadlines:
    """The rules of a run; the times themselves lie with each pending request, so that they are handed on with it.

    A time counts from the moment the workflow learns of the request. It is looked at between supersteps.

    Args:
        rules: By request id, executor id or request type; `*` for all others.
    """

    def __init__(self, rules: dict[str, RequestRule]) -> None:
        self._rules = rules

    def rule(self, request: PendingRequest) -> RequestRule | None:
        """Return the rule of a request; the most specific one."""
        kind = request.request_type
        for key in (request.request_id, request.executor_id, kind, kind.rpartition(":")[2], OTHERS):
            if key in self._rules:
                return self._rules[key]
        return None

    def set(self, request: PendingRequest, now: datetime) -> None:
        """Set the times of a request that has just been asked."""
        rule = self.rule(request)
        if rule is None or request.deadline is not None or request.remind_at is not None:
            return
        if rule.remind_after is not None:
            request.remind_at = (now + timedelta(seconds=rule.remind_after)).isoformat()
        if rule.deadline is not None:
            request.deadline = (now + timedelta(seconds=rule.deadline)).isoformat()
            request.on_deadline = rule.on_deadline

    @staticmethod
    def next_due(requests: list[PendingRequest]) -> tuple[datetime, str] | None:
        """Return when something is due next, and a summary of what."""
        times = [
            (datetime.fromisoformat(time), f"{what} {request.request_id}"[:200])
            for request in requests
            for what, time, done in _times(request)
            if time is not None and done is None
        ]
        return min(times, default=None)

    @staticmethod
    def take_reminders(requests: list[PendingRequest], now: datetime) -> list[PendingRequest]:
        """Return the requests to remind of now, and mark them."""
        found = [
            request
            for request in requests
            if request.reminded_at is None
            and request.expired_at is None
            and request.remind_at is not None
            and datetime.fromisoformat(request.remind_at) <= now
        ]
        for request in found:
            request.reminded_at = now.isoformat()
        return found

    @staticmethod
    def take_expired(requests: list[PendingRequest], now: datetime) -> list[PendingRequest]:
        """Return the requests whose deadline has passed, and mark them."""
        found = [
            request
            for request in requests
            if request.expired_at is None
            and request.deadline is not None
            and datetime.fromisoformat(request.deadline) <= now
        ]
        for request in found:
            request.expired_at = now.isoformat()
        return found


def _times(request: PendingRequest) -> tuple[tuple[str, str | None, str | None], ...]:
    return (
        ("remind of", request.remind_at, request.reminded_at or request.expired_at),
        ("deadline of", request.deadline, request.expired_at),
    )
