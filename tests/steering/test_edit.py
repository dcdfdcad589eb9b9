"""An edited checkpoint: a fork from it, and a thread that goes on from it, end as the same one does in process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage, Message, Workflow
from agent_framework_temporal import (
    AlreadyRunningError,
    Checkpoint,
    CheckpointEdit,
    CheckpointInfo,
    DurableWorkflow,
    Edit,
    EditRefusedError,
    HistoryCheckpointStorage,
    PayloadError,
    StaleCheckpointError,
    StartRefusedError,
    ThreadNotFoundError,
)
from agent_framework_temporal.adapter.encoding.differences import difference
from temporalio.client import Client

from tests.flows import LEDGER, Decision, Order, chain, echo, shop
from tests.sealing._rogue import connect
from tests.steering._essays import Style, Tally, booking, essay, joined, nested, talk
from tests.support import unique, worker, worker_process


def durable_of(client: Client, build: Callable[[], Workflow], task_queue: str, **options: Any) -> DurableWorkflow:
    """Return a facade of a workflow."""
    return DurableWorkflow(build, client=client, task_queue=task_queue, **options)


async def edited_of(durable: DurableWorkflow, thread: Checkpoint) -> CheckpointInfo:
    """Return the last checkpoint of a thread that a person has edited."""
    return [info for info in await durable.checkpoints(thread) if info.kind == "edit"][-1]


async def assert_as_in_process(
    client: Client,
    build: Callable[[], Workflow],
    durable: DurableWorkflow,
    thread: Checkpoint,
    responses: dict[str, Any] | None = None,
    *,
    after: int = -1,
) -> list[Any]:
    """Compare what became of an edit, and of responses to it, with the same in process; return the outputs."""
    history, storage = HistoryCheckpointStorage(client, build), InMemoryCheckpointStorage()
    edited = await history.load((await edited_of(durable, thread)).checkpoint_id)
    await storage.save(edited)
    in_process = build()
    here = [await in_process.run(checkpoint_id=edited.checkpoint_id, checkpoint_storage=storage)]
    stream = durable.run_stream(checkpoint=thread, after=after)
    there = [await stream.get_final_response()]
    if responses is not None:
        here.append(await in_process.run(responses=responses, checkpoint_storage=storage))
        there.append(await durable.run(responses=responses, checkpoint=thread))
    for ours, theirs in zip(there, here, strict=True):
        assert [event.type for event in ours] == [event.type for event in theirs]
        assert ours.get_outputs() == theirs.get_outputs()
        assert ours.get_final_state() is theirs.get_final_state()
        asked = [
            [(event.request_id, event.data) for event in side.get_request_info_events()] for side in (ours, theirs)
        ]
        assert asked[0] == asked[1]
    last = await history.load((await durable.checkpoints(thread))[-1].checkpoint_id)
    local = await storage.get_latest(workflow_name=edited.workflow_name)
    assert local is not None
    # A sub-workflow has an id and a time of its own in each.
    assert difference(last.state, local.state, free=("checkpoint_id", "timestamp")) is None
    assert list(last.pending_request_info_events) == list(local.pending_request_info_events)
    return [output for result in there for output in result.get_outputs()]


async def waiting(durable: DurableWorkflow, message: Any) -> Checkpoint:
    """Return a thread that waits for a response."""
    thread = durable.checkpoint()
    await durable.run(message, checkpoint=thread)
    return thread


async def at(durable: DurableWorkflow, thread: Checkpoint, superstep: int) -> str:
    """Return the id of a thread's first checkpoint of a superstep."""
    return next(info.checkpoint_id for info in await durable.checkpoints(thread) if info.superstep == superstep)


def _style(edit: CheckpointEdit) -> None:
    edit.state["style"] = Style(name="vivid", words=3)
    edit.state["pair"] = (2, "two")


def _message(edit: CheckpointEdit) -> None:
    edit.messages[0].data = "boats"


def _more(edit: CheckpointEdit) -> None:
    edit.send("planes", to="planner")


def _executor(edit: CheckpointEdit) -> None:
    edit.executor_state["writer"]["drafts"].append("by hand")


def _declared(edit: CheckpointEdit) -> None:
    edit.declare("pair", list[str])
    edit.state["pair"] = ["no", "pair"]


