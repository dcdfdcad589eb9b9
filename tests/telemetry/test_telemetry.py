"""One trace over client, workflow and activities, written once however often the workflow is replayed; and metrics."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client
from temporalio.runtime import BufferedMetricUpdate, MetricBuffer, Runtime, TelemetryConfig
from temporalio.testing import WorkflowEnvironment

from tests.journal._agents import FAIL, research
from tests.requests._flows import Question, asker
from tests.support import unique, worker

ROOT = Path(__file__).parents[2]


async def _python(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stdout=PIPE, stderr=PIPE)
    async with asyncio.timeout(90):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.parametrize("cache", ["cached", "replayed"])
async def test_one_trace(server: WorkflowEnvironment, cache: str) -> None:
    out = await _python("-m", "tests.telemetry._program", server.client.service_client.config.target_host, cache)
    spans: list[dict[str, Any]] = json.loads(out)
    by_id = {span["id"]: span for span in spans}
    [root] = [span for span in spans if span["name"] == "root"]

    def path(span: dict[str, Any]) -> list[str]:
        above = by_id.get(span["parent"])
        return [span["name"], *(path(above) if above else [])]

    ours = [span for span in spans if span["name"] != "workflow.build"]
    assert {span["trace"] for span in ours} == {root["trace"]}
    assert all(path(span)[-1] == "root" for span in ours)
    chats = [path(span) for span in spans if span["name"].startswith("chat ")]
    assert [chat[:3] for chat in chats] == [
        ["chat scripted-1", f"invoke_agent {name}", f"executor.process {name}"] for name in ("writer", "editor")
    ]
    assert chats[0][3:] == [
        *("RunActivity:superstep", "StartActivity:superstep"),
        *("RunWorkflow:AgentFrameworkWorkflow", "StartWorkflow:AgentFrameworkWorkflow", "workflow.run", "root"),
    ]
    assert [span["name"] for span in spans].count("workflow.run") == 1
    # Replayed at each step or not: the workflow writes its spans once.
    names = [span["name"] for span in spans]
    assert names.count("RunWorkflow:AgentFrameworkWorkflow") == 1
    assert names.count("StartActivity:superstep") == names.count("RunActivity:superstep") == 3


@pytest.mark.parametrize("cache", ["cached", "replayed"])
async def test_one_run_span_for_each_call(server: WorkflowEnvironment, cache: str) -> None:
    """Without the SDK's plugin too: as in process, a span for each call, and the executors' below it."""
    address = server.client.service_client.config.target_host
    spans: list[dict[str, Any]] = json.loads(await _python("-m", "tests.telemetry._calls", address, cache))
    by_id = {span["id"]: span for span in spans}
    roots = {span["id"]: span["name"] for span in spans if span["name"] in ("in process", "durable")}
    seen: dict[str, list[Any]] = {"in process": [], "durable": []}
    for span in sorted(spans, key=lambda found: found["start"]):
        if span["name"] == "workflow.run" or span["name"].startswith("executor.process"):
            above = [span]
            while above[-1]["parent"] in by_id:
                above.append(by_id[above[-1]["parent"]])
            seen[roots[above[-1]["id"]]].append(([found["name"] for found in above[:-1]], span["facts"]))
    assert seen["durable"] == seen["in process"]
    assert [names[0] for names, _ in seen["durable"]].count("workflow.run") == 5  # One is a sub-workflow's.


async def test_metrics(server: WorkflowEnvironment) -> None:
    buffer = MetricBuffer(10_000)
    runtime = Runtime(telemetry=TelemetryConfig(metrics=buffer))
    client = await Client.connect(server.client.service_client.config.target_host, runtime=runtime)
    async with worker(client, asker) as queue:
        durable = DurableWorkflow(asker, client=client, task_queue=queue)
        await durable.run(Question(text="how many", count=2))
        await durable.run(responses={"q0": {"amount": 2}, "q1": {"amount": 4}})
    updates = [update for update in buffer.retrieve_updates() if update.metric.name.startswith("agent_framework_")]
    assert _values(updates, "supersteps", state="waiting") == [1]
    assert _values(updates, "supersteps", state="idle") == [1]
    assert _values(updates, "pending_requests", framework_workflow="asker") == [2]
    assert _values(updates, "restores", source="live") == [1]
    assert len(_values(updates, "checkpoint_bytes")) == len(_values(updates, "checkpoint_history_bytes")) == 2
    assert min(_values(updates, "checkpoint_bytes")) > 100


async def test_metrics_of_calls(server: WorkflowEnvironment) -> None:
    buffer = MetricBuffer(10_000)
    runtime = Runtime(telemetry=TelemetryConfig(metrics=buffer))
    client = await Client.connect(server.client.service_client.config.target_host, runtime=runtime)
    async with worker(client, research) as queue:
        durable = DurableWorkflow(
            research, client=client, task_queue=queue, retry_initial_interval=timedelta(milliseconds=20)
        )
        await durable.run(unique(FAIL))
    usage = (await durable.usage()).usage
    updates = [update for update in buffer.retrieve_updates() if update.metric.name.startswith("agent_framework_")]
    # Of the attempt that failed and of the one after it, and of the editor's.
    assert _values(updates, "calls", source="made", kind="chat", framework_workflow="research") == [2, 1, 1]
    assert _values(updates, "calls", source="made", kind="tool") == [2]
    assert _values(updates, "calls", source="taken", kind="chat") == [2]
    assert _values(updates, "calls", source="taken", kind="tool") == [2]
    assert sum(_values(updates, "tokens", direction="input")) == usage.get("input_token_count")
    assert sum(_values(updates, "tokens", direction="output")) == usage.get("output_token_count")
    assert len(_values(updates, "journal_bytes")) == 3
    assert _values(updates, "journal_dropped") == []


async def test_spans_say_what_was_taken_and_what_an_attempt_cost(server: WorkflowEnvironment) -> None:
    out = await _python("-m", "tests.telemetry._journal", server.client.service_client.config.target_host)
    spans: list[dict[str, Any]] = json.loads(out)
    prefix = "agent_framework_temporal."
    activities = [
        {name.removeprefix(prefix): value for name, value in span["attributes"].items()}
        for span in spans
        if span["name"] == "RunActivity:superstep"
    ]
    calls = [{name: value for name, value in found.items() if "calls" in name} for found in activities]
    assert calls[:3] == [
        {"calls.made.chat": 2, "calls.made.tool": 2},
        {"calls.made.chat": 1, "calls.taken.chat": 2, "calls.taken.tool": 2},
        {"calls.made.chat": 1},
    ]
    assert all(found["tokens.input"] > 0 and found["tokens.output"] > 0 for found in activities[:3])
    taken = [event[f"{prefix}kind"] for span in spans for event in span["taken"]]
    assert sorted(taken) == ["chat", "chat", "tool", "tool"]
    # No call that was answered has a second span.
    assert [span["name"] for span in spans].count("chat scripted-1") == 4


def _values(updates: list[BufferedMetricUpdate], name: str, **attributes: str) -> list[float]:
    return [
        update.value
        for update in updates
        if update.metric.name == f"agent_framework_{name}" and attributes.items() <= update.attributes.items()
    ]


async def test_the_example_prints_what_its_readme_shows() -> None:
    out = await _python("-m", "examples.telemetry.demo")
    shown = (ROOT / "examples" / "telemetry" / "README.md").read_text().split("```text\n")[1].split("```")[0]
    without_sizes = [re.sub(r"bytes \d+", "bytes", text).splitlines() for text in (out, shown)]
    assert without_sizes[0] == without_sizes[1]
