"""Which executors a worker runs, and how a factory learns of it, so that it builds only what they need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase

from ...workflows.exported import exported
from ..errors import HostingError


class ExecutorSelection:
    """The executors that a worker runs.

    Args:
        patterns: Ids, or patterns of them such as `gpu-*`; one with `!` before it takes out what the others take, or
            of all executors where there are no others. None at all take all.

    Raises:
        HostingError: When they are no texts.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        if isinstance(patterns, str) or not all(
            isinstance(pattern, str) and pattern.strip("!") for pattern in patterns
        ):
            raise HostingError(f"`executors` must be a list of executor ids or patterns, got {patterns!r}.")
        self.patterns: tuple[str, ...] = tuple(patterns)
        self._out = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
        self._taken = [pattern for pattern in patterns if not pattern.startswith("!")] or ["*"]

    def takes(self, executor_id: str) -> bool:
        """Tell whether it runs an executor."""
        return _matches(executor_id, self._taken) and not _matches(executor_id, self._out)

    @contextmanager
    def building(self) -> Iterator[None]:
        """Let the factories that the body calls ask `takes_executor`."""
        token = _selection.set(self)
        try:
            yield
        finally:
            _selection.reset(token)


def _matches(executor_id: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(executor_id, pattern) for pattern in patterns)


_selection: ContextVar[ExecutorSelection | None] = ContextVar("agent_framework_temporal_executors", default=None)


@exported
def takes_executor(executor_id: str) -> bool:
    """Tell a factory whether the worker that calls it runs an executor, so that it builds only what that needs.

    The graph stays the same everywhere: a factory builds each executor, and loads what is heavy, a model or a driver,
    for those that run here (`model=load() if takes_executor("gpu-model") else None`). What an executor saves with
    `on_checkpoint_save` it must save and restore without that, too, as the superstep's worker keeps its state. No round
    trip.

    Args:
        executor_id: The executor's id.

    Returns:
        True everywhere but on a worker with `executors` of which none fits: in process, and at clients.
    """
    selection = _selection.get()
    return selection is None or selection.takes(executor_id)
