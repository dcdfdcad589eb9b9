"""Rows of the errors: what fails, how it fails, and whether the workflow goes on afterwards."""

from collections.abc import Callable, Sequence
from typing import Any, Never

from agent_framework import (
    AgentExecutor,
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowConvergenceException,
    WorkflowExecutor,
    handler,
    response_handler,
)
from pydantic import BaseModel

from tests.parity.gallery._row import Row, Turn, answer
from tests.parity.gallery._scripted import Prompt, Reply, scripted_agent


class OutOfStock(Exception):
    """An error with fields of its own, which cannot be built from its text alone."""

    def __init__(self, item: str, wanted: int) -> None:
        super().__init__(f"{wanted} of {item} wanted, none left")
        self.item = item
        self.wanted = wanted


class Confirmation(BaseModel):
    """Whether to go on."""

    sure: bool


class Stock(Executor):
    """Note a text in the shared state, fail on some, and pass the others on."""

    @handler
    async def take(self, text: str, ctx: WorkflowContext[str]) -> None:
        ctx.set_state("seen", [*ctx.get_state("seen", []), text])
        if text == "bad":
            raise ValueError("a bad text")
        if text == "gone":
            raise OutOfStock("pens", 3)
        await ctx.send_message(text)


class Hand(Executor):
    """Pass a text on."""

    @handler
    async def hand(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        await ctx.yield_output(f"{self.id} has {text}")
        await ctx.send_message(text)


class Sell(Executor):
    """Yield a text and what has been noted so far."""

    @handler
    async def sell(self, text: str, ctx: WorkflowContext[Never, list[str]]) -> None:
        await ctx.yield_output([text, *ctx.get_state("seen", [])])


class Spin(Executor):
    """Send a number to the other for ever."""

    @handler
    async def spin(self, number: int, ctx: WorkflowContext[int, int]) -> None:
        await ctx.yield_output(number)
        await ctx.send_message(number + 1)


class Careful(Executor):
    """Ask before it goes on."""

    @handler
    async def ask(self, text: str, ctx: WorkflowContext) -> None:
        await ctx.request_info(text, Confirmation, request_id="sure")

    @response_handler
    async def go_on(self, text: str, confirmation: Confirmation, ctx: WorkflowContext[Never, str]) -> None:
        if not confirmation.sure:
            raise PermissionError(f"{text} was refused")
        await ctx.yield_output(f"{text} was done")


def nowhere(message: str, targets: Sequence[str]) -> list[str]:
    """Select a target that does not exist."""
    return ["nowhere"] if message == "lost" else list(targets)


def unconditional(message: Any) -> bool:
    """Fail as a condition of an edge."""
    if message == "odd":
        raise LookupError("no rule for odd")
    return True


def offline(prompt: Prompt) -> Reply:
    """Fail as a model, once the user says so."""
    if prompt.user_texts[-1] == "fail":
        raise ConnectionError("the model is offline")
    return Reply(f"{len(prompt.messages)} messages")


def _stock(name: str) -> Callable[[], Workflow]:
    def build() -> Workflow:
        stock, sell = Stock(id="stock"), Sell(id="sell")
        return WorkflowBuilder(name=name, start_executor=stock).add_edge(stock, sell).build()

    return build


def _second() -> Workflow:
    hand, stock, sell = Hand(id="hand"), Stock(id="stock"), Sell(id="sell")
    builder = WorkflowBuilder(name="error-in-second-superstep", start_executor=hand)
    return builder.add_chain([hand, stock, sell]).build()


def _branch() -> Workflow:
    hand, stock, other, sell = Hand(id="hand"), Stock(id="stock"), Hand(id="other"), Sell(id="sell")
    builder = WorkflowBuilder(name="error-in-one-branch", start_executor=hand)
    return builder.add_fan_out_edges(hand, [stock, other]).add_edge(stock, sell).build()


def _child() -> Workflow:
    stock, sell = Stock(id="stock"), Sell(id="sell")
    child = WorkflowBuilder(name="error-in-sub-workflow-child", start_executor=stock).add_edge(stock, sell).build()
    hand = Hand(id="hand")
    executor = WorkflowExecutor(child, id="child", allow_direct_output=True)
    return WorkflowBuilder(name="error-in-sub-workflow", start_executor=hand).add_edge(hand, executor).build()


def _spin() -> Workflow:
    ping, pong = Spin(id="ping"), Spin(id="pong")
    builder = WorkflowBuilder(name="max-iterations", max_iterations=4, start_executor=ping)
    return builder.add_edge(ping, pong).add_edge(pong, ping).build()


def _select() -> Workflow:
    hand, targets = Hand(id="hand"), [Sell(id="near"), Sell(id="far")]
    builder = WorkflowBuilder(name="error-in-selection", start_executor=hand)
    return builder.add_multi_selection_edge_group(hand, targets, selection_func=nowhere).build()


def _condition() -> Workflow:
    hand, sell = Hand(id="hand"), Sell(id="sell")
    builder = WorkflowBuilder(name="error-in-condition", start_executor=hand)
    return builder.add_edge(hand, sell, condition=unconditional).build()


def _careful(name: str) -> Callable[[], Workflow]:
    def build() -> Workflow:
        return WorkflowBuilder(name=name, start_executor=Careful(id="careful")).build()

    return build


def _offline() -> Workflow:
    agent = AgentExecutor(scripted_agent("offline", offline), id="agent")
    return WorkflowBuilder(name="error-in-model", start_executor=agent).build()


def _row(name: str, feature: str, build: Callable[[], Workflow], *turns: Turn, checkpoints: bool = True) -> Row:
    return Row(name=name, feature=feature, group="Errors", build=build, turns=turns, checkpoints=checkpoints)


_SURE = Confirmation(sure=True)

ROWS: tuple[Row, ...] = (
    _row(
        "error",
        "Exception in an executor, and the next message after it",
        _stock("error"),
        Turn(message="one"),
        Turn(message="bad", raises=ValueError, match="a bad text"),
        Turn(message="two"),
    ),
    _row(
        "custom-error",
        "Exception of a custom class",
        _stock("custom-error"),
        Turn(message="gone", raises=OutOfStock, match="3 of pens wanted, none left", stream=True),
        Turn(message="one"),
    ),
    _row(
        "error-in-second-superstep",
        "Exception in a later superstep",
        _second,
        Turn(message="bad", raises=ValueError, match="a bad text"),
        Turn(message="one", stream=True),
    ),
    _row(
        "error-in-one-branch",
        "Exception in one of several branches",
        _branch,
        Turn(message="one"),
        Turn(message="bad", raises=ValueError, match="a bad text", stream=True),
        Turn(message="two", raises=RuntimeError, match="in-flight executor messages remain"),
    ),
    _row(
        "error-in-sub-workflow",
        "Exception in a sub-workflow",
        _child,
        Turn(message="one"),
        Turn(message="bad", raises=ValueError, match="a bad text"),
        Turn(message="two"),
        checkpoints=False,
    ),
    _row(
        "error-in-response-handler",
        "Exception in a response handler",
        _careful("error-in-response-handler"),
        Turn(message="leap"),
        Turn(respond=answer(sure=Confirmation(sure=False)), raises=PermissionError, match="leap was refused"),
        Turn(message="step"),
        Turn(respond=answer(sure=_SURE)),
    ),
    _row(
        "error-in-selection",
        "Selection of an unknown target",
        _select,
        Turn(message="lost", raises=RuntimeError, match="Invalid selection result"),
        Turn(message="found"),
    ),
    _row(
        "error-in-condition",
        "Exception in the condition of an edge",
        _condition,
        Turn(message="odd", raises=LookupError, match="no rule for odd"),
        Turn(message="even"),
    ),
    _row(
        "error-in-model",
        "Exception in the chat client of an agent",
        _offline,
        Turn(message="hello"),
        Turn(message="fail", raises=ConnectionError, match="the model is offline"),
    ),
    _row(
        "max-iterations",
        "Loop that runs into max_iterations",
        _spin,
        Turn(message=1, raises=WorkflowConvergenceException, match="did not converge after 4 iterations"),
        Turn(message=1, raises=RuntimeError, match="in-flight executor messages remain"),
    ),
    _row(
        "wrong-input",
        "Message of a type the start executor does not take",
        _stock("wrong-input"),
        Turn(message=7, raises=RuntimeError, match="cannot handle input of type 'int'"),
        Turn(message="one"),
    ),
    _row(
        "wrong-response",
        "Response of the wrong type, and the right one after it",
        _careful("wrong-response"),
        Turn(message="leap"),
        Turn(respond=answer(sure="yes"), raises=ValueError, match="Response type mismatch for request ID sure"),
        Turn(respond=answer(sure={"maybe": 1}), raises=ValueError, match="Response type mismatch"),
        Turn(respond=answer(sure=_SURE)),
    ),
    _row(
        "unknown-request",
        "Response to an unknown request",
        _careful("unknown-request"),
        Turn(message="leap"),
        Turn(respond=answer(other=_SURE), raises=ValueError, match="unknown request ID: other"),
        Turn(respond=answer(sure=_SURE)),
    ),
    _row(
        "nothing-pending",
        "Response when nothing is pending",
        _careful("nothing-pending"),
        Turn(respond=answer(sure=_SURE), raises=RuntimeError, match="No pending requests found"),
        Turn(message="leap"),
        Turn(respond=answer(sure=_SURE)),
        Turn(respond=answer(sure=_SURE), raises=RuntimeError, match="No pending requests found"),
    ),
)
