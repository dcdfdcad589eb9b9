"""What a run hands to the one it continues as, filled to every bound at once, fits a payload."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from agent_framework_temporal.activities.limits import MAX_PENDING_BYTES
from agent_framework_temporal.adapter.client.input_size import MAX_OPTIONS_BYTES
from agent_framework_temporal.adapter.temporal.converter import FramedPayloadConverter
from agent_framework_temporal.workflows.limits import MAX_EARLY, MAX_OUTPUTS_BYTES, MAX_QUEUED_BYTES, MAX_TAIL_BYTES
from agent_framework_temporal.workflows.log import EventLog
from agent_framework_temporal.workflows.messages import (
    CheckpointRef,
    ContinuedRun,
    EventRecord,
    PendingRequest,
    RequestRule,
    RespondSignal,
    RunInput,
    RunOptions,
    SuperstepInput,
    Value,
    json_bytes,
)
from agent_framework_temporal.workflows.requests.answers import Answers
from agent_framework_temporal.workflows.requests.signals import RejectedAnswerError

LIMIT = 2 * 1024 * 1024
TEXTS = {"ascii": "x", "wide": "字", "emoji": "\U0001f600", "escaped": "\x01"}


def _pending(text: str) -> list[PendingRequest]:
    found: list[PendingRequest] = []
    total = 0
    while True:
        request = PendingRequest(
            request_id=f"{len(found)} " + text * 60,
            thread_id="thread",
            executor_id="executor",
            asked_at="2026-01-01T00:00:00.000+00:00",
            request=text * 1_000,
            request_type="str",
            response_type="str",
        )
        total += json_bytes(request)
        if total > MAX_PENDING_BYTES:
            return found
        found.append(request)


def _fill(answers: Answers, text: str, *, early: bool) -> None:
    """Add the smallest answers there can be, whose ids take the most, until no more are taken."""
    for number in range(MAX_EARLY + 1_000):
        name = next(iter(answers.pending)) if not early else f"early {number} {text * 480}"
        answer = RespondSignal(request_id=name[:512], response=text * 3_000 if not early else None)
        with contextlib.suppress(RejectedAnswerError):
            answers.add([answer], busy=True, at="2026-01-01T00:00:00.000000+00:00")


@pytest.mark.parametrize("kind", TEXTS)
def test_at_every_bound(kind: str) -> None:
    text = TEXTS[kind]
    answers = Answers()
    answers.set_pending(_pending(text), settled=False)
    for number, request_id in enumerate(answers.pending):
        for _ in range(4):
            answers.refused(request_id, text * 512, text * 1_000, at=f"2026-01-01T00:00:{number:06}")
    for number in range(3_000):
        answers.delivered(f"answered {number} {text * 480}"[:512])
    _fill(answers, text, early=False)
    _fill(answers, text, early=True)
    log = EventLog(0)
    for _ in range(2_000):
        log.append(EventRecord(offset=0, type="output", data=text * 100))
    outputs: list[Any] = []
    while json_bytes(outputs) < MAX_OUTPUTS_BYTES:
        outputs.append(text * 100)
    default = Value(value="")
    while json_bytes(default) < MAX_OPTIONS_BYTES - 2_000:
        default.value += text * 100
    answering = [f"{number} {text * 480}"[:512] for number in range(1_000)]
    while json_bytes(answering) > MAX_QUEUED_BYTES:  # They came in one batch.
        answering.pop()
    continued = ContinuedRun(
        previous_run_id="01a21075-4a07-75e2-8560-61800835f561",
        executors=[f"executor {number}" for number in range(500)],
        answering=answering,
        outputs=outputs,
        events=log.tail(MAX_TAIL_BYTES),
    )
    answers.hand_on(continued)
    assert continued.queued
    assert continued.early
    assert continued.answered
    base = CheckpointRef(thread_id="t" * 1_000, run_id="r" * 36, checkpoint_id="c" * 49)
    options = RunOptions(requests={"*": RequestRule(default=default)})
    handed_on = RunInput(workflow_name="w", mode="continue", continued=continued, base=base, options=options)
    size = FramedPayloadConverter().to_payloads([handed_on])[0].ByteSize()
    assert 1_000_000 < size < LIMIT - 50_000, f"{size:,} bytes"


def test_a_superstep_takes_what_may_be_queued() -> None:
    responses = [RespondSignal(request_id=f"{number} {'x' * 480}"[:512]) for number in range(1_000)]
    while sum(map(json_bytes, responses)) > MAX_QUEUED_BYTES:
        responses.pop()
    step = SuperstepInput(
        workflow_name="w",
        mode="responses",
        responses=Answers.as_inputs(responses),
        answered=[answer.request_id for answer in responses],
    )
    assert json_bytes(step) < LIMIT // 2
