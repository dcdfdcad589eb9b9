"""A tool's call in doubt whose policy is to ask: the agent's executor asks a person, and goes on by the answer."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from agent_framework import Content, InMemoryCheckpointStorage, WorkflowEvent, tool
from agent_framework.orchestrations import SequentialBuilder
from agent_framework_temporal.activities.hosting import host
from agent_framework_temporal.activities.journal.calls import RUN_AGAIN
from agent_framework_temporal.testing import Prompt, Reply, ToolCall, scripted_agent
from agent_framework_temporal.workflows.messages import ToolRule

from tests.journal._attempts import Attempts

REFUSED = "Error: Tool call invocation was rejected by user."


class LostError(BaseException):
    """The process is gone."""


class Shop:
    """A workflow of one agent that charges, packs and rings at once; charging can be lost."""

    def __init__(self, *, approval: Any = "never_require", alone: bool = False) -> None:
        self.ran: Counter[str] = Counter()
        self.asked = 0
        self.lose = 1

        @tool(approval_mode=approval)
        async def charge(amount: int) -> str:
            self.ran["charge"] += 1
            if self.lose:
                self.lose -= 1
                raise LostError
            return f"charged {amount}"

        @tool(approval_mode="never_require")
        async def pack() -> str:
            self.ran["pack"] += 1
            return "packed"

        def script(prompt: Prompt) -> Reply:
            self.asked += 1
            if prompt.tool_results:
                return Reply(" & ".join(prompt.tool_results))
            calls = [ToolCall("pack", {}), ToolCall("charge", {"amount": 1}), ToolCall("pack", {})]
            return Reply("right away", calls=(calls[1],) if alone else tuple(calls))

        def build() -> Any:
            return SequentialBuilder(
                name="shop", participants=[scripted_agent("seller", script, tools=[charge, pack])]
            ).build()

        self.build = build


async def _run(workflow: Any, stream: bool, message: Any = None, **kwargs: Any) -> list[WorkflowEvent[Any]]:
    if stream:
        return [event async for event in workflow.run(message, stream=True, **kwargs)]
    return list(await workflow.run(message, **kwargs))


def _requests(events: list[WorkflowEvent[Any]]) -> dict[str, Content]:
    return {event.request_id: event.data for event in events if event.type == "request_info"}


def _said(events: list[WorkflowEvent[Any]]) -> str:
    return "".join(event.data.text for event in events if event.type == "output")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("approved", [False, True])
async def test_a_person_says_whether_a_call_in_doubt_runs_again(stream: bool, alone: bool, approved: bool) -> None:
    shop = Shop(alone=alone)
    catalog = (await host(shop.build)).catalog
    rules = {"charge": ToolRule(in_doubt="ask")}
    attempts = Attempts(catalog, rules)
    with pytest.raises(LostError), attempts.attempt() as journal:
        await _run(shop.build(), stream, "buy")
    attempts.server.has = journal.packed
    for _ in range(2):  # An attempt that is lost after it has asked, and the next.
        workflow = shop.build()
        with attempts.attempt():
            requests = _requests(await _run(workflow, stream, "buy"))
        (asked,) = requests.items()
        assert asked[1].type == "function_approval_request"
        assert asked[1].function_call is not None
        assert (asked[1].function_call.name, asked[1].function_call.arguments) == ("charge", {"amount": 1})
        assert asked[1].additional_properties["reason"] == RUN_AGAIN
    assert shop.ran["charge"] == 1
    answer = {asked[0]: asked[1].to_function_approval_response(approved)}
    with Attempts(catalog, rules).attempt():
        events = await _run(workflow, stream, responses=answer)
    assert not _requests(events)
    charged = "charged 1" if approved else REFUSED
    # The framework puts what was asked behind what had been called beside it.
    assert _said(events).replace(" ", "") == (charged if alone else f"packed & packed & {charged}").replace(" ", "")
    assert shop.ran == Counter(charge=1 + approved, pack=0 if alone else 2)
    assert shop.asked == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("approval", ["never_require", "always_require"])
async def test_a_call_that_is_in_doubt_again_is_asked_again(stream: bool, approval: str) -> None:
    shop = Shop(approval=approval, alone=True)
    catalog = (await host(shop.build)).catalog
    storage = InMemoryCheckpointStorage()
    requests: dict[str, Content] = {}
    known: set[str] = set()
    start: dict[str, Any] = {"message": "buy"}
    for shop.lose in (0, 1, 1) if approval == "always_require" else (1, 1, 1):
        attempts = Attempts(catalog, {"charge": ToolRule(in_doubt="ask")})
        if shop.lose:
            with pytest.raises(LostError), attempts.attempt():
                await _run(shop.build(), stream, checkpoint_storage=storage, **start)
        with attempts.attempt():
            requests = _requests(await _run(shop.build(), stream, checkpoint_storage=storage, **start))
        assert len(requests) == 1
        assert not known & set(requests), "a request of its own"
        known |= set(requests)
        last = await storage.get_latest(workflow_name="shop")
        assert last is not None
        answers = {request_id: asked.to_function_approval_response(True) for request_id, asked in requests.items()}
        start = {"checkpoint_id": last.checkpoint_id, "responses": answers}
    with Attempts(catalog).attempt():
        assert _said(await _run(shop.build(), stream, checkpoint_storage=storage, **start)) == "charged 1"
    assert shop.ran == Counter(charge=3 if approval == "always_require" else 4)
