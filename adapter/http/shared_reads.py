"""What many browsers ask for over and over is asked of the server once for all of them, and not more than so often."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from ..client.sharing import SharedCall
from ..lru import BoundedCache

_KEPT_SECONDS = 0.5
_MOST = 256
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Answer(Generic[_T]):
    result: _T
    asked_at: float
    answered_at: float


class SharedReads:
    """Answers that are good for a moment: to whoever asks meanwhile, unless something was sent to the thread."""

    def __init__(self) -> None:
        self._answers: BoundedCache[Hashable, _Answer[Any]] = BoundedCache(_MOST)
        self._calls: dict[Hashable, SharedCall[_Answer[Any]]] = {}
        self._round = 0

    async def read(self, key: Hashable, call: Callable[[], Awaitable[_T]], *, since: float | None = None) -> _T:
        """Return what a call returns, or has returned to another reader a moment ago.

        Args:
            key: What is asked for.
            call: Asks for it.
            since: By `time.monotonic()`: an answer that was asked for earlier will not do.
        """

        async def ask() -> _Answer[_T]:
            asked_at = time.monotonic()
            result = await call()
            return _Answer(result, asked_at, time.monotonic())

        while True:
            kept = self._answers.get(key)
            if kept is not None and time.monotonic() - kept.answered_at < _KEPT_SECONDS and _is_of(kept, since):
                return cast(_T, kept.result)
            sent = (self._round, key)
            shared = self._calls.setdefault(sent, SharedCall(ask))
            try:
                answer = await shared.result()
            finally:
                if self._calls.get(sent) is shared:
                    del self._calls[sent]
            if sent[0] == self._round and self._answers.get(key) is not answer:
                self._answers.put(key, answer)
                # Kept no longer than it is good for: some are large.
                asyncio.get_running_loop().call_later(_KEPT_SECONDS, self._forget, key, answer)
            if _is_of(answer, since):
                return cast(_T, answer.result)

    def changed(self) -> None:
        """Forget what was answered: something was sent, or has come."""
        self._round += 1
        self._answers.clear()

    def _forget(self, key: Hashable, answer: _Answer[Any]) -> None:
        if self._answers.get(key) is answer:
            self._answers.drop(key)


def _is_of(answer: _Answer[Any], since: float | None) -> bool:
    return since is None or answer.asked_at >= since
