"""Rows of the agents: single ones and chains, with tools, approvals, sessions and arguments of the run."""

from collections.abc import Callable
from typing import Any, Never

from agent_framework import (
    AgentExecutor,
    AgentExecutorRequest,
    AgentExecutorResponse,
    Content,
    Executor,
    FunctionInvocationContext,
    Message,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowExecutor,
    WorkflowInvocationKwargs,
    handler,
    tool,
)
from pydantic import BaseModel

from tests.parity.gallery._row import Row, Turn, answer_all
from tests.parity.gallery._scripted import Call, Prompt, Reply, Script, scripted_agent


class Forecast(BaseModel):
    """What a forecaster answers."""

    city: str
    degrees: int


class Ask(Executor):
    """Send a question to an agent, after a note that needs no answer."""

    @handler
    async def ask(self, question: str, ctx: WorkflowContext[AgentExecutorRequest]) -> None:
        note = Message("user", ["Be kind."])
        await ctx.send_message(AgentExecutorRequest(messages=[note], should_respond=False))
        await ctx.send_message(AgentExecutorRequest(messages=[Message("user", [question])]))


class Shout(Executor):
    """Pass on what an agent said in upper case."""

    @handler
    async def shout(self, response: AgentExecutorResponse, ctx: WorkflowContext[AgentExecutorResponse]) -> None:
        await ctx.send_message(response.with_text(response.agent_response.text.upper()))


class Transcript(Executor):
    """Yield the whole conversation as text."""

    @handler
    async def write(self, response: AgentExecutorResponse, ctx: WorkflowContext[Never, list[str]]) -> None:
        await ctx.yield_output([f"{message.role}: {message.text}" for message in response.full_conversation])


async def temperature(city: str) -> str:
    """Tell the temperature in a city."""
    return f"{city} {len(city) * 3} degrees"


def rain(city: str) -> dict[str, Any]:
    """Tell whether it rains in a city."""
    return {"city": city, "rain": len(city) % 2 == 0}


async def broken(city: str) -> str:
    """Fail."""
    raise ConnectionError(f"no line to {city}")


async def transfer(amount: int) -> str:
    """Transfer an amount of money."""
    return f"transferred {amount}"


async def whoami(ctx: FunctionInvocationContext) -> str:
    """Tell who runs the workflow."""
    return f"{ctx.kwargs.get('user', 'nobody')} of {ctx.kwargs.get('tenant', 'nowhere')}"


def poet(prompt: Prompt) -> Reply:
    """Answer with what the user has said so far."""
    return Reply(f"{len(prompt.messages)} messages so far: {' | '.join(prompt.user_texts)}")


def critic(prompt: Prompt) -> Reply:
    """Comment on the last text."""
    return Reply(f"A critic of {len(prompt.messages)} messages read: {prompt.texts[-1]}")


def weather(prompt: Prompt) -> Reply:
    """Ask both tools about the city, then tell what they said."""
    if results := prompt.tool_results:
        return Reply(f"It is so: {'; '.join(results)}")
    city = prompt.user_texts[-1]
    return Reply("Let me look.", (Call("temperature", {"city": city}), Call("rain", {"city": city})))


def unlucky(prompt: Prompt) -> Reply:
    """Call a tool that fails, then tell its result."""
    if results := prompt.tool_results:
        return Reply(f"It failed: {results[-1]}")
    return Reply(calls=(Call("broken", {"city": prompt.user_texts[-1]}),))


def banker(prompt: Prompt) -> Reply:
    """Ask to transfer the amount the user names, then tell what came of it."""
    if results := prompt.tool_results:
        return Reply(f"Done: {'; '.join(results)}")
    return Reply(calls=tuple(Call("transfer", {"amount": int(word)}) for word in prompt.user_texts[-1].split()))


def guard(prompt: Prompt) -> Reply:
    """Ask a tool who runs the workflow, and tell that and the arguments of the client."""
    if results := prompt.tool_results:
        return Reply(f"It is {results[-1]}, by {prompt.kwargs.get('lane', 'any lane')}")
    return Reply(calls=(Call("whoami", {}),))


def forecaster(prompt: Prompt) -> Reply:
    """Answer in the shape of a forecast."""
    return Reply(Forecast(city=prompt.user_texts[-1], degrees=len(prompt.messages)).model_dump_json())


def _single(name: str, script: Script, *tools: Any, **options: Any) -> Callable[[], Workflow]:
    def build() -> Workflow:
        agent = scripted_agent(script.__name__, script, tools=list(tools), **options)
        return WorkflowBuilder(name=name, start_executor=AgentExecutor(agent, id="agent")).build()

    return build


def _approval(name: str) -> Callable[[], Workflow]:
    def build() -> Workflow:
        guarded = tool(transfer, approval_mode="always_require")
        agent = scripted_agent("banker", banker, tools=[guarded])
        executor, transcript = AgentExecutor(agent, id="agent"), Transcript(id="transcript")
        return WorkflowBuilder(name=name, start_executor=executor).add_edge(executor, transcript).build()

    return build


def _chain(name: str, context_mode: Any = None) -> Callable[[], Workflow]:
    def build() -> Workflow:
        writer = AgentExecutor(scripted_agent("poet", poet, instructions="Write."), id="writer")
        reader = AgentExecutor(scripted_agent("critic", critic), id="reader", context_mode=context_mode)
        return WorkflowBuilder(name=name, start_executor=writer).add_edge(writer, reader).build()

    return build


