"""Runs the same calls in process and durably, traced without a plugin of the SDK; prints the spans as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Never

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, WorkflowExecutor, handler
from agent_framework.observability import enable_instrumentation
from agent_framework_temporal import AgentFrameworkPlugin, DurableWorkflow
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import Client
from temporalio.worker import Worker

from tests.flows import Decision, Order, Shop, chain
from tests.support import unique


class Fail(Executor):
    """Fails."""

    @handler
    async def fail(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        raise ValueError(text)


def asks() -> Workflow:
    """Build one that asks."""
    return WorkflowBuilder(name="asks", description="It asks.", start_executor=Shop(id="shop")).build()


def nested() -> Workflow:
    """Build one with a sub-workflow."""
    return WorkflowBuilder(name="nested", start_executor=WorkflowExecutor(chain(), id="child")).build()


def fails() -> Workflow:
    """Build one that fails."""
    return WorkflowBuilder(name="fails", start_executor=Fail(id="fail")).build()


async def _calls(asking: Workflow | DurableWorkflow, *others: Workflow | DurableWorkflow) -> None:
    await asking.run(Order(item="pen"))
    await asking.run(responses={"approve-pen": Decision(approved=True)})
    for other in others:
        with contextlib.suppress(ValueError):
            await other.run("a")


async def main(address: str, *, cached: bool) -> None:
    """Run them."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    enable_instrumentation()
    client = await Client.connect(address)
    queue = unique("queue")
    builds = (asks, nested, fails)
    tracer = trace.get_tracer("test")
    with tracer.start_as_current_span("in process"):
        await _calls(*(build() for build in builds))
    plugin = AgentFrameworkPlugin(builds) if cached else AgentFrameworkPlugin(builds, cache_bytes=0)
    async with Worker(client, task_queue=queue, plugins=[plugin], max_cached_workflows=1000 if cached else 0):
        facades = [DurableWorkflow(build, client=client, task_queue=queue, max_attempts=1) for build in builds]
        with tracer.start_as_current_span("durable"):
            await _calls(*facades)
    spans = [
        {
            "name": span.name,
            "id": span.context.span_id,
            "parent": span.parent.span_id if span.parent else None,
            "start": span.start_time,
            "facts": [
                sorted(event.name for event in span.events if event.name != "exception"),
                sorted(span.attributes or {}),
                (span.attributes or {}).get("workflow.name"),
                span.status.status_code.name,
            ],
        }
        for span in exporter.get_finished_spans()
        if span.context
    ]
    print(json.dumps(spans))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], cached=sys.argv[2] == "cached"))
