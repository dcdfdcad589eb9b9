"""A forked program is a process of its own like any other, and a child of the tests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.forked import python

_PROGRAM = """
import json, os, signal, sys, time
given = sys.stdin.readline().strip()
print(json.dumps([sys.argv[1:], os.getcwd(), len(os.environ["GIVEN"]), given, os.getpid(), os.getppid(), __name__]))
sys.stdout.flush()
print("told", file=sys.stderr)
if given == "wait":
    time.sleep(600)
sys.exit(3)
"""


async def test_it_is_a_process_of_its_own(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    environment = {**os.environ, "GIVEN": "x" * 100_000}
    pids = set()
    for words, ends in (("go", 3), ("wait", -signal.SIGKILL), ("wait", -signal.SIGTERM)):
        process = await asyncio.create_subprocess_exec(
            *python(str(program), "a", "--b"), cwd=tmp_path, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{words}\n".encode())
        seen = json.loads(await process.stdout.readline())
        expected = [["a", "--b"], str(tmp_path), 100_000, words, process.pid, os.getpid(), "__main__"]
        assert seen == expected
        if ends < 0:
            process.send_signal(-ends)
        _, errors = await process.communicate()
        assert process.returncode == ends
        assert words == "wait" or errors == b"told\n"
        pids.add(process.pid)
    assert len(pids) == 3


async def test_a_module_runs_as_by_its_name() -> None:
    process = await asyncio.create_subprocess_exec(*python("-m", "json.tool", "--compact"), stdin=PIPE, stdout=PIPE)
    output, _ = await process.communicate(b'{"a": 1}')
    assert (process.returncode, output) == (0, b'{"a":1}\n')
