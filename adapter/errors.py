"""The errors a caller can meet, one class for each question the caller asks.

    DurableWorkflowError (the framework's WorkflowException)
    ├── HostingError                a workflow cannot be hosted; nothing was started
    ├── PayloadError                a value cannot travel; nothing was started   (also a TypeError)
    │   └── MessageRefusedError     a message in the queue was withdrawn, or fits no type of the start executor
    ├── ServerUnreachableError      no Temporal server answers, or it does not let this client in
    ├── ServerBusyError             the server takes no more calls for the moment: a rate limit
    ├── NoWorkerError               no worker polls the task queue
    ├── PlacementError              an executor cannot run where its policy says
    ├── WorkflowNotHostedError      the worker does not host this workflow
    ├── ThreadNotFoundError         no such thread, or another workflow's
    ├── ThreadExistsError           the thread has begun, so it cannot begin from a checkpoint
    ├── CheckpointNotFoundError     no such checkpoint, another workflow's, or past retention
    ├── CheckpointCorruptedError    a checkpoint does not restore to its digest
    ├── NotSealedError              a checkpoint, result or input that no known key has sealed   (also a ValueError)
    ├── StartRefusedError           a run's input says what it may not; nothing was run   (also a ValueError)
    ├── EditRefusedError            an edited checkpoint does not fit the workflow; nothing begun (also a ValueError)
    ├── HistoryReadOnlyError        a checkpoint cannot be saved to or deleted from history  (also NotImplementedError)
    ├── StaleCheckpointError        another caller has moved this thread on
    ├── AlreadyRunningError         this thread is running
    │   ├── QueueFullError          as many messages wait for their turn as it keeps
    │   └── ThreadPausedError       an operator has paused it
    ├── PendingRequestsError        this thread waits for responses
    ├── GraphChangedError           the checkpoint was made by another graph
    │   └── CodeChangedError        by another version of a functional workflow's code  (also a ValueError)
    ├── InDoubtError                a call had begun, and nobody knows whether it has done its work
    ├── NotJournalledError          a superstep replayed here would call what its journal does not have
    ├── SearchAttributesError       the namespace does not know our search attributes
    ├── NewerReleaseError           a newer release has written what is read; nothing is wrong with it
    └── RunFailedError              the run ended otherwise than idle
        ├── RequestExpiredError     nobody answered a request by its deadline
        ├── WorkerLostError         a superstep's worker was lost too often
        ├── RunCancelledError
        ├── RunInterruptedError     another message has cut off the turn
        ├── RunTerminatedError
        └── RunTimedOutError

An exception of an executor reaches the caller as the type the executor raised, where that type is known to the
caller's process; else as RunFailedError. Misuse of `run` raises what the framework raises (ValueError, RuntimeError).
The errors about a single checkpoint are WorkflowCheckpointException too, which the framework's storages raise.
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
    """A value cannot travel to or from the worker."""


@exported
class MessageRefusedError(PayloadError):
    """A message from a thread's queue is not run: it was withdrawn, or fits no type of the start executor."""


@exported
class ServerUnreachableError(DurableWorkflowError):
    """No Temporal server answers at the client's address, or it does not let this client in."""


@exported
class ServerBusyError(DurableWorkflowError):
    """The server takes no more calls for the moment, as for a rate limit; nothing was changed."""


@exported
class NoWorkerError(DurableWorkflowError):
    """No worker polls the task queue."""


@exported
class PlacementError(DurableWorkflowError):
    """An executor cannot run on the task queue that its policy names, or on the worker that was given it."""


@exported
class WorkflowNotHostedError(DurableWorkflowError):
    """The worker that took the run does not host its workflow."""


@exported
class ThreadNotFoundError(DurableWorkflowError):
    """There is no such thread, or it belongs to another workflow."""


@exported
class ThreadExistsError(DurableWorkflowError):
    """The thread has runs already, so it cannot begin from a checkpoint."""


