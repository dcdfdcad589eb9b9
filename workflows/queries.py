"""Arguments of queries: checked by us, so that whoever asks is told in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio.exceptions import ApplicationError

INVALID_QUERY = "InvalidQuery"
"""Type of the error."""
_MOST = 2**63 - 1


def integers(name: str, arguments: Sequence[Any], **defaults: int) -> list[int]:
    """Return the arguments of a query that takes whole numbers, or nothing.

    Args:
        name: Of the query.
        arguments: As they were decoded, without a type.
        defaults: Of its parameters, by name.

    Raises:
        ApplicationError: Saying what it takes.
    """
    takes = ", ".join(f"`{key}` ({value})" for key, value in defaults.items()) or "no arguments"
    if len(arguments) > len(defaults):
        raise _refusal(f"Query `{name}` takes {takes}; it was given {len(arguments)} arguments.")
    found = list(defaults.values())
    for index, (key, argument) in enumerate(zip(defaults, arguments, strict=False)):
        if isinstance(argument, bool) or not isinstance(argument, int) or not -_MOST <= argument <= _MOST:
            kind = "one beyond 64 bits" if type(argument) is int else type(argument).__name__
            raise _refusal(f"Query `{name}` takes {takes}, whole numbers; `{key}` was given as {kind}.")
        found[index] = argument
    return found


def _refusal(message: str) -> ApplicationError:
    return ApplicationError(message, type=INVALID_QUERY, non_retryable=True)
