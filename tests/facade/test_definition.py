"""The read-only interface of the framework's `Workflow`, and upstream's functions that use it."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from agent_framework import (
    AgentExecutor,
    EvalItem,
    EvalResults,
    LocalEvaluator,
    Workflow,
    WorkflowBuilder,
    evaluate_workflow,
    evaluator,
)
from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.testing import Prompt, Reply, scripted_agent
from temporalio.client import Client

from tests.flows import Order, chain, echo_later, shop
from tests.support import worker

_METHODS = (
    "get_start_executor",
    "get_executors_list",
    "get_output_executors",
    "get_intermediate_executors",
    "to_dict",
    "to_json",
)


def _poet(prompt: Prompt) -> Reply:
    return Reply(f"a poem on {prompt.user_texts[-1]}")


def _critic(prompt: Prompt) -> Reply:
    return Reply(f"I read {prompt.texts[-1]}")


def writers() -> Workflow:
    """Two agents, one after the other."""
    poet = AgentExecutor(scripted_agent("poet", _poet), id="poet")
    critic = AgentExecutor(scripted_agent("critic", _critic), id="critic")
    builder = WorkflowBuilder(name="writers", start_executor=poet, output_from=[critic])
    return builder.add_edge(poet, critic).build()


async def test_the_definition_is_the_workflows(client: Client) -> None:
    workflow = writers()
    durable = DurableWorkflow(workflow, client=client, task_queue="none")
    for name in _METHODS:
        assert getattr(durable, name)() == getattr(workflow, name)(), name
    assert json.loads(durable.to_json())["name"] == "writers"
    for name in ("id", "description", "executors", "edge_groups", "start_executor_id", "max_iterations", "input_types"):
        assert getattr(durable, name) == getattr(workflow, name), name
    assert set(durable.output_types) == set(workflow.output_types)
    assert (durable.graph_signature, durable.graph_signature_hash) == (
        workflow.graph_signature,
        workflow.graph_signature_hash,
    )
    for executor_id in workflow.executors:
        assert durable.is_terminal_executor(executor_id) is workflow.is_terminal_executor(executor_id)
        assert durable.is_intermediate_executor(executor_id) is workflow.is_intermediate_executor(executor_id)


def test_nothing_of_the_frameworks_interface_is_missing() -> None:
    """The contract: a name that the framework adds shows here."""
    theirs = {name for name, _ in inspect.getmembers(Workflow) if not name.startswith("_")}
    theirs |= {name for name in vars(chain()) if not name.startswith("_")}
    # What makes a workflow of data, and what the framework asks an instance's own runner.
    missing = {name for name in theirs if not hasattr(DurableWorkflow, name)}
    assert missing <= {"resolve_pause_checkpoint_id", "clone", "from_dict", "from_json"}, missing


@pytest.mark.parametrize("entry", ["shop", echo_later])
async def test_without_a_definition_there_is_none(client: Client, entry: Any) -> None:
    durable = DurableWorkflow(entry, client=client, task_queue="none")
    assert not hasattr(durable, "executors")
    with pytest.raises(AttributeError, match="needs the workflow's definition"):
        durable.to_dict()


async def test_the_last_checkpoint_id(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        assert durable.get_last_checkpoint_id() is None
        await durable.run(Order(item="pen"))
        own = durable.get_last_checkpoint_id()
        assert own is not None
        thread = durable.checkpoint()
        await durable.run(Order(item="ink"), checkpoint=thread)
        assert durable.get_last_checkpoint_id() == own
        assert durable.get_last_checkpoint_id(thread) == thread.checkpoint_id


class _Recording:
    """An evaluator that keeps what it was given."""

    name = "recording"

    def __init__(self) -> None:
        self.seen: dict[str, list[tuple[str, str]]] = {}

    async def evaluate(self, items: Any, *, eval_name: str = "") -> EvalResults:
        found: list[EvalItem] = list(items)
        self.seen[eval_name] = [(item.query, item.response) for item in found]
        return EvalResults(
            provider=self.name, eval_id=eval_name, run_id="1", result_counts={"passed": len(found), "failed": 0}
        )


def _figures(results: EvalResults) -> tuple[int, int, list[tuple[str, int]]]:
    return results.passed, results.total, sorted((name, sub.passed) for name, sub in results.sub_results.items())


async def test_upstreams_evaluation_of_a_workflow(client: Client) -> None:
    @evaluator
    def mentions_tea(response: str) -> bool:
        return "tea" in response

    async with worker(client, writers) as task_queue:
        durable = DurableWorkflow(writers, client=client, task_queue=task_queue)
        outcomes = []
        for workflow in (writers(), durable):
            recording = _Recording()
            results = await evaluate_workflow(
                workflow=workflow,  # type: ignore[arg-type]
                queries=["tea", "rain"],
                evaluators=[recording, LocalEvaluator(mentions_tea)],
                eval_name="both",
            )
            again = await evaluate_workflow(
                workflow=workflow,  # type: ignore[arg-type]
                workflow_result=await workflow.run("tea"),
                evaluators=LocalEvaluator(mentions_tea),
                eval_name="given",
            )
            outcomes.append(
                (
                    recording.seen,
                    [
                        (
                            found.passed,
                            found.total,
                            sorted((name, sub.passed) for name, sub in found.sub_results.items()),
                        )
                        for found in [*results, *again]
                    ],
                )
            )
        assert outcomes[0] == outcomes[1]
        assert sorted(outcomes[1][0]) == [
            "both — critic (recording)",
            "both — overall (recording)",
            "both — poet (recording)",
        ]
        assert len(outcomes[1][0]["both — poet (recording)"]) == 2