def _removed(edit: CheckpointEdit) -> None:
    del edit.state["ratio"]
    edit.state["added"] = {"by": ["hand"]}


@pytest.mark.parametrize(
    ("edit", "output"),
    [
        (_style, "published: trains in vivid style, 3 words, 2-two"),
        (_message, "published: boats in dull style"),
        (_more, "published: planes in dull style, 10 words, 1-one; trains in dull style"),
        (_executor, "; by hand | trains in dull style, 10 words, 1-one; 1"),
        (_declared, "10 words, no-pair"),
        (_removed, "published: trains in dull style"),
        ({"state": {"style": {"name": "terse"}}}, "published: trains in terse style, 10 words"),
        ({"state": {"ratio": 2, "pair": {"$type": "builtins:tuple", "value": [3, "three"]}}}, "10 words, 3-three"),
        ({"messages": [{"from": "planner", "data": "ships"}]}, "published: ships in dull style"),
        ({"messages": [{"to": "writer", "data": "kites"}]}, "published: kites in dull style"),
    ],
)
async def test_a_fork_in_the_middle(client: Client, edit: Edit, output: str) -> None:
    async with worker(client, essay) as task_queue:
        durable = durable_of(client, essay, task_queue)
        original = await waiting(durable, "trains")
        chosen = await at(durable, original, 1)
        before = await durable.checkpoints(original)
        forked = await durable.fork(chosen, edit=edit, edited_by="ada")
        outputs = await assert_as_in_process(client, essay, durable, forked, {"publish": True})
        assert len(outputs) == 1
        assert output in outputs[0]
        first, *rest = await durable.checkpoints(forked)
        assert (first.kind, first.edited_by, first.previous_checkpoint_id) == ("edit", "ada", chosen)
        assert first.edited_at == first.timestamp
        assert rest[0].previous_checkpoint_id == first.checkpoint_id
        assert all(info.edited_by is None for info in rest)
        assert await durable.checkpoints(original) == before


def _other_request(edit: CheckpointEdit) -> None:
    edit.pending["publish"].data = Style(name="another draft")


def _no_request(edit: CheckpointEdit) -> None:
    del edit.pending["publish"]


def _two_requests(edit: CheckpointEdit) -> None:
    edit.ask("writer", Style(name="second draft"), bool, request_id="second")


@pytest.mark.parametrize(
    ("edit", "pending", "output"),
    [
        (_other_request, ["publish"], "published: another draft; "),
        (_two_requests, ["publish", "second"], "published: trains in dull style"),
        ({"pending_requests": {"publish": {"request": {"name": "from JSON"}}}}, ["publish"], "published: from JSON; "),
        (_no_request, [], None),
    ],
)
async def test_a_fork_of_pending_requests(client: Client, edit: Edit, pending: list[str], output: str | None) -> None:
    async with worker(client, essay) as task_queue:
        durable = durable_of(client, essay, task_queue)
        original = await waiting(durable, "trains")
        chosen = (await durable.checkpoints(original))[-1].checkpoint_id
        forked = await durable.fork(chosen, edit=edit)
        answers = dict.fromkeys(pending, True) or None
        outputs = await assert_as_in_process(client, essay, durable, forked, answers)
        assert outputs[0].startswith(output) if output else outputs == []
        assert len(outputs) == len(pending)
        # Without a name it is the client's identity that edits.
        assert (await edited_of(durable, forked)).edited_by == client.identity


