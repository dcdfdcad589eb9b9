"""How often and how long single executors are tried: options for supersteps, which may run several at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from ...workflows.exported import exported
from ...workflows.messages import ExecutorRule
from ..framework.definition import HostedWorkflow


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorPolicy:
    """What differs for one executor from the options of its run; what is left out does not.

    The executors of a superstep are tried together. The policy of the executor that failed says whether and when there
    is another attempt, after as many failed attempts of the superstep as there have been, whoever failed in them.

    Args:
        timeout: Longest time one invocation may take, within the run's `superstep_timeout`. One that takes longer
            fails with TimeoutError, as if the executor had raised it.
        heartbeat_timeout: See `DurableOptions`; a superstep takes the longest of the executors that its messages may
            reach, and of all of them where that is not known: at the beginning of a run, and when it is answered.
        max_attempts: See `DurableOptions`.
        retry_initial_interval: See `DurableOptions`.
        retry_backoff: See `DurableOptions`.
        retry_maximum_interval: See `DurableOptions`.

    Raises:
        ValueError: For a value that cannot work.
    """

    timeout: timedelta | None = None
    heartbeat_timeout: timedelta | None = None
    max_attempts: int | None = None
    retry_initial_interval: timedelta | None = None
    retry_backoff: float | None = None
    retry_maximum_interval: timedelta | None = None

    def __post_init__(self) -> None:
        for name in ("timeout", "retry_initial_interval", "retry_maximum_interval"):
            value = getattr(self, name)
            if value is not None and value <= timedelta(0):
                raise ValueError(f"`{name}` must be longer than 0, got {value!r}.")
        if self.heartbeat_timeout is not None and self.heartbeat_timeout < timedelta(seconds=1):
            raise ValueError(f"`heartbeat_timeout` must be at least 1 second, got {self.heartbeat_timeout!r}.")
        if self.max_attempts is not None and self.max_attempts < 1:
            raise ValueError(f"`max_attempts` must be 1 or more, got {self.max_attempts!r}.")
        if self.retry_backoff is not None and not 1 <= self.retry_backoff < math.inf:
            raise ValueError(f"`retry_backoff` must be 1 or more, got {self.retry_backoff!r}.")

    def to_wire(self) -> ExecutorRule:
        """Return the policy as the workflow takes it."""
        return ExecutorRule(
            timeout=_seconds(self.timeout),
            heartbeat_timeout=_seconds(self.heartbeat_timeout),
            max_attempts=self.max_attempts,
            retry_initial_interval=_seconds(self.retry_initial_interval),
            retry_backoff=self.retry_backoff,
            retry_maximum_interval=_seconds(self.retry_maximum_interval),
        )


def executor_rules(
    policies: Mapping[str, ExecutorPolicy] | None, superstep_timeout: timedelta
) -> dict[str, ExecutorRule]:
    """Return policies by executor id as the workflow takes them.

    Raises:
        ValueError: When a value is no policy, or allows more time than a superstep has.
    """
    for executor_id, policy in (policies or {}).items():
        if not isinstance(policy, ExecutorPolicy):
            raise ValueError(
                f"`executors` maps executor ids to `ExecutorPolicy`, got {type(policy).__name__!r} for {executor_id!r}."
            )
        for name in ("timeout", "heartbeat_timeout"):
            value = getattr(policy, name)
            if value is not None and value > superstep_timeout:
                raise ValueError(
                    f"`{name}` of executor {executor_id!r} is longer than `superstep_timeout`: raise that too."
                )
    return {executor_id: policy.to_wire() for executor_id, policy in (policies or {}).items()}


def check_executors(policies: Mapping[str, ExecutorPolicy] | None, hosted: HostedWorkflow | None) -> None:
    """Refuse a policy for an executor that the workflow does not have.

    Raises:
        ValueError: Naming those it has.
    """
    known = list(hosted.graph_signature.get("executors", {})) if hosted is not None else list(policies or ())
    for executor_id in policies or ():
        if executor_id not in known:
            raise ValueError(
                f"`executors` has a policy for {executor_id!r}, but there is no executor {executor_id!r} in the "
                f"workflow; it has {sorted(known)}. A sub-workflow counts as the executor around it."
            )


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
