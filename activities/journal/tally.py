"""What a superstep has called, what it took from its journal instead, and what the calls cost in tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...workflows.messages import MAX_NAME, Calls, TokenCounts

_MOST_TOKENS = 2**53
MAX_EXECUTORS = 100
"""Executors whose tokens are told one by one; those beyond are summed."""
OTHERS = "*"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens as chat clients report them; 0 where one does not."""

    input: int = 0
    output: int = 0
    total: int = 0

    @classmethod
    def of_usage(cls, usage: Mapping[str, Any] | None) -> Tokens | None:
        """Return what the framework's `UsageDetails` say; None where the client reports nothing."""
        if not usage:
            return None
        into, out = (_count(usage.get(name)) for name in ("input_token_count", "output_token_count"))
        total = _count(usage.get("total_token_count")) or into + out
        return cls(into, out, total) if total else None

    @classmethod
    def of_list(cls, found: Any) -> Tokens | None:
        """Return what `as_list` gave; None for anything else."""
        return cls(*map(_count, found)) if isinstance(found, list) and len(found) == 3 else None

    def as_list(self) -> list[int]:
        """Return the three numbers."""
        return [self.input, self.output, self.total]

    def __add__(self, other: Tokens) -> Tokens:
        """Return the sum."""
        return Tokens(self.input + other.input, self.output + other.output, self.total + other.total)


class Tally:
    """Counts of one attempt, and the tokens of its superstep."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        """By kind: made in this attempt."""
        self.taken: Counter[str] = Counter()
        """By kind: taken from the journal in this attempt."""
        self.tokens: dict[str, Tokens] = {}
        """By executor: of all attempts whose calls are known."""
        self.spent = Tokens()
        """In this attempt."""
        self.dropped = 0
        """Entries that the journal had no room for."""

    def made(self, kind: str, executor_id: str | None, tokens: Tokens | None) -> None:
        """Count something that was done."""
        self.calls[kind] += 1
        if tokens is not None:
            self.spent += tokens
        self.known(executor_id, tokens)

    def took(self, kind: str) -> None:
        """Count something that was taken from the journal."""
        self.taken[kind] += 1

    def known(self, executor_id: str | None, tokens: Tokens | None) -> None:
        """Add the tokens of a call, of whichever attempt."""
        if tokens is not None:
            name = executor_id or ""
            self.tokens[name] = self.tokens.get(name, Tokens()) + tokens


def calls_of(tally: Tally) -> Calls | None:
    """Return what was counted as it is told to others; None where nothing was called."""
    if not tally.calls and not tally.taken and not tally.tokens:
        return None
    tokens = dict(sorted(tally.tokens.items(), key=lambda found: -found[1].total)[:MAX_EXECUTORS])
    others = [found for name, found in tally.tokens.items() if name not in tokens]
    told = {name[:MAX_NAME]: _told(found) for name, found in tokens.items()}
    if others:
        told[OTHERS] = _told(sum(others, Tokens()))
    return Calls(
        made=dict(tally.calls),
        taken=dict(tally.taken),
        spent=_told(tally.spent) if tally.spent.total else None,
        tokens=told,
        dropped=tally.dropped or None,
    )


def _told(tokens: Tokens) -> TokenCounts:
    return TokenCounts(input=tokens.input, output=tokens.output, total=tokens.total)


def _count(value: Any) -> int:
    return min(value, _MOST_TOKENS) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
