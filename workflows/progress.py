"""How far a run is: its last checkpoint, the patches since the last keyframe, where its messages go, its outputs."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from . import limits
from .display import markdown_summary
from .messages import (
    Calls,
    CheckpointFacts,
    CheckpointRef,
    ContinuedRun,
    RunInput,
    RunResult,
    SuperstepFailure,
    SuperstepInput,
    SuperstepOutcome,
    SuperstepResult,
    TurnStart,
    json_bytes,
)
from .usage import add_calls


class TurnMark:
    """Where a turn has begun, so that another message can begin there in its place.

    Args:
        step_fields: The fields of a superstep's input that say what it goes on from.
    """

    def __init__(self, step_fields: dict[str, Any]) -> None:
        self.step_fields = step_fields

    @classmethod
    def of(cls, start: TurnStart) -> TurnMark:
        """Return where a turn has begun in a run before: what begins there is stored whole."""
        return cls(
            {
                "base": start.base,
                "seeded": False,
                "graph_hash": start.graph_hash,
                "keyframe": True,
                "chain_length": 0,
                "chain_bytes": 0,
            }
        )

    def hand_on(self) -> TurnStart:
        """Return it for the run that this one continues as."""
        return TurnStart(base=self.step_fields["base"], graph_hash=self.step_fields["graph_hash"])


class Progress:
    """What supersteps have committed.

    Args:
        run_input: What the run begins from.
    """

    def __init__(self, run_input: RunInput) -> None:
        self.checkpoint: CheckpointRef | None = (
            run_input.base if run_input.base_facts is None else _ref(run_input.base_facts)
        )
        self._seeded = run_input.base_facts is not None
        self.graph_hash: str | None = run_input.graph_hash
        self.superstep: int = 0
        self.executors: list[str] = []
        """Those that the waiting messages may reach."""
        self.supersteps: int = 0
        """Of this run, in contrast to the number of the last one."""
        self.attempts: int = 1
        """Of the last committed superstep."""
        self.calls: Calls | None = None
        """Of all supersteps, those that have failed for good among them."""
        self.outputs: list[Any] = []
        self._outputs_bytes = 0
        self._committed = False
        self._scheduled = 0
        self._chain_length = 0
        self._chain_bytes = 0

    def take_over(self, continued: ContinuedRun) -> None:
        """Take what the run before has handed on."""
        self.superstep = continued.superstep
        self.executors = continued.executors
        self.calls = add_calls(None, continued.calls)
        for output in continued.outputs:
            self.add_output(output)

    def add_output(self, output: Any) -> None:
        """Keep an output for the result, while there is room."""
        size = json_bytes(output)
        if self._outputs_bytes + size <= limits.MAX_OUTPUTS_BYTES:
            self.outputs.append(output)
            self._outputs_bytes += size

    def commit(self, step: SuperstepInput, result: SuperstepResult) -> None:
        """Take over what a superstep has reached."""
        self._count(result)
        facts = result.checkpoint
        if facts is None:
            return
        self.checkpoint = _ref(facts)
        self.graph_hash = facts.graph_hash
        self._committed = True
        self._seeded = False
        if step.mode != "store":
            self.supersteps += 1 + sum(found.kind is None for found in result.between)
        self.superstep = facts.superstep
        if step.mode != "store":
            self.executors = result.next_executors
        self.attempts = result.attempt
        if facts.base_checkpoint_id is None:
            self._chain_length = self._chain_bytes = 0
        else:
            # Of what it went on from, which may be where the turn before had begun.
            self._chain_length = step.chain_length + 1
            self._chain_bytes = step.chain_bytes + facts.frame_bytes

    def enter(self, failure: SuperstepFailure) -> None:
        """Take over the checkpoint that a failed superstep had entered with, if it stored one, and what it cost."""
        self._count(failure)
        if failure.checkpoint is not None:
            self.checkpoint = _ref(failure.checkpoint)
            self._seeded = False
            self.graph_hash = failure.checkpoint.graph_hash

    def _count(self, outcome: SuperstepOutcome) -> None:
        # Of calls that it was handed on in a journal, the superstep that failed has told already.
        self.calls = add_calls(self.calls, outcome.calls)

    @property
    def is_committed(self) -> bool:
        """Whether this run has stored a checkpoint, so that it stands without the history of the run before."""
        return self._committed

    def mark(self) -> TurnMark:
        """Return where the run stands: a turn begins here."""
        return TurnMark(self.step_fields())

    def return_to(self, mark: TurnMark) -> None:
        """Stand where a turn has begun: what was committed since then stays in history, and nothing goes on from it."""
        fields = mark.step_fields
        self.checkpoint, self.graph_hash, self._seeded = fields["base"], fields["graph_hash"], fields["seeded"]
        self._committed = not fields["keyframe"]
        self._chain_length, self._chain_bytes = fields["chain_length"], fields["chain_bytes"]

    def step_fields(self) -> dict[str, Any]:
        """Return the fields of the next superstep's input that say what it goes on from."""
        return {
            "base": self.checkpoint,
            "seeded": self._seeded,
            "graph_hash": self.graph_hash,
            "keyframe": not self._committed,
            "chain_length": self._chain_length,
            "chain_bytes": self._chain_bytes,
        }

    def next_superstep_id(self) -> str:
        """Name a superstep that is about to be scheduled, or scheduled again, within its thread."""
        self._scheduled += 1
        # Drawn, as a run that is reset has another id, and takes the outcomes from before all the same. What it draws
        # after that is new, so that those it has left do not count.
        return f"{workflow.random().getrandbits(48):012x}.{self._scheduled}"

    def summary(self, step: SuperstepInput) -> str:
        """Return what the Web UI shows of a superstep."""
        if step.mode == "store":
            return f"store the checkpoint of superstep {self.superstep}"
        if step.mode == "upgrade":
            return markdown_summary(f"may the run move to the current version of {step.deployment}?")
        if step.mode == "describe":
            return "whom does a message reach first?"
        names = ", ".join(self.executors) if step.mode == "continue" else step.mode
        which = "superstep" if step.burst is None else "burst from superstep"
        return markdown_summary(f"{which} {self.superstep + 1}: {names}"[:200])

    def result(self, next_offset: int) -> RunResult:
        """Return the result of a run that has come to its end.

        Raises:
            ApplicationError: When there is no checkpoint.
        """
        if self.checkpoint is None:
            raise ApplicationError("A superstep ended without a checkpoint; this is a bug.", non_retryable=True)
        return RunResult(
            checkpoint=self.checkpoint,
            graph_hash=self.graph_hash or "",
            next_offset=next_offset,
            outputs=self.outputs,
            calls=self.calls,
        )


def _ref(facts: CheckpointFacts) -> CheckpointRef:
    info = workflow.info()
    return CheckpointRef(
        thread_id=info.workflow_id, run_id=info.run_id, checkpoint_id=facts.checkpoint_id, digest=facts.digest
    )
