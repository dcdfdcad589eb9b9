"""Run the benchmarks: `python -m benchmarks [name ...] [--quick] [--json FILE]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path

from . import (
    bursts,
    cache,
    conversation,
    depth,
    fleet,
    history_size,
    journal,
    overhead,
    placement,
    requests,
    streaming,
    throughput,
    waiting,
)
from ._bench import Bench
from ._table import Table
from .peers import measure as peers

BENCHMARKS: dict[str, Callable[[Bench], Awaitable[list[Table]]]] = {
    "overhead": overhead.measure,
    "history": history_size.measure,
    "conversation": conversation.measure,
    "depth": depth.measure,
    "cache": cache.measure,
    "streaming": streaming.measure,
    "waiting": waiting.measure,
    "bursts": bursts.measure,
    "journal": journal.measure,
    "requests": requests.measure,
    "throughput": throughput.measure,
    "placement": placement.measure,
    "fleet": fleet.measure,
    "peers": peers.measure,
}


def main() -> None:
    """Run what the command line names, or all, and print a table for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which ones: {', '.join(BENCHMARKS)}; default all")
    parser.add_argument("--quick", action="store_true", help="small and few, in less than a minute: for CI")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables there too")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    tables = asyncio.run(_run(options.names or list(BENCHMARKS), quick=options.quick))
    if options.json is not None:
        options.json.write_text(json.dumps([table.as_json() for table in tables], indent=2) + "\n")


async def _run(names: list[str], *, quick: bool) -> list[Table]:
    print(_machine())
    tables: list[Table] = []
    async with Bench.start(quick=quick) as bench:
        for name in names:
            started = time.monotonic()
            for table in await BENCHMARKS[name](bench):
                print(f"\n{table}", flush=True)
                tables.append(table)
            print(f"({time.monotonic() - started:.0f} s)", flush=True)
    return tables


def _machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("temporalio", "agent-framework-core", "zstandard"))
    return (
        f"{os.cpu_count()} processors, {platform.machine()}, {platform.system()}, Python {platform.python_version()}, "
        f"{packages}; dev server in memory on the same machine"
    )


if __name__ == "__main__":
    main()
