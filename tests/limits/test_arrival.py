"""What comes from outside and no reader could read back is refused where it arrives, in words; the rest goes on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow, PayloadError, RequestPolicy
from agent_framework_temporal.adapter.temporal.converter import FramedPayloadConverter
from agent_framework_temporal.workflows.messages import (
    ContinuedRun,
    RespondSignal,
    ResponseInput,
    RunInput,
    SuperstepInput,
    Value,
)
from agent_framework_temporal.workflows.start import INVALID_START
from agent_framework_temporal.workflows.value_limits import MAX_DEPTH, MAX_DIGITS, flaw, legible
from pydantic_core import from_json
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from tests.limits._odd import echo, nested
from tests.support import unique, worker

_LONG = 10**MAX_DIGITS
UNREADABLE = {
    "deep": (nested(MAX_DEPTH + 1), "nested more than 180 levels deep"),
    "deeper": (nested(240), "nested more than 180 levels deep"),
    "endless": (nested(5_000), "nested more than 180 levels deep"),
    "long": ([_LONG], "an integer of more than 4,300 digits"),
    "surrogate": (["\udc00"], "text that is no Unicode"),
    "surrogate key": ([{"\ud800": 1}], "text that is no Unicode"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_the_facade_refuses_it_before_anything_is_sent(kind: str, client: Client) -> None:
    value, words = UNREADABLE[kind]
    durable: Any = DurableWorkflow(echo, client=client, task_queue="none")
    checkpoint = durable.checkpoint()
    with pytest.raises(PayloadError, match=rf"The message \(list\) .*{words}"):
        await durable.run(value, checkpoint=checkpoint)
    for name in ("function_invocation_kwargs", "client_kwargs"):
        with pytest.raises(PayloadError, match=f"`{name}` .*{words}"):
            await durable.run([], checkpoint=checkpoint, **{name: {"data": value}})
    with pytest.raises(PayloadError, match=f"The message .*{words}"):
        await durable.schedule(unique("schedule"), value, cron="0 3 * * *")
    with pytest.raises(PayloadError, match=f"The default response .*{words}"):
        RequestPolicy(deadline=timedelta(hours=1), on_deadline="default", default=value)
    with pytest.raises(RPCError, match="not found"):
        await client.get_workflow_handle(checkpoint.thread_id).describe()


async def test_responses(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run([], checkpoint=checkpoint)
        length = (await client.get_workflow_handle(checkpoint.thread_id).describe()).history_length
        for value, words in UNREADABLE.values():
            with pytest.raises(PayloadError, match=rf"The response to request 'more' \(list\) .*{words}"):
                await durable.run(responses={"more": value}, checkpoint=checkpoint)
        described = await client.get_workflow_handle(checkpoint.thread_id).describe()
        assert described.history_length == length
        result = await durable.run(responses={"more": nested(MAX_DEPTH)}, checkpoint=checkpoint)
        assert result.get_outputs() == [MAX_DEPTH]


@pytest.mark.parametrize("cache_bytes", [0, 10_000_000], ids=["uncached", "cached"])
async def test_what_is_just_deep_enough_comes_through(cache_bytes: int, client: Client) -> None:
    """As message and as response, also of a run that has continued as new and of one that begins with it."""
    async with worker(client, echo, cache_bytes=cache_bytes) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        kwargs = {"data": nested(MAX_DEPTH - 1, 10**MAX_DIGITS - 1)}
        result = await durable.run(nested(MAX_DEPTH), checkpoint=checkpoint, function_invocation_kwargs=kwargs)
        assert result.get_outputs() == [MAX_DEPTH]
        forked = durable.checkpoint()
        more = {"more": nested(MAX_DEPTH)}
        result = await durable.run(responses=more, checkpoint_id=checkpoint.checkpoint_id, checkpoint=forked)
        assert result.get_outputs() == [MAX_DEPTH]
        result = await durable.run(responses=more, checkpoint=checkpoint, client_kwargs=kwargs)
        assert result.get_outputs() == [MAX_DEPTH]


def _raw(text: str) -> RawValue:
    return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=text.encode()))


def _json(depth: int) -> str:
    return "[" * depth + "1" + "]" * depth


def _answer(response: str, more: str = "") -> str:
    return f'{{"request_id": "more", "response": {response}{more}}}'


_ANSWERS = [
    _answer(_json(MAX_DEPTH + 1)),
    _answer(_json(197)),
    _answer(_json(240)),
    f"[{_answer('9' * 4_301)}]",
    _answer("[]", f', "client_kwargs": {{"value": {{"a": {_json(190)}}}}}'),
    _answer('["\\ud800"]'),
]


async def test_signals_and_updates_of_anybody(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run([], checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        for answer in _ANSWERS:
            await handle.signal("respond", _raw(answer))
            with pytest.raises(WorkflowUpdateFailedError) as caught:
                await handle.execute_update("respond", _raw(answer))
            assert "cannot be read back: it " in str(caught.value.cause) or "no JSON" in str(caught.value.cause)
        page = await handle.query("events", args=[-1, 500])
        rejected = [event["error"] for event in page["events"] if event["type"] == "response_rejected"]
        assert len(rejected) == len(_ANSWERS)
        assert rejected[0].startswith("The response to request 'more' cannot be read back: it is nested more than 180 ")
        assert "`client_kwargs` cannot be read back" in rejected[4]
        await handle.signal("respond", _raw(_answer(_json(MAX_DEPTH))))
        assert (await durable.run(checkpoint=checkpoint)).get_outputs() == [MAX_DEPTH]


_STARTS = [
    '{"workflow_name": "echo", "mode": "message", "message": {"value": @}}',
    '{"workflow_name": "echo", "mode": "message", "message": {"value": []}, "client_kwargs": {"value": @}}',
    '{"workflow_name": "echo", "mode": "responses", "responses": [{"request_id": "more", "response": @}]}',
    '{"workflow_name": "echo", "mode": "message", "message": {"value": []}, "options": {"requests": {"*": '
    '{"deadline": 9, "on_deadline": "default", "default": {"value": @}}}}}',
]


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 197, 250, 5_000])
async def test_a_start_of_anybody(depth: int, client: Client) -> None:
    async with worker(client, echo) as task_queue:
        thread_id = unique("foreign")
        for number, text in enumerate(_STARTS):
            handle = await client.start_workflow(
                "AgentFrameworkWorkflow",
                _raw(text.replace("@", _json(depth))),
                id=f"{thread_id}-{number}",
                task_queue=task_queue,
            )
            with pytest.raises(WorkflowFailureError) as caught:
                await handle.result()
            cause = caught.value.cause
            assert isinstance(cause, ApplicationError)
            assert cause.type == INVALID_START
            assert "nested more than 180 levels deep" in cause.message
            types = [event.event_type async for event in handle.fetch_history_events()]
            assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED not in types
            assert EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED not in types


def test_the_largest_value_fits_every_message_it_travels_in() -> None:
    """Queued and handed on, as a default response, and on its way to a superstep."""
    deepest = nested(MAX_DEPTH)
    answer = RespondSignal(request_id="a", response=deepest, client_kwargs=Value(value=deepest))
    continued = ContinuedRun(previous_run_id="r", queued=[[answer]], early=[answer], outputs=[deepest])
    converter = FramedPayloadConverter()
    for message in (
        RunInput(workflow_name="w", mode="continue", continued=continued, message=Value(value=deepest)),
        SuperstepInput(
            workflow_name="w", mode="responses", responses=[ResponseInput(request_id="a", response=deepest)]
        ),
    ):
        (read,) = converter.from_payloads(converter.to_payloads([message]), [type(message)])
        assert read == message
        assert read.flaw is None


@pytest.mark.parametrize(
    "text",
    [
        _json(5_000),
        '{"a": ' * 300 + '"]}"' + "}" * 300,
        f'{{"n": -{"9" * 5_000}, "s": "\\"]\\\\", "x": 1.{"2" * 5_000}}}',
        '["\\ud800", "\\ud83d\\ude00", "\\\\ud800", {"\\udc00": 1}]',
        "9" * 100_000,
    ],
)
def test_whatever_is_legible_can_be_read(text: str) -> None:
    shown = legible(text.encode())
    assert flaw(shown) is None
    from_json(shown)
    assert legible(shown) == shown


def test_what_can_be_read_stays_as_it_is() -> None:
    for text in ('{"a": [1, 2.5, "x\\u00e9\\n", null, true]}', "9" * MAX_DIGITS, f'"{"9" * 9_000}"', _json(MAX_DEPTH)):
        assert legible(text.encode()) == text.encode()
        assert flaw(text.encode()) is None


def test_an_input_that_was_taken_before_says_that_it_is_not_as_it_was_sent() -> None:
    """A superstep that did not heed it would run on words that stand for a value."""
    payload = _raw(_STARTS[2].replace("@", _json(250))).payload
    (step,) = FramedPayloadConverter().from_payloads([payload], [SuperstepInput])
    assert step.flaw == "it is nested more than 180 levels deep"
