"""The content-approval workflow: brief, two researchers, a writer, a human decision, and publication."""

from __future__ import annotations

import os
from typing import Annotated, Any, Never

from agent_framework import (
    Agent,
    AgentExecutorRequest,
    AgentExecutorResponse,
    Executor,
    Message,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    handler,
    register_checkpoint_type,
    response_handler,
)
from pydantic import BaseModel, ConfigDict, Field

from .offline_chat_client import OfflineChatClient
from .offline_personas import Persona

WORKFLOW_NAME = "content-approval"
RESEARCHERS: tuple[Persona, ...] = ("researcher-facts", "researcher-audience")

# The framework counts supersteps over the whole run, pauses included: five reach the first decision, a rejection
# takes three more and an approval two, so this leaves room for 31 revisions.
_MAX_ITERATIONS = 100
_BRIEF_KEY = "content_approval.brief"
_REVISION_KEY = "content_approval.revision"
_DEFAULT_FEEDBACK = "Make it shorter and clearer."

_INSTRUCTIONS: dict[Persona, str] = {
    "researcher-facts": "You research the topic you are given. Answer with three to five bullet points of fact.",
    "researcher-audience": "You research readers. Answer with three bullet points on what the audience needs.",
    "writer": (
        "You write short articles in Markdown, with one '# ' title line, from a brief and research notes. "
        "Check every draft with the count_words tool and keep it within the brief's word limit. "
        "When you are given feedback, revise your last draft so that it answers the feedback. "
        "Your final message holds the article and nothing else."
    ),
}


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Brief(_Payload):
    """What to write, for whom, and how long it may be."""

    topic: str = Field(min_length=1)
    audience: str = Field(default="general readers", min_length=1)
    words: int = Field(default=150, gt=0)


class ApprovalRequest(_Payload):
    """A draft put before a human."""

    draft: str
    revision: int
    word_count: int
    topic: str


class ApprovalDecision(_Payload):
    """The human's answer to an `ApprovalRequest`."""

    approved: bool
    feedback: str = ""


class ApprovedDraft(_Payload):
    """A draft a human approved, on its way to publication."""

    topic: str
    draft: str
    revision: int


class Published(_Payload):
    """The workflow's output."""

    title: str
    body: str
    revision: int


for _payload in (Brief, ApprovalRequest, ApprovalDecision, ApprovedDraft, Published):
    # Checkpoint stores that restrict what they unpickle only load the types they were told about.
    register_checkpoint_type(_payload)


def count_words(text: Annotated[str, Field(description="The text to measure.")]) -> int:
    """Count the words of a text."""
    return len(text.split())


class BriefIntake(Executor):
    """Turns the brief into the researchers' prompt."""

    @handler
    async def from_brief(self, brief: Brief, ctx: WorkflowContext[AgentExecutorRequest]) -> None:
        """Remember the brief and send it to every researcher."""
        ctx.set_state(_BRIEF_KEY, brief)
        await ctx.send_message(_ask(_describe(brief)))

    @handler
    async def from_text(self, topic: str, ctx: WorkflowContext[AgentExecutorRequest]) -> None:
        """Take a bare topic as a brief with the default audience and length."""
        await self.from_brief(Brief(topic=topic), ctx)


class NoteMerger(Executor):
    """Joins the researchers' notes into the writer's assignment."""

    @handler
    async def merge(self, responses: list[AgentExecutorResponse], ctx: WorkflowContext[AgentExecutorRequest]) -> None:
        """Send the brief and all notes to the writer, in an order that does not depend on who finished first."""
        brief: Brief = ctx.get_state(_BRIEF_KEY)
        notes = {response.executor_id: _final_text(response) for response in responses}
        sections = [f"Notes from {name}:\n{notes[name]}" for name in RESEARCHERS]
        await ctx.send_message(_ask("\n\n".join([_describe(brief), *sections])))


