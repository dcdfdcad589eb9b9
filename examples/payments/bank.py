"""A bank that knows no idempotency keys: a file with a line for each charge. And how its callers die."""

from __future__ import annotations

import os
import signal
from pathlib import Path

FILE = "PAYMENTS_BANK"
"""Environment variable: the bank's file."""


def _file() -> Path:
    return Path(os.environ[FILE])


async def charge(number: str, amount: int) -> str:
    """Take the money; for this demo the worker dies the first time: of order 1 before that, of order 2 after it."""
    _die_once(number, "1")
    with _file().open("a", encoding="utf-8") as lines:
        lines.write(f"{number} {amount}\n")
    _die_once(number, "2")
    return f"receipt-{number}"


async def find(number: str) -> str:
    """Return the receipt of a charge."""
    assert number in charges()  # noqa: S101 - a person has seen it
    return f"receipt-{number}"


async def reserve(number: str) -> str:
    """Take the goods from the shelf."""
    with _file().with_suffix(".shelf").open("a", encoding="utf-8") as lines:
        lines.write(f"{number}\n")
    return f"parcel-{number}"


def charges() -> list[str]:
    """Return the orders that were charged, each as often as it was."""
    return [line.split()[0] for line in _file().read_text(encoding="utf-8").splitlines()] if _file().exists() else []


def reservations() -> list[str]:
    """Return the orders whose goods were taken from the shelf, each as often as they were."""
    return _file().with_suffix(".shelf").read_text(encoding="utf-8").splitlines()


def _die_once(number: str, order: str) -> None:
    died = _file().with_suffix(f".{order}")
    if number == order and not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
