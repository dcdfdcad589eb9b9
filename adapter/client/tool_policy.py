"""What differs for single tools of a run's agents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from ...workflows.exported import exported
from ...workflows.messages import InDoubt, ToolRule


def check_in_doubt(value: object) -> None:
    """Refuse what is no way to treat a call in doubt.

    Raises:
        ValueError: Saying what it may be.
    """
    if value is not None and value not in get_args(InDoubt):
        raise ValueError(f"`in_doubt` must be one of {get_args(InDoubt)}, got {value!r}.")


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPolicy:
    """What differs for one tool from the policy of the executor whose agent calls it; what is left out does not.

    Args:
        in_doubt: What becomes of a call that had begun when its attempt was lost, so that nobody knows whether it has
            done its work. "again": it runs again, and `idempotency_key` gives what it gave before. "error": it does
            not; the model is told that the outcome is not known. "ask": a person is asked, by an approval request of
            the framework's, whether it may run again. "error" and "ask" cost a round trip before each call, and an
            action on Temporal Cloud.
        journal: Whether its finished calls are kept for the next attempt; True.

    Raises:
        ValueError: For a value that there is not.
    """

    in_doubt: InDoubt | None = None
    journal: bool | None = None

    def __post_init__(self) -> None:
        check_in_doubt(self.in_doubt)


def tool_rules(policies: Mapping[str, ToolPolicy] | None) -> dict[str, ToolRule]:
    """Return policies by tool name as the workflow takes them.

    Raises:
        ValueError: When a value is no policy.
    """
    for name, policy in (policies or {}).items():
        if not isinstance(policy, ToolPolicy):
            raise ValueError(f"`tools` maps tool names to `ToolPolicy`, got {type(policy).__name__!r} for {name!r}.")
    return {
        name: ToolRule(journal=policy.journal, in_doubt=policy.in_doubt) for name, policy in (policies or {}).items()
    }