class Approval(Executor):
    """Asks a human about each draft and routes the answer."""

    @handler
    async def review(self, response: AgentExecutorResponse, ctx: WorkflowContext) -> None:
        """Number the draft and request a decision on it."""
        brief: Brief = ctx.get_state(_BRIEF_KEY)
        revision: int = ctx.get_state(_REVISION_KEY, 0) + 1
        ctx.set_state(_REVISION_KEY, revision)
        draft = _final_text(response)
        request = ApprovalRequest(draft=draft, revision=revision, word_count=count_words(draft), topic=brief.topic)
        await ctx.request_info(request, ApprovalDecision)

    @response_handler
    async def decide(
        self,
        request: ApprovalRequest,
        decision: ApprovalDecision,
        ctx: WorkflowContext[AgentExecutorRequest | ApprovedDraft],
    ) -> None:
        """Send an approved draft to publication and a rejected one back to the writer."""
        if decision.approved:
            await ctx.send_message(ApprovedDraft(topic=request.topic, draft=request.draft, revision=request.revision))
        else:
            await ctx.send_message(_ask(f"Feedback: {decision.feedback.strip() or _DEFAULT_FEEDBACK}"))


class Publisher(Executor):
    """Yields the approved draft as the workflow's output."""

    @handler
    async def publish(self, approved: ApprovedDraft, ctx: WorkflowContext[Never, Published]) -> None:
        """Split the title line off the draft; a draft without one is titled with its topic."""
        first, _, rest = approved.draft.strip().partition("\n")
        titled = first.startswith("# ")
        await ctx.yield_output(
            Published(
                title=first.removeprefix("# ").strip() if titled else approved.topic,
                body=rest.strip() if titled else approved.draft.strip(),
                revision=approved.revision,
            )
        )


def build(model: str | None = None, *, delay: float = 0.0) -> Workflow:
    """Build the workflow on `model` ("openai:<name>"), or offline with `delay` seconds per streamed piece."""
    brief, merge = BriefIntake(id="brief"), NoteMerger(id="merge-notes")
    approval, publish = Approval(id="approval"), Publisher(id="publish")
    researchers = [_agent(name, model=model, delay=delay) for name in RESEARCHERS]
    writer = _agent("writer", model=model, delay=delay, tools=[count_words])
    return (
        WorkflowBuilder(
            max_iterations=_MAX_ITERATIONS,
            name=WORKFLOW_NAME,
            description="Research, write and publish a short article once a human approves it.",
            start_executor=brief,
            output_from=[publish],
            intermediate_output_from="all_other",
        )
        .add_fan_out_edges(brief, researchers)
        .add_fan_in_edges(researchers, merge)
        .add_chain([merge, writer, approval, publish])
        .add_edge(approval, writer)
        .build()
    )


def content_approval() -> Workflow:
    """Build the workflow as the environment says: CONTENT_APPROVAL_MODEL and CONTENT_APPROVAL_DELAY."""
    return build(
        os.environ.get("CONTENT_APPROVAL_MODEL") or None,
        delay=float(os.environ.get("CONTENT_APPROVAL_DELAY") or 0),
    )


def _agent(name: Persona, *, model: str | None, delay: float, tools: list[Any] | None = None) -> Agent[Any]:
    return Agent(_client(name, model=model, delay=delay), _INSTRUCTIONS[name], id=name, name=name, tools=tools)


def _client(persona: Persona, *, model: str | None, delay: float) -> Any:
    if model is None:
        return OfflineChatClient(persona, delay=delay)
    provider, _, model_name = model.partition(":")
    if provider != "openai" or not model_name:
        raise ValueError(f"Unknown model {model!r}; use 'openai:<model name>', or none to run offline.")
    # An optional dependency: the offline example must run without it.
    from agent_framework.openai import OpenAIChatCompletionClient

    return OpenAIChatCompletionClient(model=model_name)


def _ask(text: str) -> AgentExecutorRequest:
    return AgentExecutorRequest(messages=[Message("user", [text])])


def _describe(brief: Brief) -> str:
    topic, audience = (" ".join(text.split()) for text in (brief.topic, brief.audience))
    return f"Topic: {topic}\nAudience: {audience}\nWords: {brief.words}"


def _final_text(response: AgentExecutorResponse) -> str:
    # Earlier messages of the same run hold tool calls and whatever a model says around them.
    texts = [message.text for message in response.agent_response.messages if message.role == "assistant"]
    return next((text for text in reversed(texts) if text.strip()), "")
