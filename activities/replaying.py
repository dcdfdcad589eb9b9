"""A superstep of a recorded thread once more, in this process: the same activity, and nothing of it leaves.

No heartbeat is sent, no mirror takes a checkpoint, no time limit ends it while somebody looks at it in a debugger. What
was called when it was recorded is taken from its journal; what is not there is not called, unless that is allowed.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass

from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from ..adapter.advice import Advice, Step, Way
from ..adapter.checkpoints.recorded import RecordedSuperstep
from ..adapter.errors import (
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    GraphChangedError,
    NewerReleaseError,
    NotJournalledError,
    StartRefusedError,
)
from ..adapter.framework.catalog import TypeCatalog
from ..adapter.framework.definition import WorkflowDefinition
from ..adapter.framework.error_data import original_of
from ..adapter.temporal.client import framed_client
from ..adapter.temporal.converter import FramedPayloadConverter, stores_outside
from ..workflows.messages import (
    SUPERSTEP_ACTIVITY,
    WORKFLOW_TYPE,
    Calls,
    SuperstepFailure,
    SuperstepInput,
    SuperstepResult,
    ToolRule,
)
from .cache import CheckpointCache
from .capturing_storage import CapturingStorage
from .containment import tasks_contained
from .executor_rules import ExecutorTimeouts
from .framework_run import SuperstepError
from .heartbeat import Beat
from .journal.journal import Journal, Kind
from .journal.rules import JournalRules
from .journal.tally import calls_of
from .live_events import LiveEvents
from .mirrors import Mirrors
from .superstep import SuperstepActivity
from .warm import WarmInstances

_CANNOT_BEGIN = (
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    GraphChangedError,
    NewerReleaseError,
    StartRefusedError,
)
"""What says that the superstep has not run at all."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """What has come of a superstep this time."""

    outcome: SuperstepResult | SuperstepFailure
    error: BaseException | None
    """What an executor has raised, with its traceback."""
    calls: Calls | None
    """What was called, and what was taken from the journal."""


async def rerun_superstep(
    client: Client,
    hosted: WorkflowDefinition,
    recorded: RecordedSuperstep,
    *,
    live: bool = False,
    tools: Collection[str] = (),
) -> Rerun:
    """Run a recorded superstep again.

    Args:
        client: Reads the checkpoint that the superstep begins with.
        hosted: The workflow.
        recorded: The superstep.
        live: Whether models and tools are called where the journal has nothing.
        tools: Tools that run again whatever the journal has.

    Raises:
        NotJournalledError: When something would be called that the journal does not have.
        GraphChangedError: When the workflow is another by now.
        CheckpointNotFoundError: When the checkpoint it begins with is not there (any more).
    """
    client = framed_client(client)
    replayed = _ReplayedActivity(client, hosted, recorded.journal, live=live, tools=tools)
    environment = ActivityEnvironment(client)
    environment.payload_converter = converter = FramedPayloadConverter()
    environment.info = dataclasses.replace(
        environment.info,
        activity_id=recorded.activity_id,
        activity_type=SUPERSTEP_ACTIVITY,
        attempt=recorded.attempt,
        namespace=client.namespace,
        workflow_id=recorded.thread_id,
        workflow_namespace=client.namespace,
        workflow_run_id=recorded.run_id,
        workflow_type=WORKFLOW_TYPE,
    )
    (given,) = converter.to_payloads([_unhindered(recorded.step, tools)])
    outcome: SuperstepResult | SuperstepFailure
    error: BaseException | None = None
    try:
        with tasks_contained():
            outcome = await environment.run(replayed.superstep, RawValue(given))
    except ApplicationError as failed:
        error = failed.__context__
        if isinstance(error, SuperstepError):
            error = error.error
        if isinstance(error, _CANNOT_BEGIN):
            raise error from None
        outcome = next((found for found in failed.details if isinstance(found, SuperstepFailure)), SuperstepFailure())
    finally:
        if replayed.not_journalled:
            # Whatever user code, or a model that is told of it, has made of that.
            raise replayed.not_journalled[0]
    return Rerun(outcome, None if error is None else original_of(error), replayed.calls)


def _unhindered(step: SuperstepInput, tools: Collection[str]) -> SuperstepInput:
    """Return the input of a superstep without what would end it, or take something of it elsewhere."""
    rules = {
        name: rule.model_copy(update={"timeout": None, "idle_timeout": None, "task_queue": None})
        for name, rule in (step.executors or {}).items()
    }
    changed = dict(step.tools or {})
    changed.update((name, (changed.get(name) or ToolRule()).model_copy(update={"journal": False})) for name in tools)
    return step.model_copy(
        update={
            "executors": rules or None,
            "tools": changed or None,
            "timeout": None,
            "idle_timeout": None,
            "burst": None,
            "begun": None,
            "begun_in": None,
            "mirror": None,
            "own_storage": True,  # Then the storage that the workflow was built with takes nothing.
            "keep_journal": None,
        }
    )


class _ReplayedActivity(SuperstepActivity):
    def __init__(
        self,
        client: Client,
        hosted: WorkflowDefinition,
        journal: Sequence[bytes],
        *,
        live: bool,
        tools: Collection[str],
    ) -> None:
        super().__init__({hosted.name: hosted}, CheckpointCache(0), WarmInstances(0), Mirrors({}))
        self._framed = client
        self._parts = journal
        self._live = live
        self._tools = tools
        self._journal: _ReplayedJournal | None = None

    @property
    def not_journalled(self) -> list[NotJournalledError]:
        return self._journal.refused if self._journal is not None else []

    @property
    def calls(self) -> Calls | None:
        return calls_of(self._journal.tally) if self._journal is not None else None

    def journal(self, catalog: TypeCatalog, rules: JournalRules) -> Journal:
        self._journal = _ReplayedJournal(catalog, rules, self._parts, live=self._live, tools=self._tools)
        return self._journal

    def _beat(self, step: SuperstepInput, timeouts: ExecutorTimeouts) -> Beat:
        return _SilentBeat(self._framed, step, timeouts, self)

    async def _guard(
        self, result: SuperstepResult, hosted: WorkflowDefinition, capture: CapturingStorage, client: Client
    ) -> None:
        if not stores_outside(client.data_converter):  # Else it would be stored there.
            await super()._guard(result, hosted, capture, client)


class _SilentBeat(Beat):
    """Says nothing to anybody: the superstep that it would speak of is not the server's."""

    def __init__(
        self, client: Client, step: SuperstepInput, timeouts: ExecutorTimeouts, activity: _ReplayedActivity
    ) -> None:
        super().__init__(client, step, timeouts, None)
        self.losses = self.failures = 0
        self._activity = activity

    async def begin(self) -> None:
        """See base class."""

    async def open_journal(self, catalog: TypeCatalog, step: SuperstepInput, left: bytes = b"") -> Journal | None:
        """See base class."""
        self._journal = self._activity.journal(catalog, JournalRules(step))
        return self._journal

    async def write(self) -> None:
        """See base class."""

    def write_soon(self) -> None:
        """See base class."""

    def tell(self, live: LiveEvents) -> LiveEvents:
        """See base class."""
        return live

    @contextlib.asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """See base class."""
        yield


