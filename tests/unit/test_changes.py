"""In what two checkpoints differ: in what they hold, of sub-workflows as well, and not in their ids and times."""

from __future__ import annotations

from typing import Any

from agent_framework_temporal.adapter.checkpoints.outline import Change, changes


def _outline(number: int, **parts: Any) -> dict[str, Any]:
    names = {"checkpoint_id": f"c{number}", "previous_checkpoint_id": f"c{number - 1}", "timestamp": f"t{number}"}
    return {**names, "workflow": "w", "superstep": number, "state": {}, "executor_state": {}, "messages": [], **parts}


def test_ids_and_times_are_no_difference_at_any_depth() -> None:
    def nested(number: int, count: int) -> dict[str, Any]:
        inner = _outline(number, sub_workflows={"leaf": _outline(number, state={"count": count})})
        return _outline(number, sub_workflows={"child one": inner})

    assert changes(nested(1, 1), nested(2, 1)) == []
    assert changes(nested(1, 1), nested(2, 5)) == [
        Change("changed", "sub_workflows['child one'].sub_workflows.leaf.state.count", 1, 5)
    ]


def test_a_sub_workflow_that_is_in_one_of_them() -> None:
    with_child = _outline(2, sub_workflows={"child": _outline(1, state={"a": 1}, sub_workflows={"leaf": _outline(1)})})
    held = {"state": {"a": 1}, "sub_workflows": {"leaf": {}}}
    assert changes(_outline(1), with_child) == [Change("added", "sub_workflows.child", after=held)]
    assert changes(with_child, _outline(3)) == [Change("removed", "sub_workflows.child", before=held)]