async def test_a_fork_with_responses_and_into_a_named_thread(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = durable_of(client, shop, task_queue)
        original = await waiting(durable, Order(item="pen"))
        chosen = (await durable.checkpoints(original))[-1].checkpoint_id
        name = unique("forked")
        forked = await durable.fork(
            chosen,
            edit={"state": {"orders": 5}},
            responses={"approve-pen": Decision(approved=True, by="eve")},
            checkpoint=name,
        )
        assert forked.thread_id == name
        assert (await durable.run(checkpoint=forked)).get_outputs() == ["pen approved by eve, order 5"]
        plain = await durable.fork(chosen, responses={"approve-pen": Decision(approved=False)})
        assert (await durable.run(checkpoint=plain)).get_outputs() == ["pen refused by nobody, order 1"]


async def test_an_edit_of_an_edit_by_its_id_alone(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        original = await waiting(durable := durable_of(client, shop, task_queue), Order(item="pen"))
        chosen = (await durable.checkpoints(original))[-1].checkpoint_id
        first = await durable.fork(chosen, edit={"state": {"orders": 5}}, checkpoint=f"a thread / of {unique('name')}")
        once = (await edited_of(durable, first)).checkpoint_id
        assert "/" not in once
        # Another process has seen nothing of either thread.
        second = await durable_of(client, shop, task_queue).fork(once, edit={"state": {"orders": 6}})
        assert (await edited_of(durable, second)).previous_checkpoint_id == once
        answered = await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=second)
        assert answered.get_outputs() == ["pen approved by nobody, order 6"]


_REFUSED: list[tuple[Edit, str]] = [
    ({"state": {"style": {"name": "x", "words": 0}}}, r"`state\['style'\]`: expected .*Style: .*words.*greater than"),
    ({"state": {"style": "vivid"}}, r"`state\['style'\]`: expected .*:Style, got a text"),
    ({"state": {"ratio": "much"}}, r"`state\['ratio'\]`: expected float, got a text"),
    ({"state": {"ratio": True}}, r"`state\['ratio'\]`: expected float, got true or false"),
    ({"state": {"added": {"$type": "os:system"}}}, r"`state\['added'\]`: 'os:system' is not a type"),
    ({"executor_state": {"nobody": {}}}, r"`executor_state\['nobody'\]`: there is no such executor"),
    (
        {"executor_state": {"writer": {"drafts": ["a", 2]}}},
        r"`executor_state\['writer'\]\['drafts'\]\[1\]`: expected str",
    ),
    ({"messages": [{"from": "writer", "data": "x"}]}, r"`messages\[0\]`: no edge leads from 'writer'"),
    ({"messages": [{"from": "planner", "data": 5}]}, r"`messages\[0\].data`: expected str, got a number"),
    ({"messages": [{"to": "writer"}]}, r"`messages\[0\]`: expected `from`, `to` and `data`"),
    ({"pending_requests": {"q": {"executor_id": "planner", "request": 1}}}, r"`pending_requests\['q'\]`: expected"),
    ({"state": {}, "other": 1}, "`other`: there is no such part"),
    ({"state": {"ratio": 0.5}}, "nothing was changed, so nothing was started"),
    (
        lambda edit: edit.state.update(style=Style.model_construct(name="x", words=0)),
        r"`state\['style'\]\.words`|words",
    ),
    (lambda edit: edit.state.update(pair=[1, "one"]), r"`state\['pair'\]`: expected tuple.*declare\('pair', ...\)"),
    (lambda edit: edit.state.update(odd=object()), r"`state\['odd'\]`: object is not a model"),
    (lambda edit: edit.send(5, to="writer"), r"`messages\[1\].data`: expected str, which 'writer' handles, got int"),
    (lambda edit: edit.send("x", to="nobody"), r"`messages\[1\]`: no edge leads from 'internal:nobody'"),
    (
        lambda edit: edit.ask("writer", "x", bool) and None,
        r"`pending\[.*\].data`: expected what executor 'writer' asks",
    ),
    (
        lambda edit: edit.ask("writer", Style(name="x"), str) and None,
        r"Style, answered by bool\), got .*answered by str",
    ),
    (
        lambda edit: edit.executor_state["writer"].update(drafts=[1]),
        r"`executor_state\['writer'\]\['drafts'\]`: expected list",
    ),
]


async def test_what_does_not_fit_is_refused_and_nothing_is_started(client: Client) -> None:
    async with worker(client, essay) as task_queue:
        durable = durable_of(client, essay, task_queue)
        original = await waiting(durable, "trains")
        chosen = await at(durable, original, 1)
        for edit, reason in _REFUSED:
            thread = unique("refused")
            with pytest.raises(EditRefusedError, match=reason):
                await durable.fork(chosen, edit=edit, checkpoint=thread)
            with pytest.raises(ThreadNotFoundError):
                await durable.checkpoints(thread)
            with pytest.raises(EditRefusedError, match=reason):
                await durable.edit(original, edit=edit, checkpoint_id=chosen)
        # All that is wrong is told at once.
        with pytest.raises(EditRefusedError) as caught:
            await durable.fork(chosen, edit={"state": {"ratio": "x"}, "messages": [{"from": "planner", "data": 5}]})
        assert len(caught.value.problems) == 2
        with pytest.raises(PayloadError, match="from its name"):
            await DurableWorkflow("essay-edited", client=client, task_queue=task_queue).fork(chosen, edit=_style)
        with pytest.raises(ValueError, match="edited_by"):
            await durable.fork(chosen, edit=_style, edited_by="")
        assert (await durable.run(responses={"publish": True}, checkpoint=original)).get_outputs()


async def test_in_place_while_it_waits(client: Client) -> None:
    """The run that waits takes the edit in one step; handles from before it go on to work, and nothing is lost."""
    async with worker(client, essay) as task_queue:
        durable = durable_of(client, essay, task_queue)
        original = await waiting(durable, "trains")
        other = Checkpoint.from_json(original.to_json())
        waits_at = (await durable.checkpoints(original))[-1].checkpoint_id
        given = await durable.edit(original, edit=_other_request, edited_by="ada")
        assert given is original
        info = await edited_of(durable, original)
        assert (info.edited_by, info.previous_checkpoint_id) == ("ada", waits_at)
        outputs = await assert_as_in_process(client, essay, durable, original, after=original.offset)
        assert outputs == []
        elsewhere = durable_of(client, essay, task_queue)
        answered = await elsewhere.run(responses={"publish": True}, checkpoint=other)
        assert answered.get_outputs()[0].startswith("published: another draft; ")
        infos = await durable.checkpoints(original)
        assert [info.previous_checkpoint_id for info in infos] == [None, *(info.checkpoint_id for info in infos[:-1])]
        assert [info.kind for info in infos].count("edit") == 1
        # The whole thread can be read again, over the edit.
        events = [event async for event in elsewhere.run_stream(checkpoint=original.thread_id, after=-1)]
        assert [event.data.name for event in events if event.type == "request_info"] == [
            "trains in dull style, 10 words, 1-one",
            "another draft",
        ]


@pytest.mark.parametrize("end", ["idle", "failed", "cancelled"])
async def test_in_place_of_a_thread_that_is_over(client: Client, end: str) -> None:
    async with worker(client, echo, shop) as task_queue:
        build = shop if end == "cancelled" else echo
        durable = durable_of(client, build, task_queue, max_attempts=1)
        thread = durable.checkpoint()
        edit: Edit = {"state": {"count": 7}}
        if end == "cancelled":
            await durable.run(Order(item="pen"), checkpoint=thread)
            await durable.cancel(thread)
            run = client.get_workflow_handle(thread.thread_id)
            while (await run.describe()).close_time is None:
                await asyncio.sleep(0.05)
            edit = {"state": {"orders": 7}}
        else:
            await durable.run("one", checkpoint=thread)
        if end == "failed":
            with pytest.raises(ValueError, match="told to fail"):
                await durable.run("fail", checkpoint=thread)
            edit = {"state": {"count": 7}, "messages": [{"to": "echo", "data": "instead"}]}
        last = (await durable.checkpoints(thread))[-1]
        await durable.edit(thread, edit=edit, edited_by="ada")
        outputs = await assert_as_in_process(client, build, durable, thread, after=thread.offset)
        assert outputs == (["instead 8"] if end == "failed" else [])
        if end == "cancelled":
            result = await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=thread)
            assert result.get_outputs() == ["pen approved by nobody, order 7"]
        else:
            result = await durable.run("next", checkpoint=thread)
            assert result.get_outputs() == [f"next {9 if end == 'failed' else 8}"]
        infos = await durable.checkpoints(thread)
        assert (await edited_of(durable, thread)).previous_checkpoint_id == last.checkpoint_id
        assert len({info.run_id for info in infos}) == {"idle": 3, "failed": 4, "cancelled": 2}[end]
        assert infos[0].previous_checkpoint_id is None