class _ReplayedJournal(Journal):
    """A journal that calls are taken from, and not executors: these are what somebody wants to look at."""

    def __init__(
        self, catalog: TypeCatalog, rules: JournalRules, parts: Sequence[bytes], *, live: bool, tools: Collection[str]
    ) -> None:
        super().__init__(catalog, _Nowhere(), rules, parts)
        self._live = live
        self._tools = tools
        self.refused: list[NotJournalledError] = []
        for found in (self._finished, self._begun):
            for place in [place for place in found if place[0] in ("executor", "step")]:
                del found[place]

    def will_do(self, kind: Kind, name: str) -> None:
        """See base class.

        Raises:
            NotJournalledError: When it is not allowed.
        """
        if self._live or (kind == "tool" and name in self._tools):
            return
        what = {"chat": f"Model {name!r}", "tool": f"Tool {name!r}"}.get(kind, f"What `once` keeps as {name!r}")
        error = NotJournalledError(
            Advice(
                f"{what} would be called, because the superstep's journal does not have this call. A committed "
                "superstep keeps its journal only if the run was started with ",
                Step(Way.KEEP_JOURNAL),
                "; a failed or running one always has it. Changed code may also make calls that were not made then. "
                "Allow real calls with ",
                Step(Way.ALLOW_CALLS),
                ".",
            )
        )
        self.refused.append(error)
        raise error


class _Nowhere:
    async def write(self) -> None:
        pass

    def write_soon(self) -> None:
        pass
