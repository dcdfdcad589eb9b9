"""Checks of what a caller says of a run's priority: what the server refuses would hold up the run for ever."""

from __future__ import annotations

from ...workflows.messages import (
    MAX_FAIRNESS_BYTES,
    MAX_FAIRNESS_WEIGHT,
    MAX_PRIORITY,
    MIN_FAIRNESS_WEIGHT,
    fairness_key_fits,
)


def check_priority(priority: int | None, fairness_key: str | None, fairness_weight: float | None = None) -> None:
    """Refuse a priority that the server does not take.

    Raises:
        ValueError: Saying what it may be.
    """
    if priority is not None and (
        not isinstance(priority, int) or isinstance(priority, bool) or not 1 <= priority <= MAX_PRIORITY
    ):
        raise ValueError(
            f"`priority` must be a whole number from 1, which comes first, to {MAX_PRIORITY:,}, got {priority!r}. By "
            "default a server distinguishes 1 to 5, and 3 is the default."
        )
    if fairness_key is not None:
        try:
            fairness_key_fits(fairness_key)
        except (ValueError, AttributeError) as error:
            raise ValueError(
                f"`fairness_key` must be 1 to {MAX_FAIRNESS_BYTES} bytes of text, such as a tenant's id, got "
                f"{fairness_key!r}. Use a hash of a longer key."
            ) from error
    if fairness_weight is not None and not (
        isinstance(fairness_weight, int | float)
        and not isinstance(fairness_weight, bool)
        and MIN_FAIRNESS_WEIGHT <= fairness_weight <= MAX_FAIRNESS_WEIGHT  # Not a number fails both.
    ):
        raise ValueError(
            f"`fairness_weight` must be a number from {MIN_FAIRNESS_WEIGHT:g} to {MAX_FAIRNESS_WEIGHT:g}, got "
            f"{fairness_weight!r}."
        )
