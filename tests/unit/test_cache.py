"""The worker's checkpoint cache: bounded in bytes, and never needed."""

from __future__ import annotations

import pytest
from agent_framework_temporal.activities.cache import CheckpointCache
from hypothesis import given
from hypothesis import strategies as st


def test_what_is_put_is_found() -> None:
    cache = CheckpointCache(10)
    cache.put("a", b"12345")
    assert cache.get("a") == b"12345"
    assert cache.get("b") is None


def test_the_least_recently_used_is_dropped_first() -> None:
    cache = CheckpointCache(10)
    for name in ("a", "b"):
        cache.put(name, b"12345")
    cache.get("a")
    cache.put("c", b"12345")
    assert cache.get("a") is not None
    assert cache.get("b") is None


def test_a_predecessor_makes_room() -> None:
    cache = CheckpointCache(10)
    cache.put("a", b"12345")
    cache.put("b", b"1234567890", replaces="a")
    assert (cache.get("a"), cache.get("b")) == (None, b"1234567890")
    cache.put("c", b"1", replaces="not there")
    assert cache.get("c") == b"1"


def test_what_is_too_large_is_not_kept_and_drops_nothing_else() -> None:
    cache = CheckpointCache(10)
    cache.put("a", b"12345")
    cache.put("b", b"x" * 11)
    assert cache.get("b") is None
    assert cache.get("a") == b"12345"


def test_zero_switches_it_off() -> None:
    cache = CheckpointCache(0)
    cache.put("a", b"1")
    assert cache.get("a") is None


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="`max_bytes` must be 0 or more, got -1"):
        CheckpointCache(-1)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 30), st.sampled_from([None, *"abcdef"]))))
def test_it_never_holds_more_than_its_bound(puts: list[tuple[str, int, str | None]]) -> None:
    cache = CheckpointCache(50)
    for name, size, replaces in puts:
        cache.put(name, name.encode() * size, replaces=replaces)
        held = {key: cache.get(key) for key in "abcdef"}
        assert sum(len(raw) for raw in held.values() if raw is not None) <= 50
        assert all(raw is None or set(raw) <= set(key.encode()) for key, raw in held.items())
        assert cache.get(name) == name.encode() * size
