"""Which rule of a run's options holds for an executor: by its id, by patterns of ids, by `*` for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from .messages import ExecutorRule

_MAGIC = frozenset("*?[")


def is_pattern(name: str) -> bool:
    """Tell whether a rule's name stands for several executors."""
    return bool(_MAGIC.intersection(name))


def rule_of(rules: Mapping[str, ExecutorRule], executor_id: str) -> ExecutorRule | None:
    """Return what holds for an executor of the workflow; None where nothing does.

    Its own rule goes before those of patterns, and these in the order in which they were given, but for `*`, which is
    last: what one leaves out the next may say. Patterns are for executors of the workflow itself, not for those of
    sub-workflows, which follow the executor around them.
    """
    own = rules.get(executor_id)
    found = [] if own is None else [own]
    patterns = [name for name in rules if name != executor_id and is_pattern(name)]
    patterns.sort(key=lambda name: name == "*")  # The sort is stable.
    found += [rules[name] for name in patterns if fnmatchcase(executor_id, name)]
    if len(found) <= 1:
        return found[0] if found else None
    said: dict[str, object] = {}
    for rule in reversed(found):
        said.update((name, value) for name, value in rule if value is not None)
    return ExecutorRule.model_construct(**said)  # type: ignore[arg-type]


def rules_by_id(rules: Mapping[str, ExecutorRule], executor_ids: Iterable[str]) -> dict[str, ExecutorRule]:
    """Return rules without patterns: each executor's own, and those for what is within sub-workflows."""
    if not any(map(is_pattern, rules)):
        return dict(rules)
    known = [*executor_ids]
    by_id = {name: rule for name, rule in rules.items() if not is_pattern(name) and name not in known}
    for executor_id in known:
        rule = rule_of(rules, executor_id)
        if rule is not None:
            by_id[executor_id] = rule
    return by_id
