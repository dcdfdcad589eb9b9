"""Runs two agents and prints the trace as a tree, and the metrics of the supersteps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agent_framework import Workflow, WorkflowBuilder
from agent_framework_temporal import (
    AgentFrameworkPlugin,
    DurableWorkflow,
    start_dev_server,
    terminal_text,
)
from agent_framework_temporal.testing import Prompt, Reply, scripted_agent
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import Client
from temporalio.contrib.opentelemetry import MetricsExporter, OpenTelemetryPlugin, create_tracer_provider
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig
from temporalio.worker import Worker


def set_up_tracing(exporter: SpanExporter) -> None:
    """Send spans to an exporter, in your service that of OTLP. The provider is the SDK's, which is safe to replay."""
    provider = create_tracer_provider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def _answer(prompt: Prompt) -> Reply:
    return Reply(f"Noted: {prompt.texts[-1]}")


def build() -> Workflow:
    """Build two agents in a row."""
    writer, editor = scripted_agent("writer", _answer), scripted_agent("editor", _answer)
    return WorkflowBuilder(name="two-agents", start_executor=writer).add_edge(writer, editor).build()


async def main() -> None:
    """Run the example."""
    spans, reader, buffer = InMemorySpanExporter(), InMemoryMetricReader(), MetricBuffer(10_000)
    set_up_tracing(spans)
    runtime = Runtime(telemetry=TelemetryConfig(metrics=buffer))
    async with await start_dev_server() as server, MetricsExporter(buffer, MeterProvider(metric_readers=[reader])):
        # The plugin of the SDK on the client, ours on the worker.
        plugin = OpenTelemetryPlugin(add_temporal_spans=True)
        client = await Client.connect(server.address, plugins=[plugin], runtime=runtime)
        async with Worker(client, task_queue="telemetry", plugins=[AgentFrameworkPlugin([build])]):
            with trace.get_tracer("my-service").start_as_current_span("my request"):
                durable = DurableWorkflow(build, client=client, task_queue="telemetry")
                await durable.run("night trains")
    finished = spans.get_finished_spans()
    (root,) = [span for span in finished if span.name == "my request"]
    for line in tree(finished, root):
        print(terminal_text(line))
    for metric in metrics(reader):
        print(terminal_text(metric))


def tree(spans: Sequence[ReadableSpan], root: ReadableSpan, indent: str = "") -> list[str]:
    """Return the spans below a span, each a line."""
    lines = [f"{indent}{root.name}"]
    inner = [span for span in spans if span.parent and root.context and span.parent.span_id == root.context.span_id]
    for span in sorted(inner, key=lambda span: span.start_time or 0):
        lines += tree(spans, span, f"{indent}  ")
    return lines


_SHOWN = ("state", "kind", "source", "direction")


def metrics(reader: InMemoryMetricReader) -> list[str]:
    """Return the metrics of ours, each a line."""
    data = reader.get_metrics_data()
    found = [
        metric
        for resource in (data.resource_metrics if data is not None else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if str(metric.name).startswith("agent_framework_")
    ]
    lines: list[str] = []
    for metric in found:
        for point in metric.data.data_points:
            attributes = point.attributes or {}
            kept = ", ".join(f"{name}={attributes[name]!s}" for name in _SHOWN if name in attributes)
            value = getattr(point, "value", None) or getattr(point, "sum", None)
            lines.append(f"{metric.name} {kept} {value}".replace("  ", " "))
    return sorted(lines)


if __name__ == "__main__":
    asyncio.run(main())
