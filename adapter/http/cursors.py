"""Cursors: where the next page begins, as a text that a caller sends back as it came."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from .problems import ProblemError


def as_cursor(*parts: str | int) -> str:
    """Return a cursor of some parts."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def read_cursor(text: str, *kinds: type[Any]) -> list[Any]:
    """Read a cursor back, whose parts are of these classes.

    Raises:
        ProblemError: When it is another one, or none.
    """
    try:
        found = json.loads(base64.urlsafe_b64decode(text.encode("ascii")))
    except (ValueError, binascii.Error, RecursionError):
        found = None
    if not isinstance(found, list) or [type(part) for part in found] != list(kinds):
        raise ProblemError(400, "bad-cursor", "This is not a valid cursor: send the `next` of the previous page unchanged.")
    return found
