"""What many browsers ask for over and over is asked of the server once for all of them, and not more than so often."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar, cast

from ..client.sharing import SharedCall
from ..lru import BoundedCache

_KEPT_SECONDS = 0.5
_MOST = 256
_T = TypeVar("_T")


class SharedReads:
    """Answers that are good for a moment: to whoever asks meanwhile, unless something was sent to the thread."""

    def __init__(self) -> None:
        self._answers: BoundedCache[Hashable, tuple[float, Any]] = BoundedCache(_MOST)
        self._calls: dict[Hashable, SharedCall[Any]] = {}
        self._round = 0

    async def read(self, key: Hashable, call: Callable[[], Awaitable[_T]]) -> _T:
        """Return what a call returns, or has returned to another reader a moment ago."""
        found = self._answers.get(key)
        if found is not None and time.monotonic() - found[0] < _KEPT_SECONDS:
            return cast(_T, found[1])
        sent = (self._round, key)
        shared = self._calls.setdefault(sent, SharedCall(call))
        try:
            result = await shared.result()
        finally:
            self._calls.pop(sent, None)
        if sent[0] == self._round:
            self._answers.put(key, (time.monotonic(), result))
        return cast(_T, result)

    def changed(self) -> None:
        """Forget what was answered: something was sent."""
        self._round += 1
        self._answers.clear()
