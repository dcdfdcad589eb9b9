"""What every value has to keep to, so that whoever reads it can: the one place that says how deep and how long.

Pydantic reads no JSON that is nested more than 200 levels deep, and no integer of more than 4,300 digits (nor does
Python itself make text of one); it writes both. What only the writer takes would be in history for good, and every
reader of it would fail. So values from outside are held to these limits where they arrive, what people read of an event
is made to keep to them, and what was written before they were held to is read around.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import from_json, to_json

MAX_DEPTH = 180
"""Levels of a value's lists and objects."""
MAX_DIGITS = 4_300
"""Of an integer."""
TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep"
TOO_LONG = f"it holds an integer of more than {MAX_DIGITS:,} digits"
NO_UNICODE = "it holds text that is no Unicode"
LIMITS = (TOO_DEEP, TOO_LONG, NO_UNICODE)
MAX_ID = 512
"""Characters of a request's id, a responder's name, a type's: they are repeated wherever a request is told of."""
_READER_DEPTH = 200
_AROUND = _READER_DEPTH - MAX_DEPTH
"""Levels that our messages may put around a value."""
_TOKENS = re.compile(
    rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]|(?<![\d.eE+-])-?\d{%d,}(?:\.\d+)?(?:[eE][+-]?\d+)?' % (MAX_DIGITS + 1),
    re.DOTALL,
)
_LONE_SURROGATE = re.compile(
    rb"(?<!\\)((?:\\\\)*)"  # An escaped backslash is no escape.
    rb"(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def flaw(text: bytes, *, around: int = 0) -> str | None:
    """Say what keeps a value from being read inside our messages, by reading it with the readers' own code.

    Args:
        text: The value as JSON.
        around: Levels in `text` that are around the value already.

    Returns:
        What is wrong with it, as a clause; None for a value that can be read.
    """
    levels = _AROUND - around
    try:
        from_json(b"[" * levels + text + b"]" * levels)
    except ValueError as error:
        return words_for(str(error))
    return None


def flaw_of(value: Any) -> str | None:
    """Return the `flaw` of JSON data."""
    if value is None or isinstance(value, bool | float):
        return None
    try:
        return flaw(to_json(value))
    except ValueError as error:  # Deeper than even the writer goes, or a text that is no Unicode.
        return words_for(str(error))


def words_for(error: str) -> str:
    """Return what a reader or writer of JSON says is wrong with a value, as a clause for people."""
    if "recursion" in error or "depth exceeded" in error:
        return TOO_DEEP
    if "out of range" in error or "integer string conversion" in error:
        return TOO_LONG
    if "surrogate" in error or "hex escape" in error:
        return NO_UNICODE
    return clean_text(error)


def legible(text: bytes) -> bytes:
    """Return JSON that can be read, with words in place of what cannot: for what has been written already.

    Args:
        text: JSON, however deep and with whatever integers.
    """
    pieces: list[bytes] = []
    depth = done = cut = 0
    for found in _TOKENS.finditer(text):
        token = found.group()
        if token in b"[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                pieces.append(text[done : found.start()])
                cut = found.start()
        elif token in b"]}":
            if depth == MAX_DEPTH + 1:
                done = found.end()
                pieces.append(f'"({done - cut:,} bytes, nested more than {MAX_DEPTH} levels deep)"'.encode())
            depth -= 1
        elif depth > MAX_DEPTH:
            continue
        elif not token.startswith(b'"'):
            digits = token.lstrip(b"-")
            if digits.isdigit():
                pieces += [text[done : found.start()], f'"(int of {len(digits):,} digits)"'.encode()]
                done = found.end()
        elif b"\\u" in token:
            pieces += [text[done : found.start()], _LONE_SURROGATE.sub(_replaced, token)]
            done = found.end()
    return b"".join([*pieces, text[done:]])


def _replaced(found: re.Match[bytes]) -> bytes:
    backslashes, pair = found.groups()
    return bytes(backslashes) + (pair or rb"\ufffd")


def clean_text(text: str) -> str:
    """Return text that is Unicode, with `?` for each lone surrogate."""
    return text.encode("utf-8", "replace").decode()
