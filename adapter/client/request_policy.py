"""When callers are reminded of a request, and what becomes of it when nobody answers: options for the workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from ...workflows.exported import exported
from ...workflows.messages import RequestRule, Value
from ..framework.values import to_json_value, wire_type

_NO_DEFAULT = object()


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPolicy:
    """What happens to a pending request as time goes by; durations count from when it was asked.

    Each duration costs the run one durable timer, 2 history events, while it waits. It survives lost workers, restarts
    and continue-as-new, and is looked at between supersteps: one that is running is not interrupted.

    Args:
        remind_after: Writes a `request_reminder` into the event log, once.
        deadline: Writes a `request_expired` and does what `on_deadline` says.
        on_deadline: `fail` ends the run with RequestExpiredError; its checkpoint is intact, so a late answer with
            `responses=` still goes on from there. `cancel` cancels the request as `cancel_pending_requests` does.
            `default` answers with `default`.
        default: The response that is given for `default`; it must fit the request's response type, or the run fails.

    Raises:
        ValueError: For a combination that cannot work.
        PayloadError: When the default has no JSON form.
    """

    remind_after: timedelta | None = None
    deadline: timedelta | None = None
    on_deadline: Literal["fail", "cancel", "default"] = "fail"
    default: Any = _NO_DEFAULT

    def __post_init__(self) -> None:
        for name in ("remind_after", "deadline"):
            value = getattr(self, name)
            if value is not None and value <= timedelta(0):
                raise ValueError(f"`{name}` must be longer than 0, got {value!r}.")
        if self.remind_after is not None and self.deadline is not None and self.remind_after >= self.deadline:
            raise ValueError("`remind_after` must be shorter than `deadline`, or nobody is reminded.")
        if self.on_deadline not in ("fail", "cancel", "default"):
            raise ValueError(f"`on_deadline` must be 'fail', 'cancel' or 'default', got {self.on_deadline!r}.")
        if (self.on_deadline == "default") is (self.default is _NO_DEFAULT):
            raise ValueError("`default` goes with `on_deadline='default'`: give both or none.")
        if self.on_deadline != "fail" and self.deadline is None:
            raise ValueError(f"`on_deadline={self.on_deadline!r}` needs a `deadline`.")
        self.to_wire()

    def to_wire(self) -> RequestRule:
        """Return the policy as the workflow takes it."""
        default = None
        if self.default is not _NO_DEFAULT:
            default = Value(value=to_json_value(self.default, "The default response"), type=wire_type(self.default))
        return RequestRule(
            remind_after=None if self.remind_after is None else self.remind_after.total_seconds(),
            deadline=None if self.deadline is None else self.deadline.total_seconds(),
            on_deadline=self.on_deadline,
            default=default,
        )


def rules_of(policies: RequestPolicy | Mapping[str, RequestPolicy] | None) -> dict[str, RequestRule]:
    """Return policies by key as the workflow takes them.

    Raises:
        ValueError: When a value is no policy.
    """
    if policies is None:
        return {}
    by_key = {"*": policies} if isinstance(policies, RequestPolicy) else dict(policies)
    for key, policy in by_key.items():
        if not isinstance(policy, RequestPolicy):
            raise ValueError(f"`requests` maps keys to `RequestPolicy`, got {type(policy).__name__!r} for {key!r}.")
    return {key: policy.to_wire() for key, policy in by_key.items()}
