"""When a run that is pinned to a worker deployment version asks whether it may move to the one that is current."""

from __future__ import annotations

from temporalio import workflow

from . import limits


class Upgrade:
    """Remembers what was answered."""

    def __init__(self) -> None:
        self._refused_at: int | None = None

    def is_wanted(self, supersteps: int) -> bool:
        """Tell whether to ask.

        Args:
            supersteps: Of the run so far.
        """
        if not workflow.info().is_target_worker_deployment_version_changed():
            return False
        return self._refused_at is None or supersteps - self._refused_at >= limits.ASK_AGAIN_AFTER

    def refuse(self, supersteps: int) -> None:
        """Do not ask for a while."""
        self._refused_at = supersteps

    @staticmethod
    def deployment() -> str | None:
        """Return the name of the deployment the run is on."""
        version = workflow.info().get_current_deployment_version()
        return version.deployment_name if version is not None else None
