"""Rows of the orchestrations: sequential, concurrent, handoff, group chat and magentic."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from agent_framework import Agent, AgentExecutorResponse, Message, Workflow
from agent_framework.orchestrations import (
    AgentRequestInfoResponse,
    ConcurrentBuilder,
    GroupChatBuilder,
    GroupChatState,
    HandoffAgentUserRequest,
    HandoffBuilder,
    MagenticBuilder,
    MagenticContext,
    MagenticManagerBase,
    MagenticPlanReviewRequest,
    MagenticPlanReviewResponse,
    MagenticProgressLedger,
    MagenticProgressLedgerItem,
    SequentialBuilder,
)

from tests.parity.gallery._row import Row, Turn, answer_all
from tests.parity.gallery._scripted import Call, Prompt, Reply, Script, scripted_agent


def speaker(name: str) -> Script:
    """Answer with the name and what was said last."""

    def speak(prompt: Prompt) -> Reply:
        return Reply(f"{name} after {len(prompt.messages)}: {prompt.texts[-1]}")

    return speak


def triage(prompt: Prompt) -> Reply:
    """Hand over to the desk the user asks for."""
    question = prompt.user_texts[-1]
    for desk in ("refunds", "shipping"):
        if desk in question:
            return Reply(calls=(Call(f"handoff_to_{desk}", {}),))
    return Reply(f"How can I help? You said: {question}")


def refunds(prompt: Prompt) -> Reply:
    """Refund, or hand over to shipping."""
    question = prompt.user_texts[-1]
    if "parcel" in question:
        return Reply("Not mine.", (Call("handoff_to_shipping", {}),))
    return Reply(f"Refunded after {len(prompt.user_texts)}: {question}")


def shipping(prompt: Prompt) -> Reply:
    """Say goodbye."""
    return Reply(f"Shipped after {len(prompt.user_texts)}: goodbye")


def chair(prompt: Prompt) -> Reply:
    """Choose the next speaker of a group chat by how often it has spoken, as JSON."""
    said = sum(text.startswith(("ada after", "bob after")) for text in prompt.texts)
    finished = said >= 2
    choice = {
        "terminate": finished,
        "reason": f"{said} said",
        "next_speaker": None if finished else ("ada", "bob")[said],
        "final_message": f"Closed after {said}." if finished else None,
    }
    return Reply(json.dumps(choice))


def manager(prompt: Prompt) -> Reply:
    """Answer each of the questions the standard magentic manager asks."""
    question = prompt.texts[-1]
    spoken = sum(" after " in text for text in prompt.texts[:-1])
    if "is_request_satisfied" in question:
        return Reply(json.dumps(ledger(spoken >= 2, ("ada", "bob")[min(spoken, 1)]).to_dict()))
    if "bullet-point plan" in question:
        return Reply("- ask ada\n- ask bob")
    return Reply(f"Noted, with {len(prompt.messages)} messages.")


def ledger(satisfied: bool, next_speaker: str, *, progress: bool = True) -> MagenticProgressLedger:
    """Build a progress ledger."""
    return MagenticProgressLedger(
        is_request_satisfied=MagenticProgressLedgerItem("as asked", satisfied),
        is_in_loop=MagenticProgressLedgerItem("as seen", False),
        is_progress_being_made=MagenticProgressLedgerItem("as seen", progress),
        next_speaker=MagenticProgressLedgerItem("in turn", next_speaker),
        instruction_or_question=MagenticProgressLedgerItem("to go on", f"Your turn, {next_speaker}"),
    )


class ScriptedManager(MagenticManagerBase):
    """A magentic manager that decides by the conversation alone; it stalls once if the task says so."""

    async def plan(self, magentic_context: MagenticContext) -> Message:
        return Message("assistant", [f"Plan for {magentic_context.task}"], author_name="manager")

    async def replan(self, magentic_context: MagenticContext) -> Message:
        feedback = [message.text for message in magentic_context.chat_history if message.role == "user"]
        return Message("assistant", [f"Plan {magentic_context.reset_count} after {feedback}"], author_name="manager")

    async def create_progress_ledger(self, magentic_context: MagenticContext) -> MagenticProgressLedger:
        spoken = sum(" after " in message.text for message in magentic_context.chat_history if message.author_name)
        stalls = "stall" in magentic_context.task and magentic_context.reset_count == 0
        return ledger(spoken >= 3, ("ada", "bob")[magentic_context.round_count % 2], progress=not stalls)

    async def prepare_final_answer(self, magentic_context: MagenticContext) -> Message:
        return Message("assistant", [f"Final: {magentic_context.chat_history[-1].text}"], author_name="manager")


def in_turn(state: GroupChatState) -> str:
    """Select the speakers of a group chat one after the other."""
    return list(state.participants)[state.current_round % len(state.participants)]


async def join(results: list[AgentExecutorResponse]) -> str:
    """Join what the participants said."""
    return " & ".join(f"{result.executor_id}={result.agent_response.text}" for result in results)


def said_goodbye(conversation: list[Message]) -> bool:
    """Whether the last message is a goodbye."""
    return bool(conversation) and "goodbye" in conversation[-1].text


def _speakers() -> list[Agent]:
    return [scripted_agent(name, speaker(name), description=f"{name} speaks") for name in ("ada", "bob")]


def _desks() -> list[Agent]:
    return [
        scripted_agent(script.__name__, script, require_per_service_call_history_persistence=True)
        for script in (triage, refunds, shipping)
    ]


def _sequential(name: str) -> Workflow:
    builder = SequentialBuilder(
        name=name, participants=_speakers(), output_from=["bob"], intermediate_output_from="all_other"
    )
    return builder.build()


def _sequential_reviewed() -> Workflow:
    return SequentialBuilder(name="sequential-with-review", participants=_speakers()).with_request_info().build()


def _concurrent() -> Workflow:
    return ConcurrentBuilder(name="concurrent", participants=_speakers()).build()


def _concurrent_joined() -> Workflow:
    builder = ConcurrentBuilder(name="concurrent-with-aggregator", participants=_speakers())
    return builder.with_aggregator(join).build()


def _concurrent_reviewed() -> Workflow:
    builder = ConcurrentBuilder(name="concurrent-with-review", participants=_speakers())
    return builder.with_request_info(agents=["ada"]).build()


def _handoff(name: str) -> HandoffBuilder:
    desks = _desks()
    return HandoffBuilder(name=name, participants=desks, termination_condition=said_goodbye).with_start_agent(desks[0])


def _handoff_autonomous() -> Workflow:
    builder = _handoff("handoff-autonomous").with_autonomous_mode(agents=["refunds"], turn_limits={"refunds": 2})
    return builder.build()


def _group_chat(name: str) -> GroupChatBuilder:
    return GroupChatBuilder(name=name, participants=_speakers(), selection_func=in_turn, max_rounds=3)


def _group_chat_led() -> Workflow:
    builder = GroupChatBuilder(
        name="group-chat-with-agent", participants=_speakers(), orchestrator_agent=scripted_agent("chair", chair)
    )
    return builder.build()


def _magentic(name: str, **options: Any) -> Workflow:
    builder = MagenticBuilder(
        name=name, participants=_speakers(), manager_factory=lambda: ScriptedManager(max_stall_count=0), **options
    )
    return builder.build()


def _magentic_standard() -> Workflow:
    agent = scripted_agent("manager", manager)
    return MagenticBuilder(name="magentic-with-agent", participants=_speakers(), manager_agent=agent).build()


def _say(text: str) -> Callable[[HandoffAgentUserRequest], list[Message]]:
    return lambda request: HandoffAgentUserRequest.create_response(text)


def _review(request: AgentExecutorResponse) -> AgentRequestInfoResponse:
    if "please" in request.agent_response.text:
        return AgentRequestInfoResponse.approve()
    return AgentRequestInfoResponse.from_strings(["more please"])


def _review_plan(request: MagenticPlanReviewRequest) -> MagenticPlanReviewResponse:
    return request.approve() if "shorter" in request.plan.text else request.revise("shorter")


def _row(name: str, feature: str, build: Callable[[], Workflow], *turns: Turn) -> Row:
    return Row(name=name, feature=feature, group="Orchestrations", build=build, turns=turns)


ROWS: tuple[Row, ...] = (
    _row(
        "sequential",
        "Sequential",
        lambda: _sequential("sequential"),
        Turn(message="hello"),
        Turn(message=[Message("user", ["and again"])]),
    ),
    _row(
        "sequential-streaming",
        "Sequential, streaming",
        lambda: _sequential("sequential-streaming"),
        Turn(message="hello", stream=True),
    ),
    _row(
        "sequential-with-review",
        "Sequential with a human's review",
        _sequential_reviewed,
        Turn(message="hello"),
        *(Turn(respond=answer_all(_review)) for _ in range(3)),
    ),
    _row("concurrent", "Concurrent", _concurrent, Turn(message="hello"), Turn(message="again", stream=True)),
    _row("concurrent-with-aggregator", "Concurrent with an aggregator", _concurrent_joined, Turn(message="hello")),
    _row(
        "concurrent-with-review",
        "Concurrent with a human's review",
        _concurrent_reviewed,
        Turn(message="hello"),
        *(Turn(respond=answer_all(_review)) for _ in range(2)),
    ),
    _row(
        "handoff",
        "Handoff",
        lambda: _handoff("handoff").build(),
        Turn(message="good morning"),
        Turn(respond=answer_all(_say("refunds please"))),
        Turn(respond=answer_all(_say("where is my parcel")), stream=True),
    ),
    _row(
        "handoff-through-start",
        "Handoff with responses through the start agent",
        lambda: _handoff("handoff-through-start").enable_return_to_previous(False).build(),
        Turn(message="refunds"),
        Turn(respond=answer_all(_say("shipping"))),
    ),
    _row("handoff-autonomous", "Handoff in autonomous mode", _handoff_autonomous, Turn(message="refunds now")),
    _row("group-chat", "Group chat", lambda: _group_chat("group-chat").build(), Turn(message="hello")),
    _row("group-chat-with-agent", "Group chat led by an agent", _group_chat_led, Turn(message="hello")),
    dataclasses.replace(
        _row(
            "group-chat-with-review",
            "Group chat with a human's review",
            lambda: _group_chat("group-chat-with-review").with_request_info(agents=["bob"]).build(),
            Turn(message="hello"),
            *(Turn(respond=answer_all(_review)) for _ in range(2)),
        ),
        side_by_side=True,
    ),
    _row("magentic", "Magentic", lambda: _magentic("magentic"), Turn(message="build a house")),
    _row(
        "magentic-replan",
        "Magentic that stalls and plans again",
        lambda: _magentic("magentic-replan"),
        Turn(message="stall at first"),
    ),
    _row("magentic-with-agent", "Magentic with the standard manager", _magentic_standard, Turn(message="build")),
    _row(
        "magentic-plan-review",
        "Magentic with a human's review of the plan",
        lambda: _magentic("magentic-plan-review", enable_plan_review=True),
        Turn(message="build a house"),
        Turn(respond=answer_all(_review_plan)),
        Turn(respond=answer_all(_review_plan)),
    ),
)
