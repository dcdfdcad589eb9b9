"""The errors a caller can get, one class for each decision that a caller may have to make.

    DurableWorkflowError (the framework's WorkflowException)
    ├── HostingError                a workflow cannot be hosted; nothing was started
    ├── PayloadError                a value cannot be sent; nothing was started   (also a TypeError)
    │   └── MessageRefusedError     a queued message was withdrawn, or does not fit the start executor
    ├── ServerUnreachableError      no Temporal server answers, or it rejects this client
    ├── ServerBusyError             the server rejects calls for now: a rate limit
    ├── NoWorkerError               no worker polls the task queue
    ├── PlacementError              an executor cannot run where its policy says
    ├── WorkflowNotHostedError      the worker does not host this workflow
    ├── ThreadNotFoundError         no such thread, or another workflow's
    ├── ThreadExistsError           the thread has already started
    ├── CheckpointNotFoundError     no such checkpoint, another workflow's, or past retention
    ├── CheckpointCorruptedError    a checkpoint does not match its digest
    ├── NotSealedError              a checkpoint, result or input that no known key has sealed   (also a ValueError)
    ├── StartRefusedError           a run's input is not allowed; nothing was run   (also a ValueError)
    ├── EditRefusedError            an edited checkpoint does not fit; nothing was started (also a ValueError)
    ├── HistoryReadOnlyError        a checkpoint cannot be saved to or deleted from history  (also NotImplementedError)
    ├── StaleCheckpointError        another caller has advanced this thread
    ├── AlreadyRunningError         this thread is running
    │   ├── QueueFullError          its queue of messages is full
    │   └── ThreadPausedError       an operator has paused it
    ├── PendingRequestsError        this thread waits for responses
    ├── GraphChangedError           the checkpoint was made by a different graph
    │   └── CodeChangedError        by another version of a functional workflow's code  (also a ValueError)
    ├── InDoubtError                a call had started; whether it completed is unknown
    ├── NotJournalledError          a replayed superstep would make a call not in its journal
    ├── SearchAttributesError       the namespace does not know our search attributes
    ├── NewerReleaseError           the data was written by a newer release; upgrade
    └── RunFailedError              the run ended in any state other than idle
        ├── RequestExpiredError     nobody answered a request by its deadline
        ├── WorkerLostError         a superstep lost too many workers
        ├── RunCancelledError
        ├── RunInterruptedError     another message interrupted the turn
        ├── RunTerminatedError
        └── RunTimedOutError

An executor's exception reaches the caller with its own type if the caller's process knows that type, otherwise as
RunFailedError. Misuse of `run` raises what the framework raises (ValueError, RuntimeError). Errors about a single
checkpoint are also WorkflowCheckpointException, as the framework's storages raise it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from agent_framework import WorkflowCheckpointException, WorkflowException

from ..workflows.exported import exported
from ..workflows.messages import NewerVersionError
from .advice import Advice


@exported
class DurableWorkflowError(WorkflowException):
    """Base of all errors of this package."""


@exported
class HostingError(DurableWorkflowError):
    """A workflow cannot be hosted by a worker."""


@exported
class PayloadError(DurableWorkflowError, TypeError):
    """A value cannot be sent to or from the worker."""


@exported
class MessageRefusedError(PayloadError):
    """A message from a thread's queue is not run: it was withdrawn, or does not fit any type of the start executor."""


@exported
class ServerUnreachableError(DurableWorkflowError):
    """No Temporal server answers at the client's address, or it rejects this client."""


@exported
class ServerBusyError(DurableWorkflowError):
    """The server rejects calls for now, for example because of a rate limit; nothing was changed."""


@exported
class NoWorkerError(DurableWorkflowError):
    """No worker polls the task queue."""


@exported
class PlacementError(DurableWorkflowError):
    """An executor cannot run on the task queue that its policy names, or on the worker that received it."""


@exported
class WorkflowNotHostedError(DurableWorkflowError):
    """The worker that took the run does not host its workflow."""


@exported
class ThreadNotFoundError(DurableWorkflowError):
    """There is no such thread, or it belongs to another workflow."""


@exported
class ThreadExistsError(DurableWorkflowError):
    """The thread already has runs, so it cannot start from a checkpoint."""


