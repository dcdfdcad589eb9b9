"""Has a person edit JSON in their own editor, again and again until it is taken, or given up."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ...workflows.display import json_text
from ..advice import Advice, Step
from ..commands.exit_codes import UsageError
from ..errors import EditRefusedError

_HELP = """\
# What is edited here becomes a checkpoint of its own; the one it is made of stays as it is.
# `messages` are in flight: {"to": "executor", "data": ...} adds one. `{"$kept": ...}` stays as it is.
# Lines that begin with # are left out. Save nothing, or an empty file, to give up.
"""


async def edited(
    document: dict[str, Any], check: Callable[[dict[str, Any]], Awaitable[object]], say: Callable[[Step], str]
) -> dict[str, Any] | None:
    """Return what a person makes of a document; None where nothing has changed.

    Args:
        document: JSON data.
        check: Raises EditRefusedError for what cannot be taken; the editor opens again then, and says why.
        say: Says a step as a command.

    Raises:
        UsageError: When the editor cannot be run or fails, or nothing is changed about what was refused.
    """
    first = text = json_text(document, indent=2) + "\n"
    said = ""
    with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
        path = Path(folder) / "checkpoint.json"
        while True:
            path.write_text(f"{said}{_HELP}{text}", encoding="utf-8")
            await asyncio.to_thread(_run, path)
            before, text = text, _without_comments(path.read_text(encoding="utf-8"))
            if text == first or not text.strip():
                return None
            if said and text == before:
                raise UsageError(f"the edit is refused, so nothing was done\n{said}")
            try:
                found = json.loads(text)
                if not isinstance(found, dict):
                    raise ValueError("it must be an object")
                if json_text(found) == json_text(document):
                    return None
                await check(found)
                return found
            except EditRefusedError as error:
                told = [Advice(problem).told(say) for problem in error.problems]
                problems = [line for problem in told for line in problem.splitlines()]
            except (ValueError, RecursionError) as error:
                problems = [f"Not valid JSON: {error}"]
            said = "".join(f"# {line}\n" for line in ("The edit is refused:", *problems, ""))


def _run(path: Path) -> None:
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        code = subprocess.run([*shlex.split(command), str(path)], check=False).returncode  # noqa: S603
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the editor {command!r} cannot be run ({error}); set $EDITOR, or give the changes with --changes"
        ) from error
    if code:
        raise UsageError(f"the editor {command!r} has ended with code {code}, so nothing was done")


def _without_comments(text: str) -> str:
    # No line of JSON begins so, not even within a text.
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
