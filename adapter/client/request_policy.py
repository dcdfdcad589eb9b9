"""When callers are reminded of a request, and what becomes of it when nobody answers: options for the workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from ...workflows.exported import exported
from ...workflows.messages import RequestRule
from ..encoding.sending import encoded
from ..framework.catalog import TypeCatalog
from ..framework.values import to_json_value
from .executor_policy import check_duration, wire_values

_NO_DEFAULT = object()
_DEFAULT = "The default response"


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
            check_duration(name, getattr(self, name))
        if self.remind_after is not None and self.deadline is not None and self.remind_after >= self.deadline:
            raise ValueError("`remind_after` must be shorter than `deadline`, or no reminder would be sent.")
        if self.on_deadline not in ("fail", "cancel", "default"):
            raise ValueError(f"`on_deadline` must be 'fail', 'cancel' or 'default', got {self.on_deadline!r}.")
        if (self.on_deadline == "default") is (self.default is _NO_DEFAULT):
            raise ValueError(
                "`default` requires `on_deadline='default'` and the other way round: pass both or neither."
            )
        if self.on_deadline != "fail" and self.deadline is None:
            raise ValueError(f"`on_deadline={self.on_deadline!r}` needs a `deadline`.")
        if self.default is not _NO_DEFAULT:
            to_json_value(self.default, _DEFAULT)


def request_rules(
    policies: RequestPolicy | Mapping[str, RequestPolicy] | None, catalog: TypeCatalog | None
) -> dict[str, RequestRule]:
    """Return policies by key as the workflow takes them.

    Args:
        policies: The policies; a single one is for all requests.
        catalog: The types of the workflow; None for a caller without its definition, or to check the policies alone.

    Raises:
        ValueError: When a value is no policy.
        PayloadError: When a default would not arrive as it is.
    """
    rules: dict[str, RequestRule] = {}
    for key, policy in policies_by_key(policies).items():
        values = wire_values(policy, RequestRule.model_fields)
        has_default = policy.default is not _NO_DEFAULT
        values["default"] = encoded(policy.default, _DEFAULT, None, catalog) if has_default else None
        rules[key] = RequestRule(**values)
    return rules


def policies_by_key(policies: RequestPolicy | Mapping[str, RequestPolicy] | None) -> dict[str, RequestPolicy]:
    """Return policies by key.

    Raises:
        ValueError: When a value is no policy.
    """
    by_key = {"*": policies} if isinstance(policies, RequestPolicy) else dict(policies or {})
    for key, policy in by_key.items():
        if not isinstance(policy, RequestPolicy):
            raise ValueError(f"`requests` maps keys to `RequestPolicy`, got {type(policy).__name__!r} for {key!r}.")
    return by_key
