"""Exit codes of the commands: one table for all of them."""

from __future__ import annotations

from temporalio.exceptions import TemporalError
from temporalio.service import RPCError

from ..errors import (
    AlreadyRunningError,
    CheckpointNotFoundError,
    DurableWorkflowError,
    EditRefusedError,
    GraphChangedError,
    HostingError,
    NoWorkerError,
    PayloadError,
    PendingRequestsError,
    PlacementError,
    ServerBusyError,
    ServerUnreachableError,
    StaleCheckpointError,
    ThreadExistsError,
    ThreadNotFoundError,
    WorkflowNotHostedError,
)

FAILED = 1
BAD_USAGE = 2
BAD_IMPORT = 3
NO_SERVER = 4
NOT_HOSTABLE = 5
NO_WORKER = 6
NOT_FOUND = 7
REFUSED = 8
INTERRUPTED = 130


class UsageError(Exception):
    """A flag or the connection profile is wrong."""


class BadReferenceError(Exception):
    """A `module:attr` names nothing that can be imported, or neither a workflow nor a factory of one."""


class NotFoundError(Exception):
    """What a command names is not there."""


class RefusedError(Exception):
    """The thread does not take what a command gives it."""


_CODES: tuple[tuple[int, tuple[type[Exception], ...]], ...] = (
    (BAD_USAGE, (UsageError,)),
    (BAD_IMPORT, (BadReferenceError,)),
    (NO_SERVER, (ServerUnreachableError, ServerBusyError)),
    (NOT_HOSTABLE, (HostingError, PlacementError)),
    (NO_WORKER, (NoWorkerError, WorkflowNotHostedError)),
    (NOT_FOUND, (NotFoundError, ThreadNotFoundError, CheckpointNotFoundError)),
    (
        REFUSED,
        (
            RefusedError,
            AlreadyRunningError,
            PendingRequestsError,
            StaleCheckpointError,
            ThreadExistsError,
            EditRefusedError,
            GraphChangedError,
            PayloadError,
        ),
    ),
)
EXPECTED = (DurableWorkflowError, TemporalError, RPCError, *(kind for _, kinds in _CODES for kind in kinds))
"""Errors whose text says all there is to say."""


def exit_code_of(error: Exception) -> int:
    """Return the exit code of a command that ends with `error`."""
    return next((code for code, kinds in _CODES if isinstance(error, kinds)), FAILED)
