"""Rows of the human in the loop: requests out of a workflow and the responses to them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Never

from agent_framework import (
    Executor,
    SubWorkflowRequestMessage,
    SubWorkflowResponseMessage,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowExecutor,
    handler,
    response_handler,
)
from pydantic import BaseModel

from tests.parity.gallery._row import Row, Turn, answer, answer_all


class Purchase(BaseModel):
    """Something to buy."""

    item: str
    price: int


class Approval(BaseModel):
    """Whether a purchase may be made."""

    granted: bool
    by: str = "nobody"


@dataclass
class Budget:
    """How much money there is."""

    limit: int
    currency: str = "EUR"


@dataclass
class BudgetQuestion:
    """Ask for the budget of a purchase."""

    purchase: Purchase


class Buyer(Executor):
    """Ask whether each purchase may be made."""

    @handler
    async def ask(self, purchase: Purchase, ctx: WorkflowContext) -> None:
        await ctx.request_info(purchase, Approval, request_id=f"buy-{purchase.item}")

    @handler
    async def ask_all(self, purchases: list[Purchase], ctx: WorkflowContext) -> None:
        for purchase in purchases:
            await ctx.request_info(purchase, Approval, request_id=f"buy-{purchase.item}")

    @response_handler
    async def decide(self, purchase: Purchase, approval: Approval, ctx: WorkflowContext[str, str]) -> None:
        verdict = f"{purchase.item}: {'yes' if approval.granted else 'no'} by {approval.by}"
        await ctx.yield_output(verdict)
        await ctx.send_message(verdict)


class Clerk(Executor):
    """Ask for a budget first and for a signature second; the ids of the requests are the framework's."""

    @handler
    async def ask(self, purchase: Purchase, ctx: WorkflowContext) -> None:
        await ctx.request_info(BudgetQuestion(purchase), Budget)

    @response_handler
    async def on_budget(self, question: BudgetQuestion, budget: Budget, ctx: WorkflowContext[Never, str]) -> None:
        ctx.set_state("limit", budget.limit)
        if question.purchase.price > budget.limit:
            await ctx.yield_output(f"{question.purchase.item}: over {budget.limit} {budget.currency}")
        else:
            await ctx.request_info(f"sign for {question.purchase.item}", bool)

    @response_handler
    async def on_signature(self, question: str, signed: bool, ctx: WorkflowContext[Never, str]) -> None:
        await ctx.yield_output(f"{question}: {signed} within {ctx.get_state('limit')}")


class Archive(Executor):
    """Keep every verdict in the shared state and yield them all."""

    @handler
    async def keep(self, verdict: str, ctx: WorkflowContext[Never, list[str]]) -> None:
        verdicts = [*ctx.get_state("verdicts", []), verdict]
        ctx.set_state("verdicts", verdicts)
        await ctx.yield_output(verdicts)


class Split(Executor):
    """Pass a purchase to both branches."""

    @handler
    async def split(self, purchase: Purchase, ctx: WorkflowContext[Purchase]) -> None:
        await ctx.send_message(purchase)


class Countdown(Executor):
    """Count down from the price in turns with another, while the other branch waits."""

    @handler
    async def start(self, purchase: Purchase, ctx: WorkflowContext[int]) -> None:
        await ctx.send_message(purchase.price)

    @handler
    async def count(self, left: int, ctx: WorkflowContext[int, str]) -> None:
        await ctx.yield_output(f"{self.id}: {left} left")
        if left > 0:
            await ctx.send_message(left - 1)


class Desk(Executor):
    """Decide a sub-workflow's small requests itself, and pass the large ones on to a human."""

    @handler
    async def start(self, purchases: list[Purchase], ctx: WorkflowContext[Purchase]) -> None:
        for purchase in purchases:
            await ctx.send_message(purchase)

    @handler
    async def intercept(
        self, request: SubWorkflowRequestMessage, ctx: WorkflowContext[SubWorkflowResponseMessage]
    ) -> None:
        purchase: Purchase = request.source_event.data
        if purchase.price <= 10:
            reply = request.create_response(Approval(granted=True, by=self.id))
            await ctx.send_message(reply, target_id=request.executor_id)
        else:
            ctx.set_state(purchase.item, request)
            await ctx.request_info(purchase, Approval, request_id=f"desk-{purchase.item}")

    @response_handler
    async def decided(
        self, purchase: Purchase, approval: Approval, ctx: WorkflowContext[SubWorkflowResponseMessage]
    ) -> None:
        request: SubWorkflowRequestMessage = ctx.get_state(purchase.item)
        await ctx.send_message(request.create_response(approval), target_id=request.executor_id)

    @handler
    async def done(self, verdict: str, ctx: WorkflowContext[Never, str]) -> None:
        await ctx.yield_output(f"{self.id} heard {verdict}")


def _buyer(name: str) -> Callable[[], Workflow]:
    def build() -> Workflow:
        buyer = Buyer(id="buyer")
        return WorkflowBuilder(name=name, start_executor=buyer).add_edge(buyer, Archive(id="archive")).build()

    return build


def _clerk() -> Workflow:
    return WorkflowBuilder(name="request-after-request", start_executor=Clerk(id="clerk")).build()


