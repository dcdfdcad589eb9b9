"""What must be true after the chaos, read from Temporal's histories, the readers' logs and the executors' ledger."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from agent_framework_temporal.adapter.checkpoints.history import decode, superstep_outcome
from agent_framework_temporal.workflows.messages import RunInput, SuperstepResult
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from tests.chaos.load import expected_outputs
from tests.chaos.readers import Reader, durable_of

_OWN = ("tick", "tock", "split", "join", "part-", "asker", "teller")
"""Executors that note their keys; the agent's cannot."""


@dataclass
class Findings:
    """What was checked, and what is wrong."""

    figures: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def expect(self, holds: bool, text: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.wrong.append(text)


@dataclass
class _Ledger:
    ended: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    begun: int = 0
    calls: Counter[str] = field(default_factory=Counter)


def _read_ledger(path: Path) -> _Ledger:
    ledger = _Ledger()
    for line in path.read_text().splitlines():
        kind, thread_id, key, *_ = line.split()
        if kind == "end":
            ledger.ended[thread_id][key] += 1
        elif kind == "begin":
            ledger.begun += 1
        else:
            ledger.calls[f"{thread_id} {key}"] += 1
    return ledger


async def check(client: Client, task_queue: str, readers: list[Reader], ledger_path: Path) -> Findings:
    """Check every thread that the readers have read."""
    findings = Findings()
    ledger = _read_ledger(ledger_path)
    expected: dict[str, list[str]] = {}
    by_thread: dict[str, list[Reader]] = defaultdict(list)
    for reader in readers:
        by_thread[reader.thread_id].append(reader)
    for thread_id, group in by_thread.items():
        name = group[0].name
        if name not in expected:
            expected[name] = await expected_outputs(name)
        completed = await _check_history(client, thread_id, findings)
        durable = durable_of(name, client, task_queue)
        await _check_lineage(durable, thread_id, findings)
        reference = Reader(durable, name, int(thread_id.rpartition("-")[2]), begins=False, troubles=Counter())
        await reference.read()
        findings.expect(reference.outputs() == expected[name], f"{thread_id}: outputs {reference.outputs()}")
        for reader in group:
            findings.expect(reader.log() == reference.log(), f"{thread_id}: a reader saw {reader.log()}")
            findings.figures["events read"] += len(reader.log())
        keys = ledger.ended.get(thread_id, Counter())
        findings.expect(
            len(keys) == completed, f"{thread_id}: {completed} invocations committed, {len(keys)} keys in the ledger"
        )
        findings.figures["invocations committed"] += completed
        findings.figures["invocations that ended again"] += sum(keys.values()) - len(keys)
    findings.figures["threads"] = len(by_thread)
    findings.figures["readers"] = len(readers)
    findings.figures["invocations begun"] = ledger.begun
    findings.figures["tool calls"] = sum(ledger.calls.values())
    findings.figures["tool calls that were made again"] = sum(ledger.calls.values()) - len(ledger.calls)
    return findings


async def _check_history(client: Client, thread_id: str, findings: Findings) -> int:
    """Check that supersteps follow each other with none missing and none twice; returns the committed invocations."""
    numbers: list[int] = []
    attempts = completed = 0
    run_id: str | None = None
    first = client.get_workflow_handle(thread_id)
    run_id = (await first.describe()).raw_description.workflow_execution_info.first_run_id
    runs: list[str] = []
    while run_id:
        runs.append(run_id)
        following = None
        async for event in client.get_workflow_handle(thread_id, run_id=run_id).fetch_history_events():
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                payloads = event.workflow_execution_started_event_attributes.input.payloads
                run_input: RunInput = await decode(client, payloads[0], RunInput)
                findings.expect((run_input.continued is None) == (len(runs) == 1), f"{thread_id}: a run began anew")
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
                following = event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
            outcome = await superstep_outcome(client, event)
            if outcome is None:
                continue
            findings.expect(isinstance(outcome, SuperstepResult), f"{thread_id}: a superstep failed")
            attempts += outcome.attempt
            ids = [record.executor_id or "" for record in outcome.events if record.type == "executor_completed"]
            completed += sum(executor_id.startswith(_OWN) for executor_id in ids)
            if outcome.checkpoint is not None and outcome.events:
                numbers.append(outcome.checkpoint.superstep)
        run_id = following
    findings.expect(numbers == list(range(1, len(numbers) + 1)), f"{thread_id}: supersteps {numbers}")
    findings.figures["supersteps committed"] += len(numbers)
    findings.figures["attempts of supersteps"] += attempts
    findings.figures["runs"] += len(runs)
    return completed


async def _check_lineage(durable: object, thread_id: str, findings: Findings) -> None:
    infos = await durable.checkpoints(thread_id)  # type: ignore[attr-defined]
    chain = [info.previous_checkpoint_id for info in infos]
    findings.expect(chain == [None, *(info.checkpoint_id for info in infos[:-1])], f"{thread_id}: lineage {chain}")
    findings.expect(len({info.checkpoint_id for info in infos}) == len(infos), f"{thread_id}: a checkpoint twice")
    findings.figures["checkpoints in line"] += len(infos)
