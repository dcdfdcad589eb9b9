"""A functional workflow has the facade's interface: hosted in any form, asked, answered, followed, forked, an agent."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import (
    FunctionalWorkflowAgent,
    InMemoryCheckpointStorage,
    RunContext,
    WorkflowEvent,
    WorkflowRunState,
    step,
    workflow,
)
from agent_framework_temporal import (
    AgentFrameworkPlugin,
    CodeChangedError,
    DurableWorkflow,
    ExecutorPolicy,
    HostingError,
    PayloadError,
    position_of,
)
from agent_framework_temporal.testing import Call, DurableTestEnvironment, assert_same_as_in_process
from temporalio.client import Client

from tests.functional import _flows
from tests.functional._flows import (
    GATE,
    Verdict,
    build_pipeline,
    build_pipeline_later,
    delegating,
    halting,
    impatient,
    instance,
    many,
    opaque,
    patient,
    paying,
    pipeline,
    review,
    unstorable,
    version_one,
    version_two,
)
from tests.functional._ledger import noted
from tests.sealing._rogue import connect
from tests.support import worker

_FAST = timedelta(milliseconds=20)


@pytest.mark.parametrize("source", [pipeline, instance, build_pipeline, build_pipeline_later, lambda: pipeline])
async def test_hosted_as_definition_instance_or_factory(client: Client, ledger: Path, source: Any) -> None:
    async with worker(client, source) as task_queue:
        durable = DurableWorkflow(source, client=client, task_queue=task_queue)
        result = await durable.run(2)
        assert durable.name == "pipeline"
    assert result.get_outputs() == ["published draft-10"]
    assert result.get_final_state() is WorkflowRunState.IDLE
    assert noted(ledger) == {"fetch 2": 1, "fetch 3": 1, "write draft-10": 1, "publish draft-10": 1}


async def test_threads_of_an_instance_run_beside_each_other(client: Client, ledger: Path) -> None:
    async with worker(client, instance) as task_queue:
        durable = DurableWorkflow(instance, client=client, task_queue=task_queue)
        runs = [durable.run(number, checkpoint=durable.checkpoint()) for number in range(5)]
        results = await asyncio.gather(*runs)
    assert [result.get_outputs() for result in results] == [[f"published draft-{4 * n + 2}"] for n in range(5)]


async def test_only_a_name_is_needed_to_run_it(client: Client) -> None:
    async with worker(client, pipeline) as task_queue:
        by_name = DurableWorkflow("pipeline", client=client, task_queue=task_queue)
        assert (await by_name.run(2)).get_outputs() == ["published draft-10"]


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(HostingError, match="Two workflows are named 'versioned'"):
        AgentFrameworkPlugin(workflows=[version_one, version_two])
    with pytest.raises(HostingError, match="takes a list"):
        AgentFrameworkPlugin(workflows=pipeline)  # type: ignore[arg-type]


async def test_same_as_in_process() -> None:
    async with DurableTestEnvironment.start([pipeline, review], replay_each_task=True) as environment:
        await assert_same_as_in_process(pipeline, [1, Call(message=2, stream=True)], environment)
        yes = Verdict(accepted=True, remark="fine")
        await assert_same_as_in_process(
            review.build(),
            [
                "tides",
                Call(responses={"auto::0": yes}, stream=True),
                Call(responses={"auto::0": yes, "auto::1": "Ann"}),
                "more",
                Call(responses={"auto::0": Verdict(accepted=False)}),
            ],
            environment,
        )


async def test_what_was_answered_need_not_be_answered_again(client: Client, ledger: Path) -> None:
    async with worker(client, review) as task_queue:
        durable = DurableWorkflow(review, client=client, task_queue=task_queue)
        [asked] = (await durable.run("tides")).get_request_info_events()
        result = await durable.run(responses={asked.request_id: Verdict(accepted=True)})
        [second] = result.get_request_info_events()
        with pytest.raises(ValueError, match="do not answer any of the currently-pending requests"):
            await durable.run(responses={asked.request_id: Verdict(accepted=False)})
        result = await durable.run(responses={second.request_id: "Ann"})
        assert result.get_outputs() == ["published tides for Ann"]
        # A new message begins anew, and asks anew.
        assert (await durable.run("winds")).get_request_info_events()
    assert noted(ledger) == {"write tides": 1, "publish tides": 1, "write winds": 1}


async def test_answered_by_signal_from_any_language(client: Client) -> None:
    """Schemas come from the response type; an answer that does not fit is refused, and the thread waits on."""
    async with worker(client, review, max_cached_workflows=0) as task_queue:
        durable = DurableWorkflow(review, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run("tides", checkpoint=checkpoint)
        [request] = await durable.pending_requests(checkpoint)
        assert (request.request_id, request.executor_id) == ("auto::0", "review")
        assert request.request == {"title": "tides", "words": 3}
        assert request.response_schema is not None
        assert set(request.response_schema["properties"]) == {"accepted", "remark"}
        handle = client.get_workflow_handle(checkpoint.thread_id)
        await handle.signal("respond", {"request_id": "auto::0", "response": {"accepted": "perhaps"}})
        await handle.signal("respond", {"request_id": "auto::0", "response": {"accepted": True}})
        while [found.request_id for found in await durable.pending_requests(checkpoint)] != ["auto::1"]:
            await asyncio.sleep(0.05)
        await handle.signal("respond", {"request_id": "auto::1", "response": "Ann"})
        result = await durable.run(checkpoint=checkpoint)
        assert result.get_outputs() == ["published tides for Ann"]


async def test_refused_answer_of_the_facade(client: Client) -> None:
    async with worker(client, review) as task_queue:
        durable = DurableWorkflow(review, client=client, task_queue=task_queue)
        await durable.run("tides")
        with pytest.raises(ValueError, match="type mismatch"):
            await durable.run(responses={"auto::0": "yes"})
        result = await durable.run(responses={"auto::0": Verdict(accepted=False, remark="dull")})
        assert result.get_outputs() == ["tides rejected: dull"]


async def test_cancelling_a_request_is_refused(client: Client) -> None:
    """The framework knows it of graphs only."""
    async with worker(client, review) as task_queue:
        durable = DurableWorkflow(review, client=client, task_queue=task_queue)
        await durable.run("tides")
        with pytest.raises(ValueError, match="cannot continue from a cancelled request"):
            await durable.cancel_pending_requests(["auto::0"])
        result = await durable.run(responses={"auto::0": Verdict(accepted=False, remark="dull")})
        assert result.get_outputs() == ["tides rejected: dull"]


async def test_as_agent(client: Client) -> None:
    async with worker(client, review) as task_queue:
        durable = DurableWorkflow(review, client=client, task_queue=task_queue)
        agent, here = durable.as_agent(), review.build().as_agent()
        assert isinstance(agent, FunctionalWorkflowAgent)
        for chosen in (agent, here):
            assert chosen.name == "review"
            asked: Any = await chosen.run("tides")
            [content] = asked.messages[-1].contents
            assert (content.type, content.id) == ("function_approval_request", "auto::0")
            assert list(chosen.pending_requests) == ["auto::0"]
            answered = await chosen.run(responses={"auto::0": Verdict(accepted=False, remark="dull")})
            assert answered.text == "tides rejected: dull"
        updates = [update.text async for update in durable.as_agent().run("winds", stream=True) if update.text]
        assert updates == []


async def test_changed_code_is_refused_as_in_process(client: Client) -> None:
    storage = InMemoryCheckpointStorage()
    await version_one.build(checkpoint_storage=storage).run(1)
    last = await storage.get_latest(workflow_name="versioned")
    assert last is not None
    with pytest.raises(ValueError, match="was created by a different version of workflow 'versioned'"):
        await version_two.build(checkpoint_storage=storage).run(checkpoint_id=last.checkpoint_id)
    async with worker(client, version_one) as task_queue:
        durable = DurableWorkflow(version_one, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(1, checkpoint=checkpoint)
    async with worker(client, version_two, task_queue=task_queue):
        changed = DurableWorkflow(version_two, client=client, task_queue=task_queue)
        with pytest.raises(ValueError, match="was created by a different version of workflow 'versioned'") as refused:
            await changed.run(responses={"auto::0": 5}, checkpoint=checkpoint)
        assert "step 'write' added" in str(refused.value)
        with pytest.raises(CodeChangedError, match="What differs"):
            await changed.run(
                checkpoint_id=last.checkpoint_id, checkpoint_storage=storage, checkpoint=changed.checkpoint()
            )
    async with worker(client, version_one, task_queue=task_queue):
        result = await durable.run(responses={"auto::0": 5}, checkpoint=checkpoint)
        assert result.get_outputs() == [7]


async def test_waits_through_continue_as_new(client: Client, ledger: Path) -> None:
    async with worker(client, review, cache_bytes=0) as task_queue:
        durable = DurableWorkflow(review, client=client, task_queue=task_queue, history_bytes_per_run=30_000)
        checkpoint = durable.checkpoint()
        await durable.run("tides", checkpoint=checkpoint)
        first = checkpoint.run_id
        handle = client.get_workflow_handle(checkpoint.thread_id)
        for number in range(40):
            await handle.signal("respond", {"request_id": 7, "response": "x" * 10_000, "number": number})
        while (await handle.describe()).run_id == first:
            await asyncio.sleep(0.05)
        await durable.run(responses={"auto::0": Verdict(accepted=True)}, checkpoint=checkpoint)
        result = await durable.run(responses={"auto::1": "Ann"}, checkpoint=checkpoint)
        assert result.get_outputs() == ["published tides for Ann"]
        assert checkpoint.run_id != first
        listed = await durable.checkpoints(checkpoint)
        assert [info.state for info in listed][-1] == "idle"
    assert noted(ledger) == {"write tides": 1, "publish tides": 1}


async def test_sealed(client: Client, ledger: Path) -> None:
    sealing = await connect(client)
    async with worker(sealing, _flows.retried, review) as task_queue:
        durable = DurableWorkflow(_flows.retried, client=sealing, task_queue=task_queue, retry_initial_interval=_FAST)
        checkpoint = durable.checkpoint()
        assert (await durable.run(1, checkpoint=checkpoint)).get_outputs()[0]["state"] == 2
        assert noted(ledger)["fetch 6"] == 1
        history = await client.get_workflow_handle(checkpoint.thread_id).fetch_history()
        assert b"publish" not in b"".join(event.SerializeToString() for event in history.events)


async def test_events_come_as_steps_finish(
    client: Client, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In process they come at the end; the sequence is the same."""
    gate = tmp_path / "gate"
    monkeypatch.setenv(GATE, str(gate))
    async with worker(client, halting) as task_queue:
        durable = DurableWorkflow(halting, client=client, task_queue=task_queue)
        events: list[WorkflowEvent[Any]] = []
        async for event in durable.run_stream(1):
            events.append(event)
            if (event.type, event.executor_id) == ("executor_invoked", "gated"):
                position = position_of(event)
                assert position is not None
                assert position.live
                assert [found.data for found in events if found.type == "executor_completed"] == [2, 4]
                gate.touch()  # Only what comes while the step runs lets it end.
    in_process = [event async for event in halting.build().run(1, stream=True)]
    assert [(event.type, event.executor_id, event.data) for event in events] == [
        (event.type, event.executor_id, event.data) for event in in_process
    ]