async def test_in_place_from_an_earlier_checkpoint(client: Client) -> None:
    async with worker(client, chain) as task_queue:
        durable = durable_of(client, chain, task_queue)
        thread = durable.checkpoint()
        await durable.run("a", checkpoint=thread)
        early = await at(durable, thread, 2)
        await durable.edit(thread, edit={"messages": [{"from": "second", "data": "b"}]}, checkpoint_id=early)
        outputs = await assert_as_in_process(client, chain, durable, thread, after=thread.offset)
        assert outputs == ["b>third done"]
        infos = await durable.checkpoints(thread)
        assert [info.superstep for info in infos] == [0, 1, 2, 3, 4, 5, 2, 3, 4, 5]
        assert infos[6].previous_checkpoint_id == early
        with pytest.raises(ThreadNotFoundError, match="no checkpoint to edit"):
            await durable.edit(unique("none"), edit=_style)


async def test_a_running_thread_is_left_alone(client: Client, tmp_path: Any) -> None:
    task_queue, ledger = unique("queue"), tmp_path / "ledger"
    async with worker_process(client, task_queue, ledger, delay=30.0):
        durable = durable_of(client, chain, task_queue)
        thread = durable.checkpoint()
        stream = durable.run_stream("a", checkpoint=thread)
        async with asyncio.timeout(50):
            async for event in stream:
                if event.type == "superstep_started":
                    break
        del stream
        with pytest.raises(AlreadyRunningError, match=f"`agent-framework-temporal cancel {thread.thread_id}`"):
            await durable_of(client, chain, task_queue).edit(thread.thread_id, edit=_more)
        await durable.cancel(thread)
    assert LEDGER  # The process wrote there.


