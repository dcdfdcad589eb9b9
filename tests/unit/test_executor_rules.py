"""Which rule holds for an executor: its own, then those of patterns in their order, then the default."""

from __future__ import annotations

from agent_framework_temporal.workflows.executor_rules import is_pattern, rule_of, rules_by_id
from agent_framework_temporal.workflows.failure import heartbeat_timeout
from agent_framework_temporal.workflows.messages import ExecutorRule, RunOptions

_RULES = {
    "*": ExecutorRule(task_queue="rest", max_attempts=9, timeout=1.0),
    "gpu-*": ExecutorRule(task_queue="gpu", heartbeat_timeout=30.0),
    "gpu-1": ExecutorRule(max_attempts=2),
    "sub/inner": ExecutorRule(journal=False),
}


def test_what_one_leaves_out_the_next_may_say() -> None:
    own = rule_of(_RULES, "gpu-1")
    assert own == ExecutorRule(task_queue="gpu", heartbeat_timeout=30.0, max_attempts=2, timeout=1.0)
    assert rule_of(_RULES, "gpu-2") == ExecutorRule(
        task_queue="gpu", heartbeat_timeout=30.0, max_attempts=9, timeout=1.0
    )
    assert rule_of(_RULES, "cpu") == _RULES["*"]
    assert rule_of({"a": _RULES["*"]}, "b") is None
    assert [is_pattern(name) for name in _RULES] == [True, True, False, False]


def test_rules_by_id() -> None:
    found = rules_by_id(_RULES, ["gpu-1", "cpu", "sub"])
    assert sorted(found) == ["cpu", "gpu-1", "sub", "sub/inner"]
    assert found["sub/inner"] is _RULES["sub/inner"]
    exact = {"gpu-1": ExecutorRule(max_attempts=2)}
    assert rules_by_id(exact, ["gpu-1", "cpu"]) == exact


def test_silence_of_a_superstep() -> None:
    """A superstep may be silent for as long as the longest of those that it may run."""
    options = RunOptions(executors=_RULES, heartbeat_timeout=5.0)
    assert heartbeat_timeout(options, ["cpu", "gpu-2"]).total_seconds() == 30.0
    assert heartbeat_timeout(options, ["cpu"]).total_seconds() == 5.0
    assert heartbeat_timeout(options, None).total_seconds() == 30.0
