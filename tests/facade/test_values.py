"""Values of callers over a real server: as message and as response they arrive as in process, or are refused there."""

from __future__ import annotations

import datetime
import pathlib
import uuid
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from agent_framework import (
    Content,
    Executor,
    Message,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowMessage,
    handler,
)
from agent_framework_temporal import Checkpoint, DurableWorkflow, PayloadError, RequestPolicy
from agent_framework_temporal.adapter.encoding.differences import difference
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from tests.support import worker
from tests.unit._given import (
    Area,
    Bag,
    Batch,
    Bill,
    Card,
    Colour,
    Last,
    Loose,
    Note,
    Odds,
    Person,
    Point,
    Price,
    Seat,
    Size,
    Span,
    Tag,
    Warn,
    When,
    given,
)

_construct: Any = Note.model_construct
_BERLIN = ZoneInfo("Europe/Berlin")
_ARRIVE: list[Callable[[], Any]] = [
    lambda: Batch([Warn(text="w"), Note(text="n")]),
    lambda: Price(100),
    lambda: Span(1, 3),
    lambda: Card(owner="o", pin=1234),
    lambda: Bag(content={"when": datetime.datetime(2026, 1, 1), "cost": Decimal("1.10"), "pair": (1, 2), 3: "three"}),
    lambda: {"when": datetime.datetime(2026, 1, 1), "note": Note(text="x"), 3: "three"},
    lambda: When(datetime.datetime(2026, 3, 28, 9, tzinfo=_BERLIN), datetime.time(1, 2, tzinfo=datetime.UTC)),
    lambda: Last(deque([1, 2, 3], maxlen=3), frozenset({"a"}), {(1, 2): "cell"}, (1, 2)),
    lambda: Area(w=2, h=3),
    lambda: Person(givenName="ann"),
    lambda: Bill(sum=Decimal("9.90")),
    lambda: Loose(known=1.5, more=(1, 2)),
    lambda: {(1, 2): "cell"},
    lambda: Odds(
        1j, ratio=Size.SMALL, key=uuid.UUID(int=7), path=pathlib.Path("a/b"), raw=b"\xff", point=Point(1, "p")
    ),
    lambda: [Note(text="a"), Point(1), Colour.RED, {1, 2}],
    lambda: (1, "a", None),
    lambda: pathlib.Path("a/b"),
    lambda: datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    lambda: Message("user", [Content.from_text("x", additional_properties={"k": (1, 2)})]),
    lambda: deque(["a"], 5),
]
_REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: Price(100, 19), "gross`: "),
    (lambda: Tag("a"), "name`: "),
    (lambda: Seat(row=0), "row`: "),
    (lambda: _construct(text=7), "text`: "),
]


async def _threads(client: Client, checkpoint: Checkpoint) -> int:
    return sum([1 async for _ in client.list_workflows(f"WorkflowId = '{checkpoint.thread_id}'")])


async def test_they_arrive_as_in_process(client: Client) -> None:
    async with worker(client, given) as task_queue:
        durable = DurableWorkflow(given, client=client, task_queue=task_queue, max_attempts=1)
        for make in _ARRIVE:
            local = given()
            expected = [*(await local.run(make())).get_outputs()]
            expected += (await local.run(responses={"another": make()})).get_outputs()
            checkpoint = durable.checkpoint()
            found = (await durable.run(make(), checkpoint=checkpoint)).get_outputs()
            # By somebody who has not seen the request, too, and so does not know what it asks for.
            forked = durable.checkpoint()
            at = checkpoint.checkpoint_id
            again = await durable.run(responses={"another": make()}, checkpoint_id=at, checkpoint=forked)
            found += (await durable.run(responses={"another": make()}, checkpoint=checkpoint)).get_outputs()
            assert difference(expected, found) is None
            assert difference(expected[1:], again.get_outputs()) is None
        wrapped = WorkflowMessage(data=Note(text="x"), source_id="me")
        assert (await durable.run(wrapped, checkpoint=durable.checkpoint())).get_outputs() == [Note(text="x")]


async def test_what_would_be_another_is_refused_before_anything_is_sent(client: Client) -> None:
    async with worker(client, given) as task_queue:
        durable = DurableWorkflow(given, client=client, task_queue=task_queue)
        waiting = durable.checkpoint()
        await durable.run("ask", checkpoint=waiting)
        length = (await client.get_workflow_handle(waiting.thread_id).describe()).history_length
        for make, place in _REFUSED:
            checkpoint = durable.checkpoint()
            with pytest.raises(PayloadError, match=rf"The message \(.*{place}"):
                await durable.run(make(), checkpoint=checkpoint)
            with pytest.raises(PayloadError, match=rf"The response to request 'another' \(.*{place}"):
                await durable.run(responses={"another": make()}, checkpoint=waiting)
            with pytest.raises(PayloadError, match=rf"`function_invocation_kwargs` \(.*{place}"):
                await durable.run("a", checkpoint=checkpoint, function_invocation_kwargs={"value": make()})
            assert await _threads(client, checkpoint) == 0
        assert (await client.get_workflow_handle(waiting.thread_id).describe()).history_length == length