async def test_answers_in_hand_are_not_lost(client: Client) -> None:
    """An answer to what is not asked yet would be forgotten by the next run: the edit waits for it."""
    async with worker(client, shop) as task_queue:
        durable = durable_of(client, shop, task_queue)
        thread = await waiting(durable, Order(item="pen"))
        run = client.get_workflow_handle(thread.thread_id)
        await run.signal("respond", {"request_id": "approve-later", "response": {"approved": True}})
        with pytest.raises(AlreadyRunningError, match="answers that are not delivered yet"):
            await durable.edit(thread, edit={"state": {"orders": 5}})
        result = await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=thread)
        assert result.get_outputs() == ["pen approved by nobody, order 1"]


async def test_an_answer_at_the_same_moment(client: Client) -> None:
    """Of an edit and an answer one comes first; whichever it is, the answer is told of or delivered, never dropped."""
    async with worker(client, shop) as task_queue:
        for _ in range(6):
            durable, other = (durable_of(client, shop, task_queue) for _ in range(2))
            thread = await waiting(durable, Order(item="pen"))
            handle = Checkpoint.from_json(thread.to_json())
            edited, answered = await asyncio.gather(
                durable.edit(thread, edit={"state": {"orders": 5}}),
                other.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=handle),
                return_exceptions=True,
            )
            if isinstance(edited, BaseException):
                assert isinstance(edited, AlreadyRunningError | StaleCheckpointError), edited
            if isinstance(answered, BaseException):
                assert not isinstance(edited, BaseException), answered
                answered = await other.run(
                    responses={"approve-pen": Decision(approved=True)}, checkpoint=thread.thread_id
                )
            order = 1 if isinstance(edited, BaseException) else 5
            assert answered.get_outputs() == [f"pen approved by nobody, order {order}"]


async def test_a_worker_that_takes_no_edits(client: Client) -> None:
    async with worker(client, shop, caller_checkpoints=False) as task_queue:
        durable = durable_of(client, shop, task_queue)
        thread = await waiting(durable, Order(item="pen"))
        last = (await durable.checkpoints(thread))[-1].checkpoint_id
        forked = await durable.fork(last, edit={"state": {"orders": 5}})
        with pytest.raises(StartRefusedError, match=r"a person has edited this checkpoint.*caller_checkpoints=False"):
            await durable.run(checkpoint=forked)
        await durable.edit(thread, edit={"state": {"orders": 5}})
        with pytest.raises(StartRefusedError, match="caller_checkpoints=False"):
            await durable.run(checkpoint=thread)
        # The thread stands where it was, and takes the answer.
        again = durable_of(client, shop, task_queue)
        result = await again.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=thread.thread_id)
        assert result.get_outputs() == ["pen approved by nobody, order 1"]


