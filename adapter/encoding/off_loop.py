"""Work on large checkpoints beside the event loop, so that the other runs of a process do not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

LARGE = 256 * 1024
"""Bytes of a checkpoint from which a thread is worth it; below, it is packed or decoded in a few milliseconds."""
_T = TypeVar("_T")
_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="agent-framework-checkpoints")
"""Not asyncio's own, which executors may keep busy; and few, as each may take a multiple of a checkpoint's size."""


async def off_loop(size: int, work: Callable[[], _T]) -> _T:
    """Do some work: at once for a size that is small, else in a thread.

    Args:
        size: Bytes that are worked on.
        work: What to do.
    """
    if size <= LARGE:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