async def test_a_client_without_types_is_refused_what_json_would_change(client: Client) -> None:
    async with worker(client, given) as task_queue:
        plain = DurableWorkflow("given", client=client, task_queue=task_queue)
        for value, place in (
            ({"at": datetime.datetime(2026, 1, 1)}, r"`\['at'\]`: datetime would become str"),
            ([(1, 2)], r"`\[0\]`: tuple would become list"),
            ({1: "a"}, "its keys would become others"),
            (Card(owner="o", pin=1), "`pin`: int would become another one"),
        ):
            with pytest.raises(PayloadError, match=place):
                await plain.run(value, checkpoint=plain.checkpoint())
        sent: list[Any] = [{"a": [1, None]}, Note(text="x"), Span(1, 3)]
        for one in sent:
            result = await plain.run(one, checkpoint=plain.checkpoint())
            assert len(result.get_outputs()) == 1


class Tool(Executor):
    """Yields what it was given as arguments for tools."""

    @handler
    async def take(self, text: str, ctx: WorkflowContext[Any, Any]) -> None:
        """Yield it."""
        await ctx.yield_output(ctx.get_state("_workflow_run_kwargs"))


def tool() -> Workflow:
    """Build the workflow."""
    return WorkflowBuilder(name="tool", start_executor=Tool(id="tool")).build()


async def test_arguments_for_tools(client: Client) -> None:
    kwargs = {"at": datetime.datetime(2026, 1, 1, tzinfo=_BERLIN), "pair": (1, 2), "plain": [1, "a"]}
    async with worker(client, tool) as task_queue:
        durable = DurableWorkflow(tool, client=client, task_queue=task_queue)
        (expected,) = (await tool().run("x", function_invocation_kwargs=kwargs)).get_outputs()
        result = await durable.run("x", function_invocation_kwargs=kwargs, checkpoint=durable.checkpoint())
        assert difference([expected], result.get_outputs()) is None


async def test_a_default_response(client: Client) -> None:
    default = Batch([Warn(text="w"), Note(text="n")])
    policy = RequestPolicy(deadline=datetime.timedelta(seconds=1), on_deadline="default", default=default)
    async with worker(client, given) as task_queue:
        durable = DurableWorkflow(given, client=client, task_queue=task_queue, requests=policy)
        checkpoint = durable.checkpoint()
        await durable.run("a", checkpoint=checkpoint)
        await client.get_workflow_handle(checkpoint.thread_id).result()
        assert (await durable.run(checkpoint=checkpoint)).get_outputs() == [default]
        refused = RequestPolicy(
            deadline=datetime.timedelta(seconds=1), on_deadline="default", default=Bag(content=[Seat(row=1)])
        )
        durable = DurableWorkflow(given, client=client, task_queue=task_queue, requests=refused)
        with pytest.raises(PayloadError, match=r"The default response \(Bag\) .*`content\[0\].row`"):
            await durable.run("a")


async def test_typed_text_of_anybody_is_refused_in_words(client: Client) -> None:
    """A message ends its run; an answer is refused, and its request waits for the next."""
    typed = '{"v":1,"shapes":{}}\n[]\n{"$decimal":"no number"}'
    async with worker(client, given) as task_queue:
        durable = DurableWorkflow(given, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run("a", checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        await handle.signal("respond", {"request_id": "another", "response": "b", "typed": typed})
        await handle.signal("respond", {"request_id": "another", "response": "c"})
        result = await durable.run(checkpoint=checkpoint)
        assert result.get_outputs() == ["c"]
        page = await handle.query("events", args=[-1, 500])
        (refused,) = [event for event in page["events"] if event["type"] == "response_rejected"]
        assert "cannot be read" in refused["error"]
        start = {"workflow_name": "given", "mode": "message", "message": {"value": "b", "typed": typed}}
        foreign = await client.start_workflow(
            "AgentFrameworkWorkflow", start, id=f"{checkpoint.thread_id}-2", task_queue=task_queue
        )
        with pytest.raises(WorkflowFailureError) as caught:
            await foreign.result()
        assert isinstance(caught.value.cause, ApplicationError)
        assert caught.value.cause.type == "PayloadError"
        assert "cannot be read" in caught.value.cause.message
