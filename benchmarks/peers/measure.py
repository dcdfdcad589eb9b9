"""The same loop and the same conversation on other durable runtimes, and what of it survives a kill."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from agent_framework_temporal import OptionArguments

from .._bench import Bench, milliseconds
from .._table import Table
from ._case import LEDGER, PAUSE

_ROOT = Path(__file__).parents[2]
_FOLDER = ".venv-peers"
_INSTALL = f"python -m venv {_FOLDER} && {_FOLDER}/bin/python -m pip install -r benchmarks/peers/requirements.txt"
_SECONDS = 180.0
_KILLED_AT, _KILL_STEPS, _KILL_PAUSE = 5, 10, 0.3
_GOES_ON = 60.0
"""Seconds that a run has to come to its end after a kill."""


@dataclass(frozen=True, slots=True)
class _Peer:
    label: str
    module: str
    place: str = "temporal"
    """What it keeps its state in: a Temporal server, a file, or a process of its own."""
    arguments: Sequence[str] = ()
    own: bool = False
    """Whether this environment has all that it needs."""


_PEERS = (
    _Peer("bare Temporal, the state in each activity", "bare", own=True),
    _Peer("this package, strict", "ours", own=True),
    _Peer("this package, burst", "ours", arguments=("--burst",), own=True),
    _Peer("temporalio-langgraph", "langgraph_plugin"),
    _Peer("langgraph-temporal", "langgraph_temporal"),
    _Peer("DBOS, SQLite", "dbos_steps", place="file"),
    _Peer("agent-framework-durabletask, in memory", "durabletask_steps", place="process"),
)
_CASES = (("loop, 10 B", "loop", 10), ("loop, 100 KB", "loop", 100_000), ("conversation", "conversation", 100_000))


async def measure(bench: Bench) -> list[Table]:
    """Run each case on each runtime, then kill each in the middle of one."""
    steps = 6 if bench.quick else 40
    cases = _CASES[:1] if bench.quick else _CASES
    peers = [peer for peer in _PEERS if "--burst" not in peer.arguments or "burst" in OptionArguments.__annotations__]
    python = Path(os.environ.get("BENCHMARKS_PEERS_PYTHON", _ROOT / _FOLDER / "bin" / "python"))
    table = Table(f"(r) {steps} steps on other runtimes", ("", "case", "ms a step", "history events", "history bytes"))
    killed = Table("(r) a process killed in step 5 of 10", ("", "after that"))
    if not await asyncio.to_thread(python.exists):
        peers = [peer for peer in peers if peer.own]
        table.note(f"For the others: {_INSTALL}")
    for peer in peers:
        async with _place(bench, peer, python) as address:
            for label, case, size in cases:
                found = await _case(bench, peer, python, address, (case, f"--size={size}", f"--steps={steps}"))
                table.add(peer.label, label, *found)
            if not bench.quick:
                killed.add(peer.label, await _kill(peer, python, address))
    table.note(
        "A step keeps its state and replaces 1 KB of it, or adds 5 KB to a conversation of 100 KB that is sent on."
    )
    return [table] if bench.quick else [table, killed]


@asynccontextmanager
async def _place(bench: Bench, peer: _Peer, python: Path) -> AsyncIterator[str]:
    """Give the address of what a runtime keeps its state in."""
    if peer.place == "temporal":
        yield bench.client.service_client.config.target_host
    elif peer.place == "file":
        with tempfile.TemporaryDirectory() as folder:
            yield folder
    else:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = await _start(peer, python, ("serve", str(port)))
        try:
            assert process.stdout is not None
            async with asyncio.timeout(_SECONDS):
                while b"ready" not in await process.stdout.readline():
                    continue
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()
            await process.wait()


async def _case(
    bench: Bench, peer: _Peer, python: Path, address: str, arguments: Sequence[str]
) -> tuple[object, object, object]:
    """Run a case; returns the milliseconds of a step, and events and bytes of the history."""
    thread = f"peer-{uuid4().hex[:12]}"
    process = await _start(peer, python, (address, thread, *arguments, *peer.arguments))
    found = await _report(process, _SECONDS)
    if isinstance(found, str):
        return (f"failed: {found}", "", "")
    took = milliseconds(found["seconds"])
    if peer.place != "temporal":
        return took, found["events"], found["bytes"]
    return took, *await _history(bench, thread)


async def _history(bench: Bench, thread: str) -> tuple[int, int]:
    """Return events and bytes of what ran on a task queue; the server lists it a moment later."""
    async with asyncio.timeout(_SECONDS):
        while True:
            events = size = 0
            async for run in bench.client.list_workflows(f"TaskQueue = '{thread}'"):
                info = (await bench.client.get_workflow_handle(run.id, run_id=run.run_id).describe()).raw_info
                events, size = events + info.history_length, size + info.history_size_bytes
            if events:
                return events, size
            await asyncio.sleep(0.2)


async def _kill(peer: _Peer, python: Path, address: str) -> str:
    """Kill the process of a run, start another, and say what becomes of the run."""
    thread = f"peer-{uuid4().hex[:12]}"
    given = (address, thread, "loop", f"--steps={_KILL_STEPS}", *peer.arguments)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "ledger"
        noted = {LEDGER: str(ledger), PAUSE: str(_KILL_PAUSE)}
        process = await _start(peer, python, given, noted)
        try:
            async with asyncio.timeout(_SECONDS):
                while _lines(ledger) < _KILLED_AT and process.returncode is None:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.02)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()
        again = await _start(peer, python, (*given, "--again"), noted)
        found = await _report(again, _GOES_ON)
        if isinstance(found, str):
            return f"does not go on: {found}"
        return f"goes on; steps done again: {_lines(ledger) - _KILL_STEPS}"


def _lines(ledger: Path) -> int:
    return len(ledger.read_text().splitlines()) if ledger.exists() else 0


async def _start(peer: _Peer, python: Path, arguments: Sequence[str], noted: dict[str, str] | None = None) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable if peer.own else str(python), "-m", f"benchmarks.peers.{peer.module}", *arguments),
        cwd=_ROOT,
        env={**os.environ, **(noted or {})},
        stdout=PIPE,
        stderr=PIPE,
    )


async def _report(process: Process, seconds: float) -> dict[str, Any] | str:
    """Return what a process reports, or why it does not."""
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        return f"not within {seconds:.0f} s"
    for line in out.decode().splitlines():
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    return (err.decode().strip().splitlines() or ["no report"])[-1][:120]
