"""Options of a run: what cannot work is refused when it is written down."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any, get_type_hints

import pytest
from agent_framework_temporal import DurableOptions, ExecutorPolicy, OptionArguments
from agent_framework_temporal.adapter.client.options import wire_options
from agent_framework_temporal.workflows.failure import heartbeat_timeout
from agent_framework_temporal.workflows.messages import RunOptions

SECOND = timedelta(seconds=1)


def test_the_defaults_are_those_of_the_wire() -> None:
    assert wire_options(DurableOptions()) == RunOptions()


def test_every_option_of_a_run_reaches_the_wire() -> None:
    options = DurableOptions(
        superstep_timeout=20 * SECOND,
        heartbeat_timeout=2 * SECOND,
        max_attempts=7,
        retry_initial_interval=3 * SECOND,
        retry_backoff=1.5,
        retry_maximum_interval=4 * SECOND,
    )
    assert wire_options(options) == RunOptions(
        superstep_timeout=20,
        heartbeat_timeout=2,
        max_attempts=7,
        retry_initial_interval=3,
        retry_backoff=1.5,
        retry_maximum_interval=4,
    )
    assert RunOptions.model_validate_json(wire_options(options).model_dump_json()) == wire_options(options)


def test_the_arguments_of_the_facade_are_the_options() -> None:
    assert get_type_hints(OptionArguments) == get_type_hints(DurableOptions)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        *(
            ({name: value}, f"`{name}` must be longer than 0")
            for name in DurableOptions.__dataclass_fields__
            if name.endswith(("timeout", "interval"))
            for value in (timedelta(0), -SECOND)
        ),
        ({"heartbeat_timeout": timedelta(milliseconds=999)}, "`heartbeat_timeout` must be at least 1 second"),
        ({"superstep_timeout": 5 * SECOND}, "`heartbeat_timeout` must not be longer than `superstep_timeout`"),
        *(
            ({name: timedelta.max}, f"`{name}` must not be longer than ten years")
            for name in DurableOptions.__dataclass_fields__
            if name.endswith(("timeout", "interval"))
        ),
        ({"max_attempts": 0}, "`max_attempts` must be from 1"),
        ({"max_attempts": 2**31}, "`max_attempts` must be from 1 to 1,000,000"),
        ({"retry_backoff": 0.9}, "`retry_backoff` must be from 1"),
        ({"retry_backoff": math.nan}, "`retry_backoff` must be from 1"),
        ({"retry_backoff": math.inf}, "`retry_backoff` must be from 1"),
        ({"executors": {"a": 3}}, "`executors` maps executor ids to `ExecutorPolicy`, got 'int' for 'a'"),
        ({"executors": {"a": ExecutorPolicy(timeout=timedelta(days=2))}}, "of executor 'a' is longer than"),
        ({"retry_initial_interval": 61 * SECOND}, "`retry_maximum_interval` must not be shorter"),
    ],
    ids=repr,
)
def test_a_value_that_cannot_work_is_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        DurableOptions(**arguments)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"timeout": timedelta(0)}, "`timeout` must be longer than 0"),
        ({"retry_initial_interval": -SECOND}, "`retry_initial_interval` must be longer than 0"),
        ({"heartbeat_timeout": SECOND / 2}, "`heartbeat_timeout` must be at least 1 second"),
        ({"heartbeat_timeout": timedelta.max}, "`heartbeat_timeout` must not be longer than ten years"),
        ({"max_attempts": 0}, "`max_attempts` must be from 1"),
        ({"retry_backoff": math.nan}, "`retry_backoff` must be from 1"),
    ],
    ids=repr,
)
def test_a_policy_that_cannot_work_is_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ExecutorPolicy(**arguments)


def test_a_worker_may_be_silent_as_long_as_any_executor_it_may_run() -> None:
    policies = {"slow": ExecutorPolicy(heartbeat_timeout=60 * SECOND), "fast": ExecutorPolicy(heartbeat_timeout=SECOND)}
    options = wire_options(DurableOptions(executors=policies))
    assert heartbeat_timeout(options, ["fast"]) == SECOND
    assert heartbeat_timeout(options, ["fast", "other"]) == 10 * SECOND
    assert heartbeat_timeout(options, ["fast", "slow"]) == heartbeat_timeout(options, None) == 60 * SECOND
    assert heartbeat_timeout(options, []) == heartbeat_timeout(wire_options(DurableOptions()), None) == 10 * SECOND


def test_options_are_values() -> None:
    assert DurableOptions(max_attempts=1) == DurableOptions(max_attempts=1)
    with pytest.raises(AttributeError):
        DurableOptions().max_attempts = 2  # type: ignore[misc]