async def test_a_sub_workflow(client: Client) -> None:
    """A request is there twice, in the sub-workflow that asks and in the one around it: both are changed."""

    def deep(edit: CheckpointEdit) -> None:
        inner = edit.sub_workflows["child"]
        inner.executor_state["writer"]["drafts"].append("by hand")
        edit.pending["publish"].data = Style(name="another draft")

    async with worker(client, nested) as task_queue:
        durable = durable_of(client, nested, task_queue)
        original = await waiting(durable, "trains")
        last = (await durable.checkpoints(original))[-1].checkpoint_id
        forked = await durable.fork(last, edit=deep)
        outputs = await assert_as_in_process(client, nested, durable, forked, {"publish": True})
        assert outputs[0].startswith("published: another draft; ")
        assert "by hand" in outputs[0]
        removed = await durable.fork(
            last, edit=lambda edit: edit.sub_workflows["child"].pending.clear(), edited_by="ada"
        )
        assert await assert_as_in_process(client, nested, durable, removed) == []
        with pytest.raises(EditRefusedError, match=r"`sub_workflows\['child'\].state\['style'\]`: expected"):
            await durable.fork(last, edit={"sub_workflows": {"child": {"state": {"style": 5}}}})


async def test_a_fan_in_that_waits(client: Client) -> None:
    async with worker(client, joined) as task_queue:
        durable = durable_of(client, joined, task_queue)
        thread = durable.checkpoint()
        await durable.run("a", checkpoint=thread)
        chosen = await at(durable, thread, 3)

        def change(edit: CheckpointEdit) -> None:
            assert [message.data for message in edit.buffered] == ["a>quick"]
            edit.buffered[0].data = "by hand"

        forked = await durable.fork(chosen, edit=change)
        outputs = await assert_as_in_process(client, joined, durable, forked)
        assert outputs == ["a>slow>slower + by hand"]
        with pytest.raises(EditRefusedError, match=r"`buffered\[0\].data`: expected"):
            await durable.fork(chosen, edit=lambda edit: setattr(edit.buffered[0], "data", 5))


async def test_the_conversation_of_an_agent(client: Client) -> None:
    """It is a list of messages; JSON without a class becomes what the executor declares."""
    async with worker(client, talk) as task_queue:
        durable = durable_of(client, talk, task_queue)
        thread = durable.checkpoint()
        await durable.run("hello", checkpoint=thread)
        idle = (await durable.checkpoints(thread))[-1].checkpoint_id

        def say(edit: CheckpointEdit) -> None:
            edit.executor_state["ada"]["cache"].append(Message("user", ["remember trains"]))

        said = {"role": "user", "contents": [{"type": "text", "text": "remember trains"}]}
        for edit in (say, {"executor_state": {"ada": {"cache": [said]}}}):
            forked = await durable.fork(idle, edit=edit)
            await assert_as_in_process(client, talk, durable, forked)
            result = await durable.run("and now?", checkpoint=forked)
            assert "remember trains" in str(result.get_outputs()[0].text)
        with pytest.raises(EditRefusedError, match=r"`executor_state\['ada'\]\['cache'\]\[0\]`: expected"):
            await durable.fork(idle, edit={"executor_state": {"ada": {"cache": ["trains"]}}})


async def test_what_an_agent_has_heard_and_said(client: Client) -> None:
    """Its session tells the model the conversation: an edit of the one is an edit of the other."""

    def correct(edit: CheckpointEdit) -> None:
        conversation = edit.executor_state["ada"]["full_conversation"]
        conversation[0] = Message("user", ["good evening"])
        del conversation[1:]

    async with worker(client, talk) as task_queue:
        durable = durable_of(client, talk, task_queue)
        thread = durable.checkpoint()
        await durable.run("hello", checkpoint=thread)
        idle = (await durable.checkpoints(thread))[-1].checkpoint_id
        forked = await durable.fork(idle, edit=correct)
        await assert_as_in_process(client, talk, durable, forked)
        await durable.run("and now?", checkpoint=forked)
        last = (await durable.checkpoints(forked))[-1].checkpoint_id
        state = (await HistoryCheckpointStorage(client, talk).load(last)).state["_executor_state"]["ada"]
        said = state["full_conversation"][-1].text
        assert said == "said after ['good evening', 'and now?']"