async def test_checkpoints_are_listed_and_forked(client: Client, ledger: Path) -> None:
    async with worker(client, review) as task_queue:
        durable = DurableWorkflow(review, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run("tides", checkpoint=checkpoint)
        await durable.run(responses={"auto::0": Verdict(accepted=True)}, checkpoint=checkpoint)
        infos = await durable.checkpoints(checkpoint)
        assert [(info.kind, info.state) for info in infos] == [
            ("step", "running"),
            ("superstep", "waiting"),
            ("superstep", "waiting"),
        ]
        _, waiting, later = infos
        forked = durable.checkpoint()
        no = {"auto::0": Verdict(accepted=False, remark="no")}
        result = await durable.run(checkpoint_id=waiting.checkpoint_id, responses=no, checkpoint=forked)
        assert result.get_outputs() == ["tides rejected: no"]
        # What was answered by then is remembered in a fork too.
        again = await durable.run(
            checkpoint_id=later.checkpoint_id, responses={"auto::1": "Bob"}, checkpoint=durable.checkpoint()
        )
        assert again.get_outputs() == ["published tides for Bob"]
        result = await durable.run(responses={"auto::1": "Ann"}, checkpoint=checkpoint)
        assert result.get_outputs() == ["published tides for Ann"]
    assert noted(ledger) == {"write tides": 1, "publish tides": 2}


async def test_argument_that_cannot_be_stored_is_told_of_by_its_class(client: Client, ledger: Path) -> None:
    async with worker(client, opaque) as task_queue:
        durable = DurableWorkflow(opaque, client=client, task_queue=task_queue, retry_initial_interval=_FAST)
        result = await durable.run(3)
    assert result.get_outputs() == [7]
    assert noted(ledger) == {"load 3": 1, "fails_once 3": 2}
    [invoked, _] = [event for event in result if event.type == "executor_invoked"]
    assert invoked.data == {"args": ("(tests.functional._flows:Connection)", 3), "kwargs": {}}


async def test_result_that_cannot_be_stored_fails_the_run_and_names_the_step(client: Client) -> None:
    async with worker(client, unstorable) as task_queue:
        durable = DurableWorkflow(unstorable, client=client, task_queue=task_queue)
        with pytest.raises(PayloadError, match=r"result of step 'connect'.*Connection"):
            await durable.run(3)


async def test_step_that_captures_runs_as_in_process(client: Client) -> None:
    """The framework cannot tell it from another; it is refused only where it would have to be replayed."""
    seen: list[int] = []

    @step
    async def capture(number: int) -> int:
        seen.append(number)
        return number

    @workflow
    async def capturing(number: int, ctx: RunContext) -> int:
        found = await capture(number)
        return found if number else found + int(await ctx.request_info("more?", int))

    async with worker(client, capturing) as task_queue:
        durable = DurableWorkflow(capturing, client=client, task_queue=task_queue, max_attempts=1)
        assert (await durable.run(1)).get_outputs() == [1]
        for runner in (durable, capturing.build()):
            with pytest.raises(ValueError, match="Use replay_key for captured state"):
                await runner.run(0)
    assert seen == [1, 0, 0]


async def test_key_of_a_step_is_the_same_in_each_attempt(client: Client, ledger: Path) -> None:
    async with worker(client, paying) as task_queue:
        durable = DurableWorkflow(
            paying, client=client, task_queue=task_queue, retry_initial_interval=_FAST, journal=False
        )
        await durable.run(5)
    keys = noted(ledger)
    assert sorted(count for line, count in keys.items() if line.startswith("key")) == [2, 2, 2]


async def test_policy_limits_a_step(client: Client, ledger: Path) -> None:
    policies = {"slow": ExecutorPolicy(timeout=timedelta(seconds=0.3))}
    async with worker(client, patient) as task_queue:
        durable = DurableWorkflow(
            patient, client=client, task_queue=task_queue, executors=policies, retry_initial_interval=_FAST
        )
        assert (await durable.run(2)).get_outputs() == [4]
    assert noted(ledger) == {"fetch 2": 1, "slow 4": 2}


async def test_step_that_is_given_up_is_over(client: Client, ledger: Path) -> None:
    """The steps after it are none within it: its end, which nobody tells of, is found out."""
    async with worker(client, impatient) as task_queue:
        durable = DurableWorkflow(impatient, client=client, task_queue=task_queue, retry_initial_interval=_FAST)
        assert (await durable.run(2)).get_outputs() == [[4, 3]]
    assert noted(ledger) == {"slow 2": 2, "fetch 2": 1, "fails_once 2": 2}


async def test_workflow_that_a_step_runs_by_itself_is_not_seen(client: Client, ledger: Path) -> None:
    async with worker(client, delegating) as task_queue:
        durable = DurableWorkflow(delegating, client=client, task_queue=task_queue, retry_initial_interval=_FAST)
        result = await durable.run(2)
    assert result.get_outputs() == [[["published draft-10"], 3]]
    steps = [event.executor_id for event in result if event.type == "executor_invoked"]
    assert steps == ["delegate", "fails_once"]
    assert noted(ledger) == {"fetch 2": 1, "fetch 3": 1, "write draft-10": 1, "publish draft-10": 1, "fails_once 2": 2}


async def test_many_steps_take_few_events_and_linear_bytes(client: Client) -> None:
    async with worker(client, many) as task_queue:
        durable = DurableWorkflow(many, client=client, task_queue=task_queue)
        sizes: list[int] = []
        for count in (50, 400):
            checkpoint = durable.checkpoint()
            await durable.run(count, checkpoint=checkpoint)
            history = await client.get_workflow_handle(checkpoint.thread_id).fetch_history()
            assert len(history.events) == 11
            sizes.append(sum(event.ByteSize() for event in history.events))
    assert sizes[1] < 9 * sizes[0]
