"""Runs agents one of whose attempts is lost, traced; prints what the spans say of the journal as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta

from agent_framework_temporal import AgentFrameworkPlugin, DurableWorkflow
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import Client
from temporalio.contrib.opentelemetry import OpenTelemetryPlugin
from temporalio.worker import Worker

from examples.telemetry.demo import set_up_tracing
from tests.journal._agents import FAIL, research
from tests.support import unique


async def main(address: str) -> None:
    """Run it."""
    exporter = InMemorySpanExporter()
    set_up_tracing(exporter)
    client = await Client.connect(address, plugins=[OpenTelemetryPlugin(add_temporal_spans=True)])
    queue = unique("queue")
    async with Worker(client, task_queue=queue, plugins=[AgentFrameworkPlugin([research])]):
        durable = DurableWorkflow(
            research, client=client, task_queue=queue, retry_initial_interval=timedelta(milliseconds=20)
        )
        await durable.run(unique(FAIL))
    spans = [
        {
            "name": span.name,
            "attributes": {name: value for name, value in (span.attributes or {}).items() if "agent_framework" in name},
            "taken": [dict(event.attributes or {}) for event in span.events if event.name.endswith(".taken")],
        }
        for span in exporter.get_finished_spans()
    ]
    print(json.dumps(spans))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
