"""Which activities come first where many wait for workers: the priority of a run, and of a message from its turn on."""

from __future__ import annotations

from temporalio.common import Priority

from .messages import MessageUpdate, RunOptions

_NAMES = ("priority", "fairness_key", "fairness_weight")


def priority_of(options: RunOptions) -> Priority:
    """Return what the server is told of a run, or of an activity of it."""
    return Priority(
        priority_key=options.priority,
        fairness_key=options.fairness_key,
        fairness_weight=options.fairness_weight,
    )


class RunPriority:
    """The priority of a run.

    Args:
        options: Of the run; a message's is written there, so that the run it continues as has it too.
    """

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._before = self._said()

    def take(self, message: MessageUpdate) -> None:
        """Go by what a message says whose turn begins; what it leaves out stays."""
        self._before = self._said()
        for name in _NAMES:
            said = getattr(message, name)
            if said is not None:
                setattr(self._options, name, said)

    def refuse(self) -> None:
        """Go by what held before the last message, which was refused."""
        for name, said in self._before.items():
            setattr(self._options, name, said)

    def _said(self) -> dict[str, int | float | str | None]:
        return {name: getattr(self._options, name) for name in _NAMES}