def _branches() -> Workflow:
    split, buyer, archive = Split(id="split"), Buyer(id="buyer"), Archive(id="archive")
    tick, tock = Countdown(id="tick"), Countdown(id="tock")
    builder = WorkflowBuilder(name="request-in-one-branch", start_executor=split)
    builder.add_fan_out_edges(split, [buyer, tick]).add_edge(buyer, archive)
    return builder.add_edge(tick, tock).add_edge(tock, tick).build()


def _child(name: str) -> Workflow:
    return WorkflowBuilder(name=name, start_executor=Buyer(id="child-buyer")).build()


def _propagated() -> Workflow:
    split, archive = Split(id="split"), Archive(id="archive")
    child = WorkflowExecutor(_child("sub-workflow-request-child"), id="child", propagate_request=True)
    return WorkflowBuilder(name="sub-workflow-request", start_executor=split).add_chain([split, child, archive]).build()


def _nested() -> Workflow:
    inner = WorkflowExecutor(
        _child("nested-sub-workflow-request-inner"), id="inner", propagate_request=True, allow_direct_output=True
    )
    entry, split = Split(id="entry"), Split(id="split")
    middle = WorkflowBuilder(name="nested-sub-workflow-request-middle", start_executor=entry).add_edge(entry, inner)
    outer = WorkflowExecutor(middle.build(), id="outer", propagate_request=True, allow_direct_output=True)
    return WorkflowBuilder(name="nested-sub-workflow-request", start_executor=split).add_edge(split, outer).build()


def _intercepted() -> Workflow:
    desk = Desk(id="desk")
    child = WorkflowExecutor(_child("sub-workflow-request-intercepted-child"), id="child")
    builder = WorkflowBuilder(name="sub-workflow-request-intercepted", start_executor=desk)
    return builder.add_edge(desk, child).add_edge(child, desk).build()


def _frugal(purchase: Purchase) -> Approval:
    return Approval(granted=purchase.price < 50, by="eve")


def _row(name: str, feature: str, build: Callable[[], Workflow], *turns: Turn) -> Row:
    return Row(name=name, feature=feature, group="Human in the loop", build=build, turns=turns)


_LAMP, _CAR = Purchase(item="lamp", price=5), Purchase(item="car", price=90)
_YES, _NO = Approval(granted=True, by="eve"), Approval(granted=False, by="bob")

ROWS: tuple[Row, ...] = (
    _row(
        "request",
        "Request and response",
        _buyer("request"),
        Turn(message=_LAMP),
        Turn(respond=answer_all(_frugal)),
        Turn(message=_CAR, stream=True),
        Turn(respond=answer_all(_frugal), stream=True),
    ),
    _row(
        "requests-one-by-one",
        "Several requests, answered one by one",
        _buyer("requests-one-by-one"),
        Turn(message=[_LAMP, _CAR]),
        Turn(respond=answer(**{"buy-car": _NO})),
        Turn(respond=answer(**{"buy-lamp": _YES}), stream=True),
    ),
    _row(
        "requests-at-once",
        "Several requests, answered at once",
        _buyer("requests-at-once"),
        Turn(message=[_LAMP, _CAR]),
        Turn(respond=answer(**{"buy-lamp": _YES, "buy-car": _NO})),
    ),
    _row(
        "message-while-waiting",
        "Message while requests are pending, which wait on",
        _buyer("message-while-waiting"),
        Turn(message=_LAMP),
        Turn(message=_CAR, stream=True),
        Turn(respond=answer(**{"buy-lamp": _YES})),
        Turn(message=[_LAMP.model_copy(update={"item": "desk"}), _LAMP.model_copy(update={"item": "bed"})]),
        Turn(respond=answer(**{"buy-car": _NO, "buy-bed": _YES}), stream=True),
        Turn(respond=answer(**{"buy-desk": _NO})),
    ),
    _row(
        "response-as-json",
        "Response given as JSON and converted to its type",
        _buyer("response-as-json"),
        Turn(message=_LAMP),
        Turn(respond=answer(**{"buy-lamp": {"granted": True, "by": "eve"}})),
    ),
    _row(
        "request-after-request",
        "Request from a response handler, with request ids of the framework",
        _clerk,
        Turn(message=_CAR),
        Turn(respond=answer_all(lambda question: {"limit": 100})),
        Turn(respond=answer_all(lambda question: True)),
        Turn(message=_CAR),
        Turn(respond=answer_all(lambda question: Budget(limit=50, currency="USD"))),
    ),
    _row(
        "request-in-one-branch",
        "Request in one branch while another goes on",
        _branches,
        Turn(message=_LAMP.model_copy(update={"price": 2})),
        Turn(respond=answer(**{"buy-lamp": _YES})),
    ),
    _row(
        "sub-workflow-request",
        "Request in a sub-workflow, propagated",
        _propagated,
        Turn(message=_LAMP),
        Turn(respond=answer(**{"buy-lamp": _YES})),
        Turn(message=_CAR),
        Turn(respond=answer(**{"buy-car": _NO})),
    ),
    _row(
        "nested-sub-workflow-request",
        "Request in a sub-workflow of a sub-workflow, propagated",
        _nested,
        Turn(message=_CAR),
        Turn(respond=answer(**{"buy-car": _YES})),
    ),
    _row(
        "sub-workflow-request-intercepted",
        "Request in a sub-workflow, intercepted by the parent",
        _intercepted,
        Turn(message=[_LAMP]),
        Turn(message=[_CAR]),
        Turn(respond=answer(**{"desk-car": _NO})),
    ),
)
