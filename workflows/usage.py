"""What a run has called and what that cost in tokens: sums of what its supersteps report, bounded, and their words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from . import limits
from .messages import Calls, TokenCounts

REST = "*"
"""Stands for executors, or kinds of calls, beyond the first that are told apart."""
_NOUNS = {"chat": "model call", "tool": "tool call", "once": "once call"}
_MAX_KINDS = 8


def add_calls(total: Calls | None, more: Calls | None) -> Calls | None:
    """Return the sum of what supersteps have called; None where nothing was.

    What a worker reports may be anything: the sum has at most `MAX_COUNTED` names and one for the rest, none of them
    long, and no number beyond `MAX_COUNT`. Tokens of single attempts are not in it.
    """
    found = [calls for calls in (total, more) if calls is not None]
    if not found:
        return None
    result = Calls(
        made=_counts(calls.made for calls in found),
        taken=_counts(calls.taken for calls in found),
        tokens=_tokens(calls.tokens for calls in found),
        dropped=_count(sum(_count(calls.dropped or 0) for calls in found)) or None,
    )
    return result if result != Calls() else None


def sum_of(tokens: Iterable[TokenCounts]) -> TokenCounts:
    """Return tokens together."""
    result = TokenCounts()
    for counts in tokens:
        result = TokenCounts(
            input=_count(result.input + _count(counts.input)),
            output=_count(result.output + _count(counts.output)),
            total=_count(result.total + _count(counts.total)),
        )
    return result


def calls_text(made: Mapping[str, int], taken: Mapping[str, int]) -> str:
    """Say what was taken from the journal and what was made, by kind; empty where nothing was called."""
    words = [f"{_kinds_text(taken)} taken from the journal"] if taken else []
    words += [f"{_kinds_text(made)} made"] if made else []
    return ", ".join(words)


def tokens_text(counts: TokenCounts) -> str:
    """Say what was spent; empty where no chat client has reported it."""
    return f"{counts.total:,} tokens: {counts.input:,} input, {counts.output:,} output" if counts.total else ""


def _kinds_text(counts: Mapping[str, int]) -> str:
    known = sorted(counts, key=lambda kind: (kind not in _NOUNS, list(_NOUNS).index(kind) if kind in _NOUNS else 0))
    words = [_counted(counts[kind], _NOUNS.get(kind, kind)) for kind in known[:_MAX_KINDS]]
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _counts(found: Iterable[Mapping[str, int]]) -> dict[str, int]:
    result: dict[str, int] = {}
    for counts in found:
        for kind, number in counts.items():
            name = _name(kind, result)
            result[name] = _count(result.get(name, 0) + _count(number))
    return {name: number for name, number in result.items() if number}


def _tokens(found: Iterable[Mapping[str, TokenCounts]]) -> dict[str, TokenCounts]:
    result: dict[str, TokenCounts] = {}
    for tokens in found:
        for executor_id, counts in tokens.items():
            name = _name(executor_id, result)
            result[name] = sum_of([result.get(name, TokenCounts()), counts])
    return result


def _name(name: str, known: Mapping[str, object]) -> str:
    name = name[: limits.MAX_COUNTED_NAME]
    return name if name in known or len(known) < limits.MAX_COUNTED else REST


def _count(number: int) -> int:
    return max(0, min(number, limits.MAX_COUNT))
