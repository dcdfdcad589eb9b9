"""The loop that each runtime runs, and how it reports: no import of ours or of any runtime."""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

LEDGER, PAUSE = "BENCHMARKS_PEERS_LEDGER", "BENCHMARKS_PEERS_PAUSE"
_PART, _ADDED = 1_000, 5_000
TIMES: list[float] = []
"""When each step of this process began."""


def first_state(case: str, size: int, steps: int) -> dict[str, Any]:
    """Return what the loop begins with: `parts` of which a step replaces one, or a conversation it adds to."""
    part = min(_PART if case == "loop" else _ADDED, size)
    return {"case": case, "number": 0, "last": steps, "parts": [_text(part, seed) for seed in range(size // part)]}


def advanced(state: dict[str, Any]) -> dict[str, Any]:
    """Do a step; whoever runs it twice has noted it twice."""
    TIMES.append(time.perf_counter())
    number = state["number"] + 1
    if os.environ.get(LEDGER):
        with Path(os.environ[LEDGER]).open("a") as ledger:
            ledger.write(f"{number}\n")
    time.sleep(float(os.environ.get(PAUSE, "0")))
    parts = list(state["parts"])
    if state["case"] == "loop":
        parts[number % len(parts)] = _text(len(parts[0]), 1_000_000 + number)
    else:
        parts.append(_text(_ADDED, 1_000_000 + number))
    return {**state, "number": number, "parts": parts}


def is_done(state: dict[str, Any]) -> bool:
    """Tell whether it was the last step."""
    return bool(state["number"] >= state["last"])


def arguments() -> argparse.Namespace:
    """Return what the process is to do."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address", help="of the server, or a folder where there is none")
    parser.add_argument("thread", help="names the run, and its task queue")
    parser.add_argument("case", choices=("loop", "conversation"))
    parser.add_argument("--size", type=int, default=10)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--again", action="store_true", help="a process before this one was killed: go on")
    parser.add_argument("--burst", action="store_true")
    return parser.parse_args()


def report(**found: Any) -> None:
    """Say what came of it, as one line of JSON."""
    steps = [after - before for before, after in pairwise(TIMES[1:])]
    print(json.dumps({"seconds": steps, **found}), flush=True)


def _text(size: int, seed: int) -> str:
    return random.Random(seed).randbytes((size + 1) // 2).hex()[:size]
