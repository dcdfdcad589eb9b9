"""One trace over client, workflow and activities, written once however often the workflow is replayed; and metrics."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client
from temporalio.runtime import BufferedMetricUpdate, MetricBuffer, Runtime, TelemetryConfig
from temporalio.testing import WorkflowEnvironment

from tests.requests._flows import Question, asker
from tests.support import worker

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
