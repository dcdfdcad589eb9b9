"""Errors as problem+json (RFC 9457): one table says what each error of ours is to a caller of the API."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field
from temporalio.service import RPCError, RPCStatusCode

from .. import errors
from ..logging import data_logger

_LOGGER = data_logger("agent_framework_temporal")
MEDIA_TYPE = "application/problem+json"
_URN = "urn:agent-framework-temporal:problem:"

STATUS: Mapping[type[Exception], int] = {
    errors.ThreadNotFoundError: 404,
    errors.CheckpointNotFoundError: 404,
    errors.ThreadExistsError: 409,
    errors.StaleCheckpointError: 409,
    errors.AlreadyRunningError: 409,
    errors.ThreadPausedError: 409,
    errors.QueueFullError: 429,
    errors.PendingRequestsError: 409,
    errors.GraphChangedError: 409,
    errors.CodeChangedError: 409,
    errors.HistoryReadOnlyError: 409,
    errors.SearchAttributesError: 409,
    errors.InDoubtError: 409,
    errors.NotJournalledError: 409,
    errors.PlacementError: 409,
    errors.PayloadError: 422,
    errors.MessageRefusedError: 422,
    errors.StartRefusedError: 422,
    errors.EditRefusedError: 422,
    errors.NotSealedError: 424,
    errors.CheckpointCorruptedError: 500,
    errors.HostingError: 500,
    errors.NewerReleaseError: 501,
    errors.ServerUnreachableError: 503,
    errors.ServerBusyError: 503,
    errors.NoWorkerError: 503,
    errors.WorkflowNotHostedError: 503,
    errors.RunFailedError: 409,
    errors.RequestExpiredError: 409,
    errors.WorkerLostError: 409,
    errors.RunCancelledError: 409,
    errors.RunInterruptedError: 409,
    errors.RunTerminatedError: 409,
    errors.RunTimedOutError: 409,
    errors.DurableWorkflowError: 502,
}
"""By class; of another class that of its nearest base."""
_COME_AGAIN = frozenset({429, 503})


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    type: str = Field(description="Names the kind of problem, for programs; it never changes.")
    title: str = Field(description="The kind of problem, for people.")
    status: int
    detail: str = Field(description="What went wrong this time, and what to do next.")
    errors: list[str] | None = Field(default=None, description="The places that are wrong, each with its reason.")
    verdict: str | None = Field(default=None, description="`rejected`, for a response that does not fit.")


class ProblemError(Exception):
    """A request that gets a problem for its answer.

    Args:
        status: HTTP status.
        kind: Name of the kind, in words joined by hyphens.
        detail: What went wrong, and what to do next.
        errors: The places that are wrong.
        verdict: See `Problem.verdict`.
        headers: More headers of the answer.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        errors: Sequence[str] = (),
        verdict: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        again = {"Retry-After": "1"} if status in _COME_AGAIN else {}
        self.headers: dict[str, str] = {**again, **(headers or {})}
        self.problem: Problem = Problem(
            type=_URN + kind,
            title=kind.replace("-", " ").capitalize(),
            status=status,
            detail=detail,
            errors=list(errors) or None,
            verdict=verdict,
        )


def problem_of(error: Exception) -> ProblemError:
    """Return the problem that an error is to the caller; one that nobody foresaw is logged, and told as no more."""
    if isinstance(error, ProblemError):
        return error
    known = next((cls for cls in type(error).__mro__ if cls in STATUS), None)
    if known is not None:
        status = STATUS[known]
        cause = error.__cause__
        if known is errors.DurableWorkflowError and isinstance(cause, RPCError):
            status = 400 if cause.status == RPCStatusCode.INVALID_ARGUMENT else status
        places = error.problems if isinstance(error, errors.EditRefusedError) else ()
        return ProblemError(status, _kind(known), str(error), errors=places)
    # Misuse of `run`, in the framework's words.
    if isinstance(error, ValueError):
        return ProblemError(422, "not-taken", str(error))
    if type(error) is RuntimeError:
        return ProblemError(409, "not-now", str(error))
    _LOGGER.error("A request to the HTTP API failed", exc_info=error)
    return ProblemError(500, "internal", "The service failed; see its log.")


def _kind(cls: type[Exception]) -> str:
    name = cls.__name__.removesuffix("Error")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def documented() -> dict[int | str, dict[str, Any]]:
    """Return what each operation may answer with instead, for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {"content": {MEDIA_TYPE: {"schema": schema}}}
    return {
        "4XX": {"description": "The request cannot be carried out as it is.", **content},
        "5XX": {"description": "Temporal, a worker or the service is at fault; try again later.", **content},
    }
