"""The numbered parts of a stored value: in which order those can be made that have to be whole at once.

A list, a dictionary or an object is made empty and filled later, so that it may be part of itself. A tuple is not: what
it contains has to be there before. A tuple can only be part of itself by way of something that is filled later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any

from .document import CONTENT, MAX_DEPTH, OBJECT, REFERENCE


def order_of(parts: list[Any], whole: Collection[int]) -> list[int] | None:
    """Return the order in which to make those parts that have to be whole at once; None where there is no such order.

    Takes the time of their size.

    Raises:
        ValueError: When they lie in each other too deep.
    """
    needed: dict[int, set[int]] = {}
    needing: dict[int, list[int]] = {number: [] for number in whole}
    depths: dict[int, int] = {}
    for number in whole:
        references, depths[number] = _references(parts[number])
        needed[number] = {reference for reference in references if reference in needing}
        for reference in needed[number]:
            needing[reference].append(number)
    order: list[int] = []
    ready = deque(number for number, needs in needed.items() if not needs)
    levels: dict[int, int] = dict.fromkeys(whole, 0)
    while ready:
        number = ready.popleft()
        order.append(number)
        level = levels[number] + depths[number]
        if level > MAX_DEPTH:
            raise ValueError("tuples that lie in each other too deep")
        for other in needing[number]:
            levels[other] = max(levels[other], level)
            needed[other].discard(number)
            if not needed[other]:
                ready.append(other)
    return order if len(order) == len(needed) else None


def _references(part: Any) -> tuple[set[int], int]:
    """Return the numbers in a part, but for those in an object's attributes, which are set later; and its depth."""
    found: set[int] = set()
    deepest = 0
    waiting: list[tuple[Any, int]] = [(part, 0)]
    if isinstance(part, dict) and OBJECT in part:
        waiting = [(part.get(CONTENT), 0)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(node, list):
            waiting += [(item, depth + 1) for item in node if isinstance(item, list | dict)]
        elif isinstance(node, dict):
            if type(node.get(REFERENCE)) is int:
                found.add(node[REFERENCE])
            waiting += [(item, depth + 1) for item in node.values() if isinstance(item, list | dict)]
    return found, deepest
