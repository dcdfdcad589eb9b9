"""How a turn ends before its run does: the supersteps that one message has begun, up to where nothing is left to do."""

from __future__ import annotations

from .messages import SuperstepFailure, SuperstepInput


class TurnOverError(Exception):
    """A turn is over, and the run goes on with another message.

    Args:
        step: The superstep that was cut off, or has failed for good.
        failure: What it failed with; None where it was cut off.
        is_final: Whether readers were told of the failure as of the run's end.
        refused: Id of the message, where it was refused: then there was no turn.
    """

    def __init__(
        self,
        step: SuperstepInput,
        failure: SuperstepFailure | None = None,
        *,
        is_final: bool = False,
        refused: str | None = None,
    ) -> None:
        super().__init__("The turn is over.")
        self.step = step
        self.failure = failure
        self.is_final = is_final
        self.refused = refused

    @property
    def reason(self) -> str:
        """What the failure says."""
        return "" if self.failure is None else self.failure.message