def _mixed() -> Workflow:
    ask, shout, transcript = Ask(id="ask"), Shout(id="shout"), Transcript(id="transcript")
    writer = AgentExecutor(scripted_agent("poet", poet), id="writer")
    reader = AgentExecutor(scripted_agent("critic", critic), id="reader")
    builder = WorkflowBuilder(name="agents-and-executors", start_executor=ask, output_from=[transcript])
    return builder.add_chain([ask, writer, shout, reader, transcript]).build()


def _guards() -> Workflow:
    first = AgentExecutor(scripted_agent("outer-guard", guard, tools=[whoami]), id="outer")
    second = AgentExecutor(
        scripted_agent("inner-guard", guard, tools=[whoami]),
        id="inner",
        context_mode="custom",
        context_filter=_questions,
    )
    return WorkflowBuilder(name="run-arguments", start_executor=first).add_edge(first, second).build()


def _nested_guard() -> Workflow:
    agent = AgentExecutor(scripted_agent("inner-guard", guard, tools=[whoami]), id="inner")
    child = WorkflowBuilder(name="agent-in-sub-workflow-child", start_executor=agent).build()
    executor = WorkflowExecutor(child, id="child", allow_direct_output=True)
    return WorkflowBuilder(name="agent-in-sub-workflow", start_executor=executor).build()


def _questions(messages: list[Message]) -> list[Message]:
    return [message for message in messages if message.role == "user"]


def _decide(request: Content) -> Content:
    arguments = (request.function_call and request.function_call.parse_arguments()) or {}
    return request.to_function_approval_response(int(arguments["amount"] or 0) < 100)


def _row(name: str, feature: str, build: Callable[[], Workflow], *turns: Turn) -> Row:
    return Row(name=name, feature=feature, group="Agents", build=build, turns=turns)


ROWS: tuple[Row, ...] = (
    _row("agent", "Agent", _single("agent", poet), Turn(message="A song please")),
    _row("agent-streaming", "Agent, streaming", _single("agent-streaming", poet), Turn(message="A song", stream=True)),
    _row(
        "agent-session",
        "Agent whose conversation spans several messages",
        _single("agent-session", poet),
        Turn(message="I am Ada"),
        Turn(message=Message("user", ["I like trains"]), stream=True),
        Turn(message=["Who am I?", "What do I like?"]),
    ),
    _row("agent-chain", "Chain of agents", _chain("agent-chain"), Turn(message="Rain"), Turn(message="Sun")),
    _row(
        "agent-chain-streaming",
        "Chain of agents, streaming",
        _chain("agent-chain-streaming"),
        Turn(message="Rain", stream=True),
    ),
    _row(
        "agent-context-mode",
        "Chain of agents that pass on only the last answer",
        _chain("agent-context-mode", "last_agent"),
        Turn(message="Rain"),
        Turn(message="Sun"),
    ),
    _row("agents-and-executors", "Agents between executors", _mixed, Turn(message="Snow"), Turn(message="Ice")),
    _row(
        "agent-tools",
        "Agent with tool calls",
        _single("agent-tools", weather, temperature, rain),
        Turn(message="Oslo"),
        Turn(message="Paris"),
    ),
    _row(
        "agent-tools-streaming",
        "Agent with tool calls, streaming",
        _single("agent-tools-streaming", weather, temperature, rain),
        Turn(message="Oslo", stream=True),
    ),
    _row(
        "agent-tool-error",
        "Agent with a tool that fails",
        _single("agent-tool-error", unlucky, broken),
        Turn(message="Oslo"),
    ),
    _row(
        "agent-structured-output",
        "Agent with structured output",
        _single("agent-structured-output", forecaster, default_options={"response_format": Forecast}),
        Turn(message="Oslo"),
        Turn(message="Paris", stream=True),
    ),
    _row(
        "agent-tool-approval",
        "Agent with tool approval",
        _approval("agent-tool-approval"),
        Turn(message="20"),
        Turn(respond=answer_all(_decide)),
        Turn(message="500", stream=True),
        Turn(respond=answer_all(_decide), stream=True),
    ),
    _row(
        "agent-tool-approvals",
        "Agent with several tool approvals at once",
        _approval("agent-tool-approvals"),
        Turn(message="20 500"),
        Turn(respond=answer_all(_decide)),
    ),
    _row(
        "agent-in-sub-workflow",
        "Agent in a sub-workflow, with arguments of the run",
        _nested_guard,
        Turn(message="Who?", function_invocation_kwargs={"user": "ada"}, client_kwargs={"lane": "fast lane"}),
        Turn(message="Once more?", function_invocation_kwargs={"child": {"user": "bob"}}, stream=True),
    ),
    _row(
        "run-arguments",
        "Arguments of the run for tools and clients",
        _guards,
        Turn(message="Who?", function_invocation_kwargs={"user": "ada"}, client_kwargs={"lane": "fast lane"}),
        Turn(
            message="And now?",
            function_invocation_kwargs=WorkflowInvocationKwargs(
                global_kwargs={"user": "ada", "tenant": "acme"}, executor_kwargs={"inner": {"user": "bob"}}
            ),
            client_kwargs={"outer": {"lane": "slow lane"}},
            stream=True,
        ),
        Turn(message="And without?"),
    ),
)
