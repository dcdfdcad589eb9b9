"""The benchmarks run, and what does not depend on time holds: sizes, events, and that all supersteps complete."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest


def _rows(tables: list[dict[str, Any]], title: str) -> list[dict[str, Any]]:
    found = next(table for table in tables if table["title"].startswith(title))
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


@pytest.mark.timeout(600)
async def test_quick_benchmarks(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", "--quick", "--json", str(report)),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    for part in "abcdefghijklmnpqr":
        assert f"\n({part}) " in printed.decode()
    tables: list[dict[str, Any]] = json.loads(report.read_text())

    history = _rows(tables, "(b)")
    assert [row["events"] for row in history] == [6, 6, 6]
    assert all(row["bytes"] < 6_000 for row in history), "a superstep costs what it changes, whatever the state"
    assert history[1]["naive / ours"] > 20
    assert history[2]["naive / ours"] > 200

    for row in _rows(tables, "(c) conversation"):
        assert row["completed"] == 12
        assert row["keyframes"] == 1
        assert row["largest patch"] < 6_500

    live, published = _rows(tables, "(f)")
    assert live["history events per 1,000 tokens"] == 0
    assert published["history events per 1,000 tokens"] > 100
    kept, _, activities = _rows(tables, "(j)")
    assert kept["history events a call"] == 0
    assert activities["history events a call"] > 5
    (burst,) = _rows(tables, "(n)")
    assert burst["events: burst"] == 11, "6 events a burst, and 5 a run"
    (idle,) = _rows(tables, "(h)")
    assert idle["queries, which a worker answers"] == idle["history events"] == 0

    here, other = _rows(tables, "(p) a superstep")
    assert here["history events"] == other["history events"]
    assert other["requests"] - here["requests"] <= 2.2  # It is started, and its outcome waited for.
    (fan_out,) = _rows(tables, "(p) a fan-out")
    assert fan_out["at once"] == "yes"
    assert [(row["runs"], row["errors"]) for row in _rows(tables, "(q)")] == [(10, 0), (10, 0)]
    for row in _rows(tables, "(r)"):  # Without the environment of the others, bare Temporal and this package.
        assert isinstance(row["ms a step"], float), row
        assert row["history events"] > 6, row

    requests = {row["caller"]: row["requests"] for row in _rows(tables, "(i)")}
    assert requests["`run()`"] <= 0.2
    assert requests["`run_stream()`"] <= 1.1


async def test_unknown_benchmark() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", "speed"),
        cwd=Path(__file__).parents[2],
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert "unknown: speed; there are overhead, history" in said.decode()
