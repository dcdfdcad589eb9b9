"""Workflows of every kind that call models and tools, and a ledger of the calls in which an attempt can be lost.

Each is there twice, `<name>_run` and `<name>_stream`, so that one worker process can be killed in all of them at once.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Never

from agent_framework import (
    Agent,
    AgentResponse,
    AgentResponseUpdate,
    BaseAgent,
    BaseChatClient,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    Executor,
    FunctionInvocationContext,
    Message,
    ResponseStream,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowExecutor,
    handler,
    tool,
)
from agent_framework.orchestrations import (
    ConcurrentBuilder,
    GroupChatBuilder,
    HandoffBuilder,
    MagenticBuilder,
    SequentialBuilder,
)
from agent_framework_temporal.testing import Prompt, Reply, ScriptedChatClient, ToolCall
from pydantic import BaseModel

LEDGER_FILE = "TESTS_JOURNAL_LEDGER"
CRASH_AT = "TESTS_JOURNAL_CRASH_AT"
"""By flow, in JSON: the number of the call that does not come to an end, as do those after it."""


class LostError(BaseException):
    """The process is gone; nothing may catch it."""


class Ledger:
    """What was begun and ended, of each flow, in this process; in a file too, where several share one."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.crash_at: int | None = None
        """The number of the call in which this attempt is lost, and every one after it."""

    def start(self, crash_at: int | None) -> None:
        """Begin an attempt."""
        self.begun.clear()
        self.ended.clear()
        self.crash_at = crash_at

    @asynccontextmanager
    async def call(self, flow: str, label: str) -> AsyncIterator[None]:
        """Note a call; it never comes to an end where its attempt is lost."""
        if LEDGER_FILE in os.environ:
            _note(flow, "begin", label)
            points = json.loads(os.environ.get(CRASH_AT, "{}"))
            if flow in points and lines(Path(os.environ[LEDGER_FILE]), flow)["begin"].total() > points[flow]:
                await asyncio.Event().wait()
        elif self.crash_at is not None and self.begun.total() >= self.crash_at:
            self.begun[label] += 1
            raise LostError
        self.begun[label] += 1
        yield
        self.ended[label] += 1
        if LEDGER_FILE in os.environ:
            _note(flow, "end", label)


def _note(flow: str, what: str, label: str) -> None:
    with Path(os.environ[LEDGER_FILE]).open("a") as file:
        file.write(f"{flow} {what} {label}\n")


def lines(path: Path, flow: str) -> dict[str, Counter[str]]:
    """Return what a ledger's file says of a flow."""
    found: dict[str, Counter[str]] = {"begin": Counter(), "end": Counter()}
    for line in path.read_text().splitlines() if path.exists() else []:
        name, what, label = line.split(" ", 2)
        if name == flow:
            found[what][label] += 1
    return found


LEDGER = Ledger()


