"""Seeded text that does not compress well, so that sizes say something about real state."""

from __future__ import annotations

import random


def hex_text(size: int, seed: int) -> str:
    """Return `size` characters of hexadecimal words: half its size is the least any compressor can do."""
    digits = random.Random(seed).randbytes(size // 2 + 1).hex()
    return " ".join(digits[start : start + 7] for start in range(0, size, 7))[:size]


_RANDOM = random.Random(20261125)
_WORDS = ["".join(_RANDOM.choices("abcdefghijklmnopqrstuvwxyz", k=_RANDOM.randint(2, 11))) for _ in range(8_000)]


def words_text(size: int, seed: int) -> str:
    """Return `size` characters of random words of a vocabulary of 8,000, and a number now and then: like prose."""
    chosen = random.Random(seed)
    words: list[str] = []
    length = 0
    while length <= size:
        word = str(chosen.randrange(10_000)) if chosen.random() < 0.05 else chosen.choice(_WORDS)
        words.append(word)
        length += len(word) + 1
    return " ".join(words)[:size]
