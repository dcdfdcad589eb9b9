"""How a process that has used a Temporal client ends: not before the SDK's threads are through with its last calls."""

from __future__ import annotations

import atexit
import functools
import time

_ROUND_SECONDS = 0.005
_QUIET_ROUNDS = 10
_QUIET_CPU_SECONDS = 50e-6
_LONGEST_SECONDS = 3.0


@functools.cache
def settle_at_exit() -> None:
    """Let the SDK's threads settle when this process exits; whatever first uses a client says so, and once is enough.

    Costs 50 ms at exit, more on a busy machine; at most 3 s, where other threads of the process do not come to rest.
    """
    atexit.register(_settle)


def _settle() -> None:
    """Sleep until no other thread of this process has anything to do.

    A thread of the SDK that has a result, or a cancelled long poll, to hand over waits for the GIL. One that still does
    when the interpreter begins to finalize never gets it: Python ends the thread, and that aborts the process or leaves
    it hanging (temporalio/sdk-python issue 300). A sleep gives the GIL away. Many short ones, and not one long one, as
    on a busy machine such a thread has to wait for a processor too: each time this thread gets one, so do the others.
    """
    begun = time.monotonic()
    used, quiet = _used_by_others(), 0
    try:
        while quiet < _QUIET_ROUNDS and time.monotonic() - begun < _LONGEST_SECONDS:
            time.sleep(_ROUND_SECONDS)
            before, used = used, _used_by_others()
            quiet = quiet + 1 if used - before < _QUIET_CPU_SECONDS else 0
    except KeyboardInterrupt:
        return  # Whoever interrupts the exit is in a hurry.


def _used_by_others() -> float:
    """Return the processor time of this process's other threads."""
    return time.process_time() - time.thread_time()
