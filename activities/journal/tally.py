"""What a superstep has called, what it took from its journal instead, and what the calls cost in tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...adapter.framework.tracing import note_taken
from ...workflows.messages import Calls, TokenCounts
from ...workflows.usage import add_calls

_MOST_TOKENS = 2**53


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

    @classmethod
    def of_counts(cls, counts: TokenCounts) -> Tokens:
        """Return what `as_counts` gave."""
        return cls(_count(counts.input), _count(counts.output), _count(counts.total))

    def as_list(self) -> list[int]:
        """Return the three numbers."""
        return [self.input, self.output, self.total]

    def as_counts(self) -> TokenCounts:
        """Return them as messages carry them."""
        return TokenCounts(input=self.input, output=self.output, total=self.total)

    def __add__(self, other: Tokens) -> Tokens:
        """Return the sum."""
        return Tokens(self.input + other.input, self.output + other.output, self.total + other.total)


class Tally:
    """Counts of one attempt, and the tokens of its superstep."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        """By kind: made in this attempt; executors that ran are none."""
        self.taken: Counter[str] = Counter()
        """By kind: taken from the journal in this attempt."""
        self.tokens: dict[str, Tokens] = {}
        """By executor: of this attempt and those before."""
        self.spent: Tokens = Tokens()
        """In this attempt."""
        self.dropped: int = 0
        """Entries that the journal had no room for."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.calls or self.taken or self.tokens or self.dropped)

    def made(self, kind: str, executor_id: str | None, tokens: Tokens | None) -> None:
        """Count something that was done."""
        if kind != "executor":  # It is no call, and its events tell of it.
            self.calls[kind] += 1
        if tokens is not None:
            self.spent += tokens
        self.known(executor_id, tokens)

    def add(self, calls: Calls) -> None:
        """Count what was called elsewhere, with what was spent there."""
        self.calls.update({kind: _count(number) for kind, number in calls.made.items()})
        self.taken.update({kind: _count(number) for kind, number in calls.taken.items()})
        for executor_id, counts in calls.tokens.items():
            tokens = Tokens.of_counts(counts)
            self.spent += tokens
            self.known(executor_id, tokens)
        self.dropped += _count(calls.dropped)

    def took(self, kind: str) -> None:
        """Count something that was taken from the journal; the current span tells of it, as no call does."""
        note_taken(kind)
        self.taken[kind] += 1

    def known(self, executor_id: str | None, tokens: Tokens | None) -> None:
        """Add the tokens of a call, of whichever attempt."""
        if tokens is not None:
            name = executor_id or ""
            self.tokens[name] = self.tokens.get(name, Tokens()) + tokens

    def resume(self, calls: Calls | None) -> None:
        """Go on from what the attempt before has told with its last heartbeat, which counts those before it, too.

        In place of what entries of the journal tell: it may have dropped some, and of a superstep that is retried after
        it had failed for good those that it begins with are counted already, where it has failed.
        """
        self.tokens = {name: Tokens.of_counts(found) for name, found in calls.tokens.items()} if calls else {}


def calls_of(tally: Tally) -> Calls | None:
    """Return what was counted as it is told to others, bounded; None where nothing was called.

    Where there are more executors than are told apart, those that have spent most are.
    """
    if tally.is_empty:
        return None
    most = sorted(tally.tokens.items(), key=lambda found: -found[1].total)
    calls = add_calls(
        None,
        Calls(
            made=dict(tally.calls),
            taken=dict(tally.taken),
            tokens={name: tokens.as_counts() for name, tokens in most},
            dropped=tally.dropped or None,
        ),
    )
    if calls is not None and tally.spent.total:
        calls.spent = tally.spent.as_counts()
    return calls


def _count(value: Any) -> int:
    return min(value, _MOST_TOKENS) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