@exported
class CheckpointNotFoundError(DurableWorkflowError, WorkflowCheckpointException):
    """There is no such checkpoint, it is another workflow's, or history retention has removed it."""


@exported
class CheckpointCorruptedError(DurableWorkflowError, WorkflowCheckpointException):
    """A checkpoint does not restore to the digest it was stored with."""


@exported
class HistoryReadOnlyError(DurableWorkflowError, WorkflowCheckpointException, NotImplementedError):
    """Temporal history takes checkpoints from supersteps only, and loses them only with their whole run."""


@exported
class NotSealedError(DurableWorkflowError, ValueError):
    """Sealing is on, and a checkpoint, result or input was not sealed for its place by a key this process knows."""

    waits_for_key = False
    """Whether a process with another key could open it; else nobody ever will."""


@exported
class StartRefusedError(DurableWorkflowError, ValueError):
    """A run's input says what it may not, e.g. names a checkpoint that is not in history: nothing was run."""


@exported
class EditRefusedError(DurableWorkflowError, ValueError):
    """An edited checkpoint does not fit the types that its workflow declares: nothing was started."""

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
    """Another caller has moved the thread on since this thread handle was last updated."""


@exported
class AlreadyRunningError(DurableWorkflowError):
    """The thread is running, so it takes no new message."""


@exported
class QueueFullError(AlreadyRunningError):
    """As many messages wait for their turn in the thread as it keeps, so that it takes no more."""


@exported
class ThreadPausedError(AlreadyRunningError):
    """An operator has paused the thread (`temporal workflow pause`), so it takes nothing until that is over."""


@exported
class PendingRequestsError(DurableWorkflowError):
    """The thread waits for responses, and takes no message (`when_waiting="reject"`), or has nothing to retry."""


@exported
class GraphChangedError(DurableWorkflowError, WorkflowCheckpointException):
    """The checkpoint was made by a graph that differs from the hosted one."""


@exported
class InDoubtError(DurableWorkflowError):
    """A call or an executor had begun when its worker was lost, so that nobody knows whether it has done its work."""


@exported
class CodeChangedError(GraphChangedError, ValueError):
    """The checkpoint was made by another version of a functional workflow's code; in process that is a `ValueError`."""


@exported
class SearchAttributesError(DurableWorkflowError):
    """Search attributes are wanted that the namespace does not know, and may not be registered from here."""


@exported
class NewerReleaseError(DurableWorkflowError, NewerVersionError):
    """A newer release of this package has written what is read here; upgrade the process that is told so."""


@exported
class NotJournalledError(DurableWorkflowError):
    """A superstep that is run again to debug it would call a model or a tool, and its journal has no such call."""


@exported
class RunFailedError(DurableWorkflowError):
    """The run failed with an error that is not rebuilt in this process, for instance as its type is not known here."""

    error_type: str | None = None
    """Qualified name of its class, where an executor raised it."""
    error_module: str | None = None
    """Module of its class."""
    data: Mapping[str, Any] = MappingProxyType({})
    """Its attributes, those that are plain JSON."""
    errors: Sequence[Any] = ()
    """Of a group its members, as exceptions; of a `pydantic.ValidationError` what its `errors()` says."""


@exported
class RequestExpiredError(RunFailedError):
    """Nobody answered a request by its deadline; the thread can still go on from its last checkpoint."""


@exported
class WorkerLostError(RunFailedError):
    """The workers that ran a superstep were lost one after the other; the thread goes on from its last checkpoint."""


@exported
class RunCancelledError(RunFailedError):
    """The run was cancelled."""


@exported
class RunInterruptedError(RunFailedError):
    """Another message has cut off the turn (`when_running="interrupt"` or `"rollback"`); the thread goes on with it."""

    rolled_back: bool = False
    """Whether that message began where this turn had, so that what it had done is no part of the thread any more."""


@exported
class RunTerminatedError(RunFailedError):
    """The run was terminated."""


@exported
class RunTimedOutError(RunFailedError):
    """The run exceeded its execution timeout."""
