"""Who decides about a draft: the person at the terminal, or the demo itself when nobody is there."""

from __future__ import annotations

import asyncio
import sys
import threading

from .processes import DemoError
from .workflow import ApprovalDecision


def somebody_is_there() -> bool:
    """Whether standard input is a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


async def decide() -> ApprovalDecision:
    """Ask the person to approve or to reject with feedback.

    Raises:
        DemoError: When the person ends the input instead.
    """
    while True:
        answer = (await ask("  Approve this draft? [a]pprove, [r]eject: ")).lower()
        if answer and "approve".startswith(answer):
            return ApprovalDecision(approved=True)
        if answer and "reject".startswith(answer):
            return ApprovalDecision(approved=False, feedback=await ask("  What should the writer change? "))
        print("  Answer a or r; ctrl-C leaves the request waiting.", flush=True)


async def ask(question: str) -> str:
    """Ask for one line.

    Raises:
        DemoError: At the end of the input.
    """
    print(question, end="", flush=True)
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def take(line: str) -> None:
        if not answer.done():
            answer.set_result(line)

    def read() -> None:
        try:
            line = sys.stdin.readline()
        except OSError:  # The terminal is gone, which is an end of the input.
            line = ""
        loop.call_soon_threadsafe(take, line)

    # A daemon, and neither `input` in this thread nor `asyncio.to_thread`: ctrl-C must end the demo at once.
    threading.Thread(target=read, daemon=True).start()
    line = await answer
    if not line:
        print()
        raise DemoError("The input ended without an answer; the request goes on waiting.")
    return line.strip()
