"""How often and how long single executors are tried: options for supersteps, which may run several at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from weakref import WeakSet

from temporalio.client import Client

from ...workflows.exported import exported
from ...workflows.messages import MAX_ATTEMPTS, MAX_NAME, MAX_SECONDS, ExecutorRule, InDoubt
from ..temporal.server import rpc_errors
from ..temporal.standalone import check_placement
from .priority import check_priority
from .tool_policy import check_in_doubt


def check_duration(name: str, value: timedelta | None) -> None:
    """Refuse a duration that no run takes.

    Raises:
        ValueError: Saying what it may be.
    """
    if value is None:
        return
    if value <= timedelta(0):
        raise ValueError(f"`{name}` must be longer than 0, got {value!r}.")
    if value > timedelta(seconds=MAX_SECONDS):
        raise ValueError(f"`{name}` must not be longer than ten years, got {value!r}.")


def check_retries(attempts: int | None, backoff: float | None) -> None:
    """Refuse a number of attempts, or a factor between them, that no run takes.

    Raises:
        ValueError: Saying what it may be.
    """
    if attempts is not None and not 1 <= attempts <= MAX_ATTEMPTS:
        raise ValueError(f"`max_attempts` must be from 1 to {MAX_ATTEMPTS:,}, got {attempts!r}.")
    if backoff is not None and not 1 <= backoff <= MAX_ATTEMPTS:  # Not a number fails both comparisons.
        raise ValueError(f"`retry_backoff` must be from 1 to {MAX_ATTEMPTS:,}, got {backoff!r}.")


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorPolicy:
    """What differs for one executor from the options of its run; what is left out does not.

    The executors of a superstep are tried together. The policy of the executor that failed says whether and when there
    is another attempt, after as many failed attempts of the superstep as there have been, whoever failed in them.

    Args:
        timeout: Longest time one invocation may take, within the run's `superstep_timeout`. One that takes longer
            fails with TimeoutError, as if the executor had raised it.
        idle_timeout: Longest time one invocation may show no progress: neither an event (an output, an update of an
            agent's answer, one of its own), nor a model's or a tool's call, or `once`, that begins or ends, nor a piece
            of a model's answer as it streams. One that shows none for longer fails as with `timeout`, and the next
            attempt takes from the journal what had finished in it and beside it. Costs nothing.
        heartbeat_timeout: See `DurableOptions`; a superstep takes the longest of the executors that its messages may
            reach, and of all of them where that is not known: at the beginning of a run, and when it is answered.
        max_attempts: See `DurableOptions`.
        retry_initial_interval: See `DurableOptions`.
        retry_backoff: See `DurableOptions`.
        retry_maximum_interval: See `DurableOptions`.
        journal: Whether the executor's model and tool calls, and what it has come to itself, are kept for the next
            attempt; see `DurableOptions`.
        in_doubt: What becomes of an invocation that had begun when its attempt was lost, and of the calls of its tools:
            see `ToolPolicy`. "error" fails it with InDoubtError, which is not tried again; "ask" asks a person, by a
            request of type `InDoubt`. Of an agent's executor it holds for the calls of its tools.
        task_queue: Where its invocations run: on a worker that polls this queue and hosts the workflow, each as an
            activity of its own with the attempts and timeouts of this policy. What an invocation has done is done in
            the superstep, whose worker keeps routing, state and events. Needs a server of 1.31 or newer. Costs two
            round trips and an activity an invocation, no history; while somebody streams, a round trip for each
            heartbeat that tells of live events.
        worker_timeout: Longest time such an invocation may wait for a worker of that queue before it fails with
            NoWorkerError; for ever.
        priority: Of such an invocation among the tasks of that queue, as `DurableOptions.priority`; the run's, whose
            fairness key it has in any case.

    The keys of `executors` are ids, or patterns of them such as `gpu-*`; what the policy of an id leaves out, that of
    the first pattern that fits may say, and `*` at last.

    A policy for an executor of a sub-workflow, whose id is its path (`"sub/inner"`), may say `journal` and `in_doubt`;
    what it leaves out is as for the executor around it.

    Raises:
        ValueError: For a value that cannot work.
    """

    timeout: timedelta | None = None
    idle_timeout: timedelta | None = None
    heartbeat_timeout: timedelta | None = None
    max_attempts: int | None = None
    retry_initial_interval: timedelta | None = None
    retry_backoff: float | None = None
    retry_maximum_interval: timedelta | None = None
    journal: bool | None = None
    in_doubt: InDoubt | None = None
    task_queue: str | None = None
    worker_timeout: timedelta | None = None
    priority: int | None = None

    def __post_init__(self) -> None:
        for name in ("timeout", "idle_timeout", "retry_initial_interval", "retry_maximum_interval", "worker_timeout"):
            check_duration(name, getattr(self, name))
        check_duration("heartbeat_timeout", self.heartbeat_timeout)
        if self.heartbeat_timeout is not None and self.heartbeat_timeout < timedelta(seconds=1):
            raise ValueError(f"`heartbeat_timeout` must be at least 1 second, got {self.heartbeat_timeout!r}.")
        check_retries(self.max_attempts, self.retry_backoff)
        check_in_doubt(self.in_doubt)
        if self.task_queue is not None and not (
            isinstance(self.task_queue, str) and 1 <= len(self.task_queue) <= MAX_NAME
        ):
            raise ValueError(f"`task_queue` must be the name of a task queue, got {self.task_queue!r}.")
        check_priority(self.priority, None)


def policy_rules(
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
                    f"`{name}` of executor {executor_id!r} is longer than `superstep_timeout`. Raise "
                    "`superstep_timeout` as well."
                )
    return {
        executor_id: ExecutorRule(**wire_values(policy, ExecutorRule.model_fields))
        for executor_id, policy in (policies or {}).items()
    }


async def check_placed(client: Client, rules: Mapping[str, ExecutorRule]) -> None:
    """Refuse executors with a task queue of their own where the server cannot have them; a round trip for a client.

    Raises:
        PlacementError: When the server has no standalone activities.
        ServerUnreachableError: When no server answers.
    """
    if any(rule.task_queue is not None for rule in rules.values()) and client not in _places:
        with rpc_errors(client, "look whether executors can have task queues of their own"):
            await check_placement(client)
        _places.add(client)


_places: WeakSet[Client] = WeakSet()
"""Clients whose server has standalone activities."""


def wire_values(policy: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return attributes of a policy as the workflow takes them: durations in seconds."""
    values = {name: getattr(policy, name) for name in names}
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else value
