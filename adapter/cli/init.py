"""The command `init`: a small project to begin with."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import keyword
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from ...workflows.display import shell_command
from ..commands.exit_codes import UsageError
from .command import PROGRAM, Session

_MAX_NAME = 40
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_HIDDEN = ("gitignore", "dockerignore", "gitkeep")
"""Files whose names begin with a dot, which the templates' do not: tools would heed them."""


async def init(
    session: Session,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Of project, folder, workflow and task queue.", show_default=False),
    ],
) -> None:
    """Write a project to begin with: workflow, worker, test and Compose file. It runs at once, and needs no model."""
    module = _module(name)
    folder = Path.cwd() / name
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is already there, and nothing in it was changed: choose another name, or remove it")
    texts = {path.format(module=module): _filled(text, name, module) for path, text in _templates()}
    try:
        _write(folder, texts)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror or error}") from error
    flags = ["--workflow", f"{module}.workflow:build", "--task-queue", name, "--database", "threads.db"]
    then = [f"cd {name}", shell_command([PROGRAM, "dev", *flags])]
    session.output.json({"project": name, "folder": str(folder), "files": sorted(texts), "next": then})
    session.output.line(f"Made {folder}:")
    for path in sorted(texts):
        session.output.line(f"  {path}")
    session.output.line("Run it; its README.md says what comes next:")
    for line in then:
        session.output.line(f"  {line}")


def _module(name: str) -> str:
    """Return the name of the project's package.

    Raises:
        UsageError: When the name cannot be one, or would hide another package.
    """
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        better = "-".join(re.findall(r"[a-z0-9]+", name.lower())).lstrip("0123456789-")[:_MAX_NAME].rstrip("-")
        hint = f"; for instance `{PROGRAM} init {better}`" if better else ""
        raise UsageError(
            f"{name!r} cannot be a project's name: take small letters, digits and single hyphens, beginning with a "
            f"letter, {_MAX_NAME} characters at most{hint}"
        )
    module = name.replace("-", "_")
    taken = keyword.iskeyword(module) or module in sys.stdlib_module_names or module == "tests"
    if taken or importlib.util.find_spec(module) is not None:
        raise UsageError(
            f"{name!r} cannot be a project's name: Python has {module!r} already, and the project's package would hide "
            f"it; for instance `{PROGRAM} init my-{name}`"
        )
    return module


def _templates(folder: Traversable | None = None, below: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and text of each file of the project; in both, names in braces are to be filled in."""
    for entry in (files(__package__) / "project" if folder is None else folder).iterdir():
        if entry.is_dir():
            yield from _templates(entry, f"{below}{'{module}' if entry.name == 'package' else entry.name}/")
        elif entry.name.endswith(".txt"):
            path = entry.name.removesuffix(".txt")
            yield f"{below}{'.' if path in _HIDDEN else ''}{path}", entry.read_text(encoding="utf-8")


def _filled(text: str, name: str, module: str) -> str:
    version = importlib.metadata.version(PROGRAM)
    for key, value in {"name": name, "module": module, "version": version}.items():
        text = text.replace("{{" + key + "}}", value)
    return text


def _write(folder: Path, texts: dict[str, str]) -> None:
    """Write all of it, or nothing: a folder that is there is half of no project."""
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for path, text in texts.items():
            file = made / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        made.chmod(0o755)
        made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
