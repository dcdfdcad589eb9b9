"""Runs a workflow with tracing, in a process of its own as that has one tracer provider; prints the spans as JSON."""

from __future__ import annotations

import asyncio
import json
import sys

from agent_framework_temporal import AgentFrameworkPlugin, DurableWorkflow
from agent_framework_temporal.adapter.commands.process_exit import exit_process
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import Client
from temporalio.contrib.opentelemetry import OpenTelemetryPlugin
from temporalio.worker import Worker

from examples.telemetry.demo import build, set_up_tracing
from tests.support import unique


async def main(address: str, *, cached: bool) -> None:
    """Run it."""
    exporter = InMemorySpanExporter()
    set_up_tracing(exporter)
    client = await Client.connect(address, plugins=[OpenTelemetryPlugin(add_temporal_spans=True)])
    queue = unique("queue")
    plugin = AgentFrameworkPlugin([build]) if cached else AgentFrameworkPlugin([build], cache_bytes=0)
    async with Worker(client, task_queue=queue, plugins=[plugin], max_cached_workflows=1000 if cached else 0):
        with trace.get_tracer("test").start_as_current_span("root"):
            await DurableWorkflow(build, client=client, task_queue=queue).run("a")
    spans = [
        {
            "name": span.name,
            "trace": span.context.trace_id,
            "id": span.context.span_id,
            "parent": span.parent.span_id if span.parent else None,
        }
        for span in exporter.get_finished_spans()
        if span.context
    ]
    print(json.dumps(spans))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], cached=sys.argv[2] == "cached"))
    exit_process(0)
