"""Whether a run's history has grown so much that the run should continue as new."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import RawValue

from . import limits
from .messages import RunOptions


class Growth:
    """Looks at the size of the current run's history.

    Args:
        options: With the bounds of a run.
    """

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._first: tuple[int, int] | None = None
        self._signals = 0
        self._signal_bytes = 0

    def is_over(self, supersteps: int) -> bool:
        """Tell whether a run should continue as new at its next superstep."""
        limit = self._options.supersteps_per_run
        return self._is_large() or self._is_signalled() or (limit is not None and supersteps >= limit)

    def signalled(self, arguments: Sequence[RawValue]) -> None:
        """Note a signal, or an update that was accepted, whatever is in it."""
        self._signals += 1
        self._signal_bytes += sum(argument.payload.ByteSize() for argument in arguments)

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
        if self._is_signalled():
            return True
        if self._first is None or not self._is_large():
            return False
        info = workflow.info()
        size, length = self._first
        grown = info.get_current_history_size() - size > limits.MAX_WAITING_BYTES
        return grown or info.get_current_history_length() - length > limits.MAX_WAITING_EVENTS

    def _is_signalled(self) -> bool:
        return self._signals > limits.MAX_SIGNALS or self._signal_bytes > limits.MAX_SIGNAL_BYTES

    def _is_large(self) -> bool:
        info = workflow.info()
        limit = self._options.history_bytes_per_run
        return info.is_continue_as_new_suggested() or info.get_current_history_size() > limit
