"""The replay tests would notice: each change of what the workflow decides fails the replay of what it is about."""

from __future__ import annotations

import importlib.metadata

import pytest
from agent_framework_temporal.workflows import limits
from temporalio.workflow import NondeterminismError

from tests.replay.mutations import COMPARED, NOTICED, UNNOTICED, Mutation, constant, method
from tests.replay.replaying import ChangedCommandsError, replay
from tests.replay.store import stored

VERSION = importlib.metadata.version("agent-framework-temporal")


async def _fails(scenario: str, error: type[Exception], *, exactly: bool) -> bool:
    """Tell whether a run of a scenario fails to replay, with that error and no other."""
    runs = stored(VERSION, scenario)
    assert runs, scenario
    failed = False
    for run in runs:
        try:
            await replay(run.history(), exactly=exactly)
        except error:
            failed = True
    return failed


@pytest.mark.parametrize("mutation", NOTICED, ids=lambda mutation: mutation.name)
async def test_temporal_notices(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation.apply(monkeypatch)
    for scenario in mutation.scenarios:
        assert await _fails(scenario, NondeterminismError, exactly=False), scenario


@pytest.mark.parametrize("mutation", COMPARED, ids=lambda mutation: mutation.name)
async def test_only_the_exact_replay_notices(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation.apply(monkeypatch)
    assert mutation.reason
    for scenario in mutation.scenarios:
        assert await _fails(scenario, ChangedCommandsError, exactly=True), scenario


@pytest.mark.parametrize("mutation", UNNOTICED, ids=lambda mutation: mutation.name)
async def test_what_is_in_no_command_is_not_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one is noticed after all it belongs into another table."""
    mutation.apply(monkeypatch)
    assert mutation.reason
    for scenario in mutation.scenarios:
        assert not await _fails(scenario, ChangedCommandsError, exactly=True), scenario


def test_each_limit_has_a_mutation() -> None:
    changed = {name for mutation in (*NOTICED, *COMPARED, *UNNOTICED) for name in mutation.constants}
    assert {name for name in vars(limits) if name.isupper()} <= changed


def test_a_name_that_is_gone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for apply in (constant("NO_SUCH_CONSTANT", int), method("NoSuchClass", "run", id), method("Growth", "no_such", id)):
        with pytest.raises((AttributeError, KeyError)):
            apply(monkeypatch)
