"""Checkpoints that a superstep passes on its way to its last, as small as they are in its frame."""

from __future__ import annotations

from ..adapter.checkpoints.frames import Frame, digest, patch
from ..adapter.encoding.document import max_checkpoint_bytes
from ..workflows.messages import BetweenFacts

MOST, MOST_BYTES = 1_000, 32 * 1024 * 1024
"""How many of the newest are kept, and the sum of their sizes as text: who reads them takes as much memory."""


class PassedCheckpoints:
    """The newest checkpoints of a superstep before its last.

    Each holds what those before it do, and more: as texts, many of them would take the square of what the last does.
    """

    def __init__(self) -> None:
        self.facts: list[BetweenFacts] = []
        """Oldest first."""
        self.patches: list[bytes] = []
        """As `Frame.between`."""
        self.has_gap: bool = False
        """Whether the oldest follows one that was let go."""
        self.origin: str | None = None
        """What the first of all has followed."""
        self._added = False

    def add(self, facts: BetweenFacts, raw: bytes, following: bytes) -> None:
        """Add a checkpoint that was passed.

        Args:
            facts: What is told of it.
            raw: Its text.
            following: The text of the one that has followed.
        """
        if not self._added:
            self._added, self.origin = True, facts.previous_checkpoint_id
        facts.previous_checkpoint_id = None if self.facts else facts.previous_checkpoint_id
        self.facts.append(facts)
        self.patches.append(patch(raw, following))
        self.keep(MOST)

    def drop_newest(self) -> None:
        """Take the newest back."""
        self.facts.pop()
        self.patches.pop()
        self._added = bool(self.facts)

    @property
    def size(self) -> int:
        """Bytes of the texts of all of them."""
        return sum(facts.size_bytes for facts in self.facts)

    def keep(self, most: int) -> None:
        """Let go of the oldest until `most` are left at most, and `MOST_BYTES` of them."""
        most_bytes = min(MOST_BYTES, max_checkpoint_bytes())
        size = sum(facts.size_bytes for facts in self.facts)
        while self.facts and (len(self.facts) > most or size > most_bytes):
            size -= self.facts.pop(0).size_bytes
            self.patches.pop(0)
            self.has_gap = True

    def oldest(self, last: bytes) -> bytes:
        """Return the text of the oldest, which is `last`, the superstep's last, where none is left before it."""
        return [*Frame(checkpoint=last, payloads=b"", between=tuple(self.patches)).passed(), last][0]

    def close_gap(self, raw: bytes, last: bytes) -> None:
        """Put `raw`, which follows the origin, in the place of the oldest."""
        following = [*Frame(checkpoint=last, payloads=b"", between=tuple(self.patches)).passed(), last][1]
        self.patches[0] = patch(raw, following)
        changes = {
            "previous_checkpoint_id": self.origin,
            "digest": digest(raw),
            "size_bytes": len(raw),
        }
        self.facts[0] = self.facts[0].model_copy(update=changes)
        self.has_gap = False
