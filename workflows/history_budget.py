"""Whether a run's history has grown so much that the run should continue as new."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from . import limits
from .messages import RunOptions


class HistoryBudget:
    """Looks at the size of the current run's history.

    Args:
        options: With the bounds of a run.
    """

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._first: tuple[int, int] | None = None
        self._signals = 0
        self._signal_bytes = 0
        self._task = -1
        self._signals_of_task = 0
        self._exhausted = False

    def is_over(self, supersteps: int) -> bool:
        """Tell whether a run should continue as new at its next superstep."""
        limit = self._options.supersteps_per_run
        over = self._is_large() or self._is_signalled() or (limit is not None and supersteps >= limit)
        return over and self._is_calm()

    def signalled(self, count: int, size: int) -> None:
        """Note signals, or an update that was accepted, whatever is in them.

        Args:
            count: How many they are.
            size: What they take, in bytes.
        """
        self._signals += count
        self._signal_bytes += size
        task = workflow.info().get_current_history_length()  # It names the workflow task, in a replay too.
        if task != self._task:
            self._task, self._signals_of_task = task, 0
        self._signals_of_task += count

    def exhausted(self) -> None:
        """Note that the run takes no more of something until it continues as new."""
        self._exhausted = True

    def pause(self) -> None:
        """Note where the run stands at its first pause.

        It must grow from there, or a checkpoint that is large by itself would have the run continue for ever. Only from
        there, not from each pause: a run that is answered again and again grows by a little at each.
        """
        if self._first is None:
            info = workflow.info()
            self._first = (info.get_current_history_size(), info.get_current_history_length())

    def is_over_budget(self) -> bool:
        """Tell whether a run that waits should continue as new: answers, or what is none, have made it grow."""
        return self._has_grown() and self._is_calm()

    @property
    def look_again(self) -> timedelta | None:
        """When to ask `is_over_budget` once more, if nothing else comes: in a lull no signal wakes the run."""
        return limits.LULL if self._has_grown() else None

    def _has_grown(self) -> bool:
        if self._is_signalled():
            return True
        if self._first is None or not self._is_large():
            return False
        info = workflow.info()
        size, length = self._first
        grown = info.get_current_history_size() - size > limits.MAX_WAITING_BYTES
        return grown or info.get_current_history_length() - length > limits.MAX_WAITING_EVENTS

    def _is_calm(self) -> bool:
        return (
            self._task != workflow.info().get_current_history_length() or self._signals_of_task <= limits.CALM_SIGNALS
        )

    def _is_signalled(self) -> bool:
        return self._exhausted or self._signals > limits.MAX_SIGNALS or self._signal_bytes > limits.MAX_SIGNALS_BYTES

    def _is_large(self) -> bool:
        info = workflow.info()
        limit = self._options.history_bytes_per_run
        return info.is_continue_as_new_suggested() or info.get_current_history_size() > limit
