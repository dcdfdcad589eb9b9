"""Where a reader stands: each event once, whatever becomes of live ones, wherever the stream is cut."""

from __future__ import annotations

import random
from typing import Any

import pytest
from agent_framework import WorkflowEvent
from agent_framework_temporal import LiveEventsDiscarded
from agent_framework_temporal.adapter.client.event_position import position_of, set_position
from agent_framework_temporal.adapter.http.place import Place
from agent_framework_temporal.adapter.http.problems import ProblemError
from agent_framework_temporal.workflows.messages import LoggedEvent


def _event(offset: int, attempt: int, *, live: bool) -> WorkflowEvent[Any]:
    superstep = 0 if offset < 2 else 1 if offset < 4 else 2 if offset < 12 else 3
    event: WorkflowEvent[Any] = WorkflowEvent("output", data=(offset, attempt), executor_id="x")
    set_position(event, LoggedEvent(offset=offset, type="output", superstep=superstep, attempt=attempt), live=live)
    return event


class _Thread:
    """A thread of three activities, some of which are lost; the first one has the events before the first superstep."""

    def __init__(self, choice: random.Random) -> None:
        self._choice = choice
        self.steps = [(range(4), choice.choice((1, 2))), (range(4, 12), choice.choice((1, 2, 3))), (range(12, 15), 1)]
        self.done = 0
        """Supersteps that are committed."""
        self.attempt = 1
        self.told = 0
        """Events of the running attempt that are told live."""

    def pass_on(self) -> None:
        """Let a moment pass."""
        if self.done == len(self.steps):
            return
        offsets, attempts = self.steps[self.done]
        if self.told < len(offsets) and self._choice.random() < 0.7:
            self.told += 1
        elif self.attempt < attempts:
            self.attempt, self.told = self.attempt + 1, 0
        elif self.told == len(offsets) or self._choice.random() < 0.2:
            self.done, self.attempt, self.told = self.done + 1, 1, 0


class _Reader:
    """A stream as the facade gives it: committed events, then live ones; what was lost is taken back."""

    def __init__(self, thread: _Thread, after: int, choice: random.Random) -> None:
        self._thread = thread
        self._after = after
        self._choice = choice
        self._step = 0
        self._live: dict[int, int] = {}

    def read(self) -> list[WorkflowEvent[Any]]:
        found: list[WorkflowEvent[Any]] = []
        while self._step < self._thread.done:
            offsets, attempt = self._thread.steps[self._step]
            found += self._void(attempt)
            found += [
                _event(offset, attempt, live=False)
                for offset in offsets
                if offset > self._after and offset not in self._live
            ]
            self._live.clear()
            self._step += 1
        if self._step < len(self._thread.steps):
            offsets, _ = self._thread.steps[self._step]
            attempt = self._thread.attempt
            found += self._void(attempt)
            for offset in offsets[: self._thread.told]:
                gap = offset % 5 == 3  # Too large to be told live.
                if offset > self._after and offset not in self._live and not gap:
                    self._live[offset] = attempt
                    found.append(_event(offset, attempt, live=True))
        return found

    def _void(self, attempt: int) -> list[WorkflowEvent[Any]]:
        offsets = sorted(offset for offset, given in self._live.items() if given != attempt)
        if not offsets:
            return []
        notice = LiveEventsDiscarded(superstep=self._step, attempt=self._live[offsets[0]], offsets=offsets)
        self._live.clear()
        return [notice]


@pytest.mark.parametrize("seed", range(200))
def test_each_event_is_given_once_wherever_the_stream_is_cut(seed: int) -> None:
    choice = random.Random(seed)
    thread = _Thread(choice)
    counting: dict[int, int] = {}
    place = Place(-1)
    reader = _Reader(thread, -1, choice)
    for _ in range(400):
        if choice.random() < 0.3:  # Cut, and read on by the id alone.
            place = Place.parse(str(place))
            reader = _Reader(thread, place.base, choice)
        thread.pass_on()
        events = reader.read() if choice.random() < 0.6 or thread.done == 3 else []
        for event in events:
            for given in place.take(event):
                _count(given, counting)
            if choice.random() < 0.1:
                place = Place.parse(str(place))
                reader = _Reader(thread, place.base, choice)
                break
    for event in _Reader(thread, place.base, choice).read():
        for given in place.take(event):
            _count(given, counting)
    assert counting == {offset: attempt for offsets, attempt in thread.steps for offset in offsets}


def _count(given: WorkflowEvent[Any], counting: dict[int, int]) -> None:
    if isinstance(given, LiveEventsDiscarded):
        for offset in given.offsets:
            counting.pop(offset, None)
        return
    position = position_of(given)
    assert position is not None and position.attempt is not None
    assert position.offset not in counting, f"{position} is given twice"
    counting[position.offset] = position.attempt


def test_a_reset_goes_back() -> None:
    place = Place(20)
    notice = LiveEventsDiscarded(superstep=3, attempt=None, offsets=range(12, 21))
    assert next(iter(place.take(notice))).offsets == tuple(range(12, 21))  # type: ignore[attr-defined]
    assert str(place) == "11"


def test_a_reset_while_nobody_read_takes_back_what_was_given_live_as_well() -> None:
    place = Place.parse("20.1.23-24@0")
    notice = place.reset(17)
    assert notice is not None and notice.offsets == (18, 19, 20, 23, 24)
    assert (place.base, place.reset(17)) == (17, None)
    assert Place.parse("17.1.18").reset(17).offsets == (18,)  # type: ignore[union-attr]
    assert len(Place.parse(f"{10**14}").reset(3).offsets) < 1_000_000  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["-1", "0", "12", "12.2.15-40,43", "3.1.4", "7@01a2-b", "3.1.4@0"])
def test_an_id_is_read_as_it_was_written(text: str) -> None:
    assert str(Place.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "x", "1.2", "1..2", "1.1.1", "4.1.3", "1.1.5-3", "1.1.3,3", "1.1.2-900000", "٣", "1@", "1@x", "@1"]
)
def test_another_is_refused(text: str) -> None:
    with pytest.raises(ProblemError):
        Place.parse(text)