class Client(ScriptedChatClient):
    """A scripted client that notes its calls."""

    def __init__(self, *, flow: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flow = flow

    def _inner_get_response(
        self, *, messages: Sequence[Message], stream: bool, options: Mapping[str, Any], **kwargs: Any
    ) -> Awaitable[ChatResponse] | ResponseStream[ChatResponseUpdate, ChatResponse]:
        ask: Any = partial(super()._inner_get_response, messages=messages, stream=stream, options=options, **kwargs)
        label = f"model {self.name}"

        async def respond() -> ChatResponse:
            async with LEDGER.call(self.flow, label):
                response: ChatResponse = await ask()
                return response

        async def updates() -> AsyncIterator[ChatResponseUpdate]:
            async with LEDGER.call(self.flow, label):
                async for update in ask():
                    yield update

        return (
            self._build_response_stream(updates(), response_format=options.get("response_format"))
            if stream
            else respond()
        )


class BareClient(BaseChatClient):
    """A client without any layer of the framework's."""

    def __init__(self, flow: str) -> None:
        super().__init__()
        self.flow = flow

    def _inner_get_response(
        self, *, messages: Sequence[Message], stream: bool, options: Mapping[str, Any], **kwargs: Any
    ) -> Awaitable[ChatResponse] | ResponseStream[ChatResponseUpdate, ChatResponse]:
        said = f"bare after {len(messages)}"

        async def respond() -> ChatResponse:
            async with LEDGER.call(self.flow, "model bare"):
                return ChatResponse(messages=Message("assistant", [said]), response_id="bare")

        async def updates() -> AsyncIterator[ChatResponseUpdate]:
            async with LEDGER.call(self.flow, "model bare"):
                for word in said.split():
                    yield ChatResponseUpdate(contents=[Content.from_text(word)], role="assistant", response_id="bare")

        return self._build_response_stream(updates()) if stream else respond()


class ForeignClient:
    """A client that has nothing of the framework's but the method it calls."""

    additional_properties: dict[str, Any]

    def __init__(self, flow: str) -> None:
        self.additional_properties = {}
        self._client = BareClient(flow)

    def get_response(self, messages: Sequence[Message], *, stream: bool = False, **kwargs: Any) -> Any:
        """Answer."""
        return self._client._inner_get_response(messages=messages, stream=stream, options={})


class Verdict(BaseModel):
    """What a model answers where its answer has a format."""

    fine: bool
    why: str


class Flow:
    """Builds the parts of a workflow whose calls are noted under its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def agent(self, name: str, script: Callable[[Prompt], Reply], **kwargs: Any) -> Agent:
        """Build an agent."""
        client = Client(flow=self.name, name=name, script=script)
        return Agent(client, id=name, name=name, description=name, **kwargs)

    def buyer(self, **kwargs: Any) -> Agent:
        """Build an agent that calls three tools at once, one of which fails, and then a fourth."""

        @tool(approval_mode="never_require")
        async def charge(amount: int) -> str:
            """Charge an amount."""
            async with LEDGER.call(self.name, f"charge {amount}"):
                return f"charged {amount}"

        @tool(approval_mode="never_require")
        async def refuse() -> str:
            """Fail."""
            async with LEDGER.call(self.name, "refuse"):
                pass
            raise ValueError("out of stock")

        @tool(approval_mode="never_require")
        async def note(text: str, ctx: FunctionInvocationContext) -> str:
            """Note in the session."""
            async with LEDGER.call(self.name, "note"):
                assert ctx.session is not None
                notes = ctx.session.state.setdefault("notes", {"all": []})
                notes["all"].append(text)
                return f"{len(notes['all'])} notes"

        def buy(prompt: Prompt) -> Reply:
            match len(prompt.tool_results):
                case 0:
                    bought = [ToolCall("charge", {"amount": amount}) for amount in (1, 2)]
                    return Reply("buying", calls=(*bought, ToolCall("refuse", {})))
                case 3:
                    return Reply(calls=(ToolCall("note", {"text": "bought"}),))
                case _:
                    return Reply("a done: " + ", ".join(prompt.tool_results))

        return self.agent("a", buy, tools=[charge, refuse, note], **kwargs)

    def speaker(self, name: str, **kwargs: Any) -> Agent:
        """Build an agent that says something."""
        return self.agent(name, lambda prompt: Reply(f"{name} says {len(prompt.texts)}"), **kwargs)

    def sequential(self) -> Workflow:
        return SequentialBuilder(name=self.name, participants=[self.buyer(), self.speaker("b")]).build()

    def concurrent(self) -> Workflow:
        participants = [self.buyer(), self.speaker("b"), self.speaker("c")]
        return ConcurrentBuilder(name=self.name, participants=participants).build()

    def group_chat(self) -> Workflow:
        def lead(prompt: Prompt) -> Reply:
            said = sum("a done" in text or "b says" in text for text in prompt.texts)
            choice = {"terminate": said > 1, "reason": "r", "next_speaker": "ab"[said % 2], "final_message": "bye"}
            return Reply(json.dumps(choice))

        participants = [self.buyer(), self.speaker("b")]
        leader = self.agent("lead", lead)
        return GroupChatBuilder(
            name=self.name, participants=participants, orchestrator_agent=leader, max_rounds=3
        ).build()

    def handoff(self) -> Workflow:
        def triage(prompt: Prompt) -> Reply:
            return Reply(calls=(ToolCall("handoff_to_a", {}),))

        keeps = {"require_per_service_call_history_persistence": True}
        first, second = self.agent("triage", triage, **keeps), self.buyer(**keeps)
        builder = HandoffBuilder(name=self.name, participants=[first, second]).with_start_agent(first)
        return builder.with_autonomous_mode(agents=[second], turn_limits={"a": 1}).build()

    def magentic(self) -> Workflow:
        def manage(prompt: Prompt) -> Reply:
            said = [text for text in prompt.texts if "a done" in text]
            if "is_request_satisfied" not in prompt.texts[-1]:
                return Reply("plan, facts or an answer")
            answers = {
                "is_request_satisfied": bool(said),
                "is_in_loop": False,
                "is_progress_being_made": True,
                "next_speaker": "a",
                "instruction_or_question": "go",
            }
            return Reply(json.dumps({name: {"reason": "x", "answer": answer} for name, answer in answers.items()}))

        participants = [self.buyer(), self.speaker("b")]
        manager = self.agent("manager", manage)
        return MagenticBuilder(
            name=self.name, participants=participants, manager_agent=manager, max_round_count=3
        ).build()

    def sub_workflow(self) -> Workflow:
        participants = [self.buyer(), self.speaker("b")]
        inner = SequentialBuilder(name=f"{self.name}-inner", participants=participants).build()
        start = WorkflowExecutor(inner, id="sub", allow_direct_output=True)
        return WorkflowBuilder(name=self.name, start_executor=start).build()

    def custom_executor(self) -> Workflow:
        """Agents that an executor of the user's runs: beside each other, with an answer of a format, without layers."""
        return WorkflowBuilder(name=self.name, start_executor=Caller(self)).build()

    def custom_agent(self) -> Workflow:
        return SequentialBuilder(name=self.name, participants=[Twice(self), self.speaker("b")]).build()

    def agent_as_tool(self) -> Workflow:
        def ask(prompt: Prompt) -> Reply:
            if prompt.tool_results:
                return Reply("asked: " + prompt.tool_results[-1])
            return Reply(calls=(ToolCall("a", {"task": "buy"}),))

        asker = self.agent("asker", ask, tools=[self.buyer().as_tool()])
        return SequentialBuilder(name=self.name, participants=[asker]).build()


class Caller(Executor):
    """An executor that runs agents by itself."""

    def __init__(self, flow: Flow) -> None:
        super().__init__(id="caller")
        self._buyer, self._judge = flow.buyer(), flow.agent("judge", _judge)
        self._bare = Agent(BareClient(flow.name), id="bare", name="bare")
        self._foreign = Agent(ForeignClient(flow.name), id="foreign", name="foreign")
        self._twin = flow.speaker("twin")

    @handler
    async def call(self, message: str, ctx: WorkflowContext[Never, str]) -> None:
        """Run them, and say what they said."""
        streaming = ctx.is_streaming()
        judged, bought = await asyncio.gather(
            self._judge.run(message, options={"response_format": Verdict}), _said(self._buyer, message, streaming)
        )
        assert isinstance(judged.value, Verdict)
        twins = await asyncio.gather(*(_said(self._twin, "same", streaming) for _ in range(2)))
        bare = await _said(self._bare, message, streaming)
        foreign = await _said(self._foreign, message, streaming)
        await ctx.yield_output(f"{judged.value.why} | {bought} | {twins} | {bare} | {foreign}")


async def _said(agent: Agent, message: str, streaming: bool) -> str:
    session = agent.create_session()
    if not streaming:
        return (await agent.run(message, session=session)).text
    stream = agent.run(message, stream=True, session=session)
    texts = [update.text async for update in stream]
    assert (await stream.get_final_response()).text.startswith(texts[0])
    return "/".join(texts)


def _judge(prompt: Prompt) -> Reply:
    return Reply(Verdict(fine=True, why="it is cheap").model_dump_json())


class Twice(BaseAgent):
    """An agent of the user's that asks a client of the framework twice."""

    def __init__(self, flow: Flow) -> None:
        super().__init__(id="twice", name="twice")
        self._client = Client(flow=flow.name, name="twice", script=lambda prompt: Reply(f"twice {prompt.texts[-1]}"))

    def run(self, messages: Any = None, *, stream: bool = False, session: Any = None, **kwargs: Any) -> Any:
        """Ask, and ask again with the answer."""

        async def answer() -> Message:
            first = await self._client.get_response([Message("user", ["one"])])
            second = await self._client.get_response([Message("user", [first.text])])
            return Message("assistant", [second.text])

        async def respond() -> AgentResponse:
            return AgentResponse(messages=[await answer()])

        async def updates() -> AsyncIterator[AgentResponseUpdate]:
            message = await answer()
            yield AgentResponseUpdate(contents=message.contents, role="assistant")

        return ResponseStream(updates(), finalizer=AgentResponse.from_updates) if stream else respond()


KINDS = (
    "sequential",
    "concurrent",
    "group_chat",
    "handoff",
    "magentic",
    "sub_workflow",
    "custom_executor",
    "custom_agent",
    "agent_as_tool",
)


def _factory(kind: str, mode: str) -> Callable[[], Workflow]:
    def build() -> Workflow:
        workflow: Workflow = getattr(Flow(f"{kind}_{mode}"), kind)()
        return workflow

    return build


FACTORIES = {f"{kind}_{mode}": _factory(kind, mode) for kind in KINDS for mode in ("run", "stream")}
globals().update(FACTORIES)
