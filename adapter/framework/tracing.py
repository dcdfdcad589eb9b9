"""One span `workflow.run` for each run: the caller's. Executors on workers write theirs below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from agent_framework import Workflow
from agent_framework.observability import OBSERVABILITY_SETTINGS, OtelAttr, capture_exception, start_workflow_span
from opentelemetry import context, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .internals import activate_span

_PREFIX = "agent_framework_temporal."


class RunSpan:
    """The framework's span of a run, with its attributes and events, around what the facade does.

    Args:
        name: Of the workflow.
        workflow: Its definition; None where only its name is known.
    """

    def __init__(self, name: str, workflow: Workflow | None) -> None:
        attributes: dict[str, str | int] = {OtelAttr.WORKFLOW_NAME: name}
        if workflow is not None:
            attributes[OtelAttr.WORKFLOW_ID] = workflow.id
            if workflow.description:
                attributes[OtelAttr.WORKFLOW_DESCRIPTION] = workflow.description
        self._span = start_workflow_span(OtelAttr.WORKFLOW_RUN_SPAN, attributes)
        self._span.add_event(OtelAttr.WORKFLOW_STARTED)

    @property
    def traceparent(self) -> str | None:
        """What a worker needs to write below the span; None where nothing is traced."""
        found = self._span.get_span_context()
        if not found.is_valid:
            return None
        return f"00-{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags):02x}"

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make it the current span meanwhile; never over a `yield` to a caller, whose context is another."""
        with activate_span(self._span):
            yield

    def __enter__(self) -> RunSpan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self._span.add_event(OtelAttr.WORKFLOW_COMPLETED)
        elif isinstance(error, Exception):
            attributes = {"error.type": type(error).__name__}
            if OBSERVABILITY_SETTINGS.SENSITIVE_DATA_ENABLED:
                attributes["error.message"] = str(error)
            self._span.add_event(OtelAttr.WORKFLOW_ERROR, attributes)
            capture_exception(self._span, error)
        self._span.end()


@contextmanager
def below(traceparent: str | None) -> Iterator[None]:
    """Write spans below the caller's, unless a plugin has brought its trace along already."""
    if traceparent is None or trace.get_current_span().get_span_context().is_valid:
        yield
        return
    token = context.attach(TraceContextTextMapPropagator().extract({"traceparent": traceparent}))
    try:
        yield
    finally:
        context.detach(token)


def note_taken(kind: str) -> None:
    """Note in the current span why no span of a call follows: it was taken from the journal."""
    trace.get_current_span().add_event(f"{_PREFIX}taken", {f"{_PREFIX}kind": kind})


def note_calls(made: Mapping[str, int], taken: Mapping[str, int], input_tokens: int, output_tokens: int) -> None:
    """Note in the current span what an attempt of a superstep has called and spent.

    Under names of ours: what adds up the framework's `gen_ai.usage` of the spans below must not find it twice.
    """
    span = trace.get_current_span()
    for source, counts in (("made", made), ("taken", taken)):
        for kind, number in counts.items():
            span.set_attribute(f"{_PREFIX}calls.{source}.{kind}", number)
    for direction, tokens in (("input", input_tokens), ("output", output_tokens)):
        if tokens:
            span.set_attribute(f"{_PREFIX}tokens.{direction}", tokens)
