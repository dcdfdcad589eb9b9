"""A researcher asks one question after the other until nothing is open; the notes grow all the while."""

from __future__ import annotations

from typing import Never

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler
from pydantic import BaseModel


class Plan(BaseModel):
    """What to research, and how many questions there are."""

    topic: str
    questions: int


class Question(BaseModel):
    """One question of many."""

    plan: Plan
    number: int


class Finding(BaseModel):
    """Its answer."""

    question: Question
    text: str


class Report(BaseModel):
    """The workflow's output."""

    topic: str
    findings: int
    last: str


class Planner(Executor):
    """Keeps the notes and asks what is still open."""

    @handler
    async def begin(self, plan: Plan, ctx: WorkflowContext[Question]) -> None:
        """Ask the first question."""
        ctx.set_state("notes", [])
        await ctx.send_message(Question(plan=plan, number=1))

    @handler
    async def note(self, finding: Finding, ctx: WorkflowContext[Question, Report]) -> None:
        """Note a finding, and ask the next question or report."""
        notes = [*ctx.get_state("notes"), finding.text]
        ctx.set_state("notes", notes)
        plan, number = finding.question.plan, finding.question.number
        if number < plan.questions:
            await ctx.send_message(Question(plan=plan, number=number + 1))
        else:
            await ctx.yield_output(Report(topic=plan.topic, findings=len(notes), last=notes[-1]))


class Researcher(Executor):
    """Answers a question; an agent in real life."""

    @handler
    async def research(self, question: Question, ctx: WorkflowContext[Finding, Never]) -> None:
        """Find something out."""
        text = f"Finding {question.number} about {question.plan.topic}."
        await ctx.send_message(Finding(question=question, text=text))


def build() -> Workflow:
    """Build the workflow. The framework counts supersteps over all runs: `max_iterations` has to have room for them."""
    planner, researcher = Planner(id="planner"), Researcher(id="researcher")
    builder = WorkflowBuilder(
        name="research-loop", start_executor=planner, max_iterations=10_000, output_from=[planner]
    )
    return builder.add_edge(planner, researcher).add_edge(researcher, planner).build()