@exported
class CheckpointNotFoundError(DurableWorkflowError, WorkflowCheckpointException):
    """The checkpoint does not exist, belongs to another workflow, or was removed by history retention."""


@exported
class CheckpointCorruptedError(DurableWorkflowError, WorkflowCheckpointException):
    """A checkpoint does not match the digest it was stored with."""


@exported
class HistoryReadOnlyError(DurableWorkflowError, WorkflowCheckpointException, NotImplementedError):
    """Checkpoints are added to Temporal history only by supersteps, and deleted only with their whole run."""


@exported
class NotSealedError(DurableWorkflowError, ValueError):
    """Sealing is on, and a checkpoint, result or input was not sealed for its place by a key this process knows."""

    waits_for_key = False
    """Whether a process with another key could open it; if not, nobody can."""


@exported
class StartRefusedError(DurableWorkflowError, ValueError):
    """A run's input is not allowed, for example names a checkpoint that is not in history. Nothing was run."""


@exported
class EditRefusedError(DurableWorkflowError, ValueError):
    """An edited checkpoint does not fit the types that its workflow declares. Nothing was started."""

    problems: Sequence[str] = ()
    """Each names a place in the checkpoint and what is expected there."""

    @classmethod
    def of(cls, problems: Sequence[str]) -> EditRefusedError:
        """Return the error that names some problems."""
        error = cls(Advice("The edit is refused: ", Advice.lines(problems)))
        error.problems = tuple(problems)
        return error


@exported
class StaleCheckpointError(DurableWorkflowError):
    """Another caller has advanced the thread since this handle was last updated."""


@exported
class AlreadyRunningError(DurableWorkflowError):
    """The thread is running, so it takes no new message."""


@exported
class QueueFullError(AlreadyRunningError):
    """The thread's queue of messages is full, so it takes no more."""


@exported
class ThreadPausedError(AlreadyRunningError):
    """An operator has paused the thread (`temporal workflow pause`), so it takes nothing until it is unpaused."""


@exported
class PendingRequestsError(DurableWorkflowError):
    """The thread waits for responses, so it takes no message (`when_waiting="reject"`) or has nothing to retry."""


@exported
class GraphChangedError(DurableWorkflowError, WorkflowCheckpointException):
    """The checkpoint was made by a graph that differs from the hosted one."""


@exported
class InDoubtError(DurableWorkflowError):
    """A call or an executor had started when its worker was lost, so it is unknown whether it completed."""


@exported
class CodeChangedError(GraphChangedError, ValueError):
    """The checkpoint was made by another version of a functional workflow's code; in process that is a `ValueError`."""


@exported
class SearchAttributesError(DurableWorkflowError):
    """Requested search attributes are not registered in the namespace, or may not be registered by this client."""


@exported
class NewerReleaseError(DurableWorkflowError, NewerVersionError):
    """The data was written by a newer release of this package. Upgrade the process that raises this error."""


@exported
class NotJournalledError(DurableWorkflowError):
    """A superstep replayed for debugging would call a model or a tool, and its journal does not have that call."""


@exported
class RunFailedError(DurableWorkflowError):
    """The run failed with an error that cannot be rebuilt in this process, for example of a type unknown here."""

    error_type: str | None = None
    """Qualified name of its class, where an executor raised it."""
    error_module: str | None = None
    """Module of its class."""
    data: Mapping[str, Any] = MappingProxyType({})
    """Those of its attributes that are plain JSON."""
    errors: Sequence[Any] = ()
    """For a group, its members as exceptions; for a `pydantic.ValidationError`, its `errors()`."""


@exported
class RequestExpiredError(RunFailedError):
    """Nobody answered a request by its deadline; the thread can still continue from its last checkpoint."""


@exported
class WorkerLostError(RunFailedError):
    """Too many workers were lost while running one superstep; the thread can continue from its last checkpoint."""


@exported
class RunCancelledError(RunFailedError):
    """The run was cancelled."""


@exported
class RunInterruptedError(RunFailedError):
    """Another message interrupted the turn (`when_running="interrupt"` or `"rollback"`) and runs in its place."""

    rolled_back: bool = False
    """Whether that message started from where this turn had started, so that this turn's work was discarded."""


@exported
class RunTerminatedError(RunFailedError):
    """The run was terminated."""


@exported
class RunTimedOutError(RunFailedError):
    """The run exceeded its execution timeout."""
