"""The command `graph`."""

from __future__ import annotations

import asyncio
import shutil
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..commands.exit_codes import NotFoundError, UsageError
from ..commands.references import load_workflow
from ..framework.definition import build
from ..framework.functional import FunctionalInstance
from .command import Session
from .graph_text import draw, edges_from, graph_order, to_dot, to_mermaid


class GraphFormat(StrEnum):
    """What a graph is written as."""

    text = "text"
    mermaid = "mermaid"
    dot = "dot"
    svg = "svg"
    png = "png"


async def graph(
    session: Session,
    workflow: Annotated[
        str,
        typer.Argument(metavar="MODULE:ATTR", help="Where the workflow is defined.", show_default=False),
    ],
    *,
    form: Annotated[GraphFormat, typer.Option("--format", "-f", help="svg and png need graphviz.")] = GraphFormat.text,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; defaults to standard output.")
    ] = None,
) -> None:
    """Draw a workflow's graph. Needs no server."""
    if ":" not in workflow:
        raise UsageError(f"{workflow!r} is not of the form package.module:attr; a name alone does not tell the graph")
    built = await build(load_workflow(workflow))
    if session.output.as_json:
        session.output.json(
            {
                "workflow": built.name,
                "start": built.start_executor_id,
                "executors": [
                    {"id": name, "type": type(built.executors[name]).__name__} for name in graph_order(built)
                ],
                "edges": [
                    {"source": name, "target": target, "kind": kind or "chain", "condition": condition or None}
                    for name in graph_order(built)
                    for kind, target, condition in edges_from(built, name)
                ],
                **({"steps": built.steps} if isinstance(built, FunctionalInstance) else {}),
            }
        )
        return
    if form in (GraphFormat.svg, GraphFormat.png):
        if output is None and sys.stdout.isatty():
            raise UsageError(f"a {form} is for a file: say which with --output")
        data = await _dot(to_dot(built), form)
    else:
        texts = {GraphFormat.mermaid: to_mermaid, GraphFormat.dot: to_dot}
        text = texts[form](built) if form in texts else "\n".join(draw(built))
        data = f"{text}\n".encode()
    if output is None:
        sys.stdout.buffer.write(data)
        return
    try:
        await asyncio.to_thread(output.write_bytes, data)
    except OSError as error:
        raise UsageError(f"--output {output}: {error.strerror}") from error
    session.output.line(f"Wrote {output}")


async def _dot(source: str, form: GraphFormat) -> bytes:
    binary = shutil.which("dot")
    if binary is None:
        raise NotFoundError(
            "there is no `dot` on PATH. Install graphviz, or use --format mermaid, which web pages and editors draw."
        )
    process = await asyncio.create_subprocess_exec(
        binary,
        f"-T{form}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    data, errors = await process.communicate(source.encode())
    if process.returncode:
        raise UsageError(f"dot failed: {errors.decode(errors='replace').strip()}")
    return data