async def test_the_approvals_of_an_agent(client: Client) -> None:
    """An agent keeps a list of its own of what it waits for: a request that is removed is none of those any more."""
    async with worker(client, booking) as task_queue:
        durable = durable_of(client, booking, task_queue)
        original = await waiting(durable, "two trains, please")
        last = (await durable.checkpoints(original))[-1].checkpoint_id
        history = HistoryCheckpointStorage(client, booking)
        asked = (await history.load(last)).pending_request_info_events
        kept, removed = asked

        def remove(edit: CheckpointEdit) -> None:
            del edit.pending[removed]

        for edit in (remove, {"pending_requests": {kept: {"request": {**asked[kept].data.to_dict(), "id": "other"}}}}):
            forked = await durable.fork(last, edit=edit)
            state = (await history.load((await edited_of(durable, forked)).checkpoint_id)).state["_executor_state"]
            waits = state["agent"]["pending_agent_requests"]
            assert list(waits) == ([kept] if edit is remove else [kept, removed])
            assert waits[kept].id == (asked[kept].data.id if edit is remove else "other")
        forked = await durable.fork(last, edit=remove)
        approval = asked[kept].data.to_function_approval_response(approved=True)
        outputs = await assert_as_in_process(client, booking, durable, forked, {kept: approval})
        # The call is in its conversation still, so it asks anew, as in process: to refuse a call is to answer it.
        assert outputs == []
        assert [request.request_id for request in await durable.pending_requests(forked)] == [removed]

        def lose(edit: CheckpointEdit) -> None:
            edit.executor_state["agent"]["pending_agent_requests"].clear()

        with pytest.raises(EditRefusedError, match=r"wait for responses\. Remove them from `pending`"):
            await durable.fork(last, edit=lose)


async def test_what_json_cannot_say_stays(client: Client) -> None:
    async with worker(client, essay) as task_queue:
        durable = durable_of(client, essay, task_queue)
        original = await waiting(durable, "trains")
        last = (await durable.checkpoints(original))[-1].checkpoint_id
        forked = await durable.fork(last, edit={"executor_state": {"writer": {"drafts": ["by hand"]}}})
        history = HistoryCheckpointStorage(client, essay)
        edited = await history.load((await edited_of(durable, forked)).checkpoint_id)
        tally = edited.state["_executor_state"]["writer"]["tally"]
        assert (type(tally), tally.count) == (Tally, 1)
        assert edited.state["numbers"] == {1: "a"}


async def test_sealed(client: Client) -> None:
    sealed = await connect(client)
    async with worker(sealed, shop) as task_queue:
        durable = durable_of(sealed, shop, task_queue)
        thread = await waiting(durable, Order(item="pen"))
        last = (await durable.checkpoints(thread))[-1].checkpoint_id
        forked = await durable.fork(last, edit={"state": {"orders": 5}}, edited_by="ada-lovelace")
        await durable.edit(thread, edit={"state": {"orders": 6}}, edited_by="eve")
        for handle, order, name in ((forked, 5, "ada-lovelace"), (thread, 6, "eve")):
            result = await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=handle)
            assert result.get_outputs() == [f"pen approved by nobody, order {order}"]
            assert (await edited_of(durable, handle)).edited_by == name
    async for event in client.get_workflow_handle(forked.thread_id).fetch_history_events():
        assert b"ada-lovelace" not in event.SerializeToString()


async def test_mirrors_get_it_too(client: Client) -> None:
    storage = InMemoryCheckpointStorage()
    async with worker(client, shop, mirrors={"copy": storage}) as task_queue:
        durable = durable_of(client, shop, task_queue, mirror="copy")
        thread = await waiting(durable, Order(item="pen"))
        await durable.edit(thread, edit={"state": {"orders": 5}}, edited_by="ada")
        await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=thread)
        ids = [info.checkpoint_id for info in await durable.checkpoints(thread)]
        async with asyncio.timeout(50):
            while set(await storage.list_checkpoint_ids(workflow_name="shop")) != set(ids):
                await asyncio.sleep(0.1)
        edited = await storage.load((await edited_of(durable, thread)).checkpoint_id)
        assert edited.metadata["edited_by"] == "ada"
        # And a thread begins from that copy.
        begun = durable.checkpoint()
        result = await durable.run(
            responses={"approve-pen": Decision(approved=True)},
            checkpoint_id=edited.checkpoint_id,
            checkpoint_storage=storage,
            checkpoint=begun,
        )
        assert result.get_outputs() == ["pen approved by nobody, order 5"]
