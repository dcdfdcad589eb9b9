"""Whether a run's history has grown so much that the run should continue as new."""

from __future__ import annotations

from temporalio import workflow

from ._messages import RunOptions

MAX_WAITING_BYTES = 256 * 1024
MAX_WAITING_EVENTS = 1_000
"""A run with a large history continues as new at a pause when it has grown by one of these since its first."""


class Growth:
    """Looks at the size of the current run's history.

    Args:
        options: With the bounds of a run.
    """

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._first: tuple[int, int] | None = None

    def is_over(self, supersteps: int) -> bool:
        """Tell whether a run should continue as new at its next superstep."""
        limit = self._options.supersteps_per_run
        return self._is_large() or (limit is not None and supersteps >= limit)

    def pause(self) -> None:
        """Note where the run stands at its first pause.

        It must grow from there, or a checkpoint that is large by itself would have the run continue for ever. Only from
        there, not from each pause: a run that is answered again and again grows by a little at each.
        """
        if self._first is None:
            info = workflow.info()
            self._first = (info.get_current_history_size(), info.get_current_history_length())

    def is_flooded(self) -> bool:
        """Tell whether a run that waits should continue as new: answers, or what is none, have made it grow."""
        if self._first is None or not self._is_large():
            return False
        info = workflow.info()
        size, length = self._first
        grown = info.get_current_history_size() - size > MAX_WAITING_BYTES
        return grown or info.get_current_history_length() - length > MAX_WAITING_EVENTS

    def _is_large(self) -> bool:
        info = workflow.info()
        limit = self._options.history_bytes_per_run
        return info.is_continue_as_new_suggested() or info.get_current_history_size() > limit
