"""Completion in bash, zsh and fish of the commands that need no more than the standard library."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of a command line.

    Args:
        names: What it is called, as `-h` and `--help`.
        text: What it does.
        values: What it takes; empty for anything.
        takes: Whether a value follows, and which: a file or any other.
    """

    names: tuple[str, ...]
    text: str
    values: tuple[str, ...] = ()
    takes: str = ""

    @classmethod
    def of(cls, action: argparse.Action) -> Flag:
        """Return the flag of an argparse action."""
        takes = "" if action.nargs == 0 else "file" if action.metavar == "FILE" else "value"
        values = tuple(str(value) for value in action.choices or ())
        return cls(tuple(action.option_strings), (action.help or "").replace("%(prog)s", ""), values, takes)


def script(program: str, flags: Sequence[Flag], shell: str) -> str:
    """Return the script that completes a program's flags in a shell."""
    function = re.sub(r"\W", "_", f"_{program}")
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](program, function, flags)


def install(program: str, flags: Sequence[Flag], shell: str, home: Path) -> Path:
    """Write the script where the shell reads it, for this user; returns the file.

    Args:
        program: The program.
        flags: Its flags.
        shell: Which shell.
        home: The user's folder.

    Raises:
        OSError: When it cannot be written.
    """
    path = {
        "bash": home / ".bash_completions" / f"{program}.sh",
        "zsh": home / ".zfunc" / f"_{program}",
        "fish": home / ".config" / "fish" / "completions" / f"{program}.fish",
    }[shell]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script(program, flags, shell))
    if shell == "bash":
        _add_line(home / ".bashrc", f"source '{path}'")
    elif shell == "zsh":
        # The same lines as typer's, for the other console script: they stand there once.
        _add_line(home / ".zshrc", "fpath+=~/.zfunc; autoload -Uz compinit; compinit")
    return path


def _add_line(path: Path, line: str) -> None:
    before = path.read_text() if path.exists() else ""
    if line not in before.splitlines():
        path.write_text(f"{before.rstrip(chr(10))}\n{line}\n" if before else f"{line}\n")


def shell_of_environment() -> str | None:
    """Return the user's shell, if there is completion for it."""
    name = Path(os.environ.get("SHELL", "")).name
    return name if name in SHELLS else None


def _bash(program: str, function: str, flags: Sequence[Flag]) -> str:
    cases = "".join(
        f"    {'|'.join(flag.names)}) COMPREPLY=({_bash_values(flag)}); return ;;\n" for flag in flags if flag.takes
    )
    words = " ".join(name for flag in flags for name in flag.names)
    return f"""\
{function}() {{
  local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}"
  case "$prev" in
{cases}  esac
  COMPREPLY=($(compgen -W "{words}" -- "$cur"))
}}
complete -F {function} {program}
"""


def _bash_values(flag: Flag) -> str:
    if flag.values:
        return f'$(compgen -W "{" ".join(flag.values)}" -- "$cur")'
    return '$(compgen -f -- "$cur")' if flag.takes == "file" else ""


def _zsh(program: str, function: str, flags: Sequence[Flag]) -> str:
    lines = []
    for flag in flags:
        text = re.sub(r"[\[\]:']", " ", flag.text)
        if not flag.takes:
            value = ""
        elif flag.values:
            value = f":value:({' '.join(flag.values)})"
        else:
            value = f":{flag.takes}:{'_files' if flag.takes == 'file' else ''}"
        lines += [f"  '*{name}[{text}]{value}'" for name in flag.names]
    arguments = " \\\n".join(lines)
    # Sourced it defines the function; found on fpath it is the function.
    return f"""\
#compdef {program}
{function}() {{
  _arguments \\
{arguments}
}}
if [ "$funcstack[1]" = "_{program}" ]; then {function} "$@"; else compdef {function} {program}; fi
"""


def _fish(program: str, _function: str, flags: Sequence[Flag]) -> str:
    lines = [f"complete -c {program} -f"]
    for flag in flags:
        names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names)
        value = (
            f" -x -a '{' '.join(flag.values)}'"
            if flag.values
            else {"file": " -r -F", "value": " -x"}.get(flag.takes, "")
        )
        text = flag.text.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"complete -c {program} {names}{value} -d '{text}'")
    return "\n".join(lines) + "\n"


class CompletionAction(argparse.Action):
    """`--show-completion` and `--install-completion`: writes the script, and exits."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """See base class."""
        shell = values or shell_of_environment()
        if shell is None:
            parser.error(f"{option_string}: say for which shell: {', '.join(SHELLS)}")
        flags: Sequence[Flag] = parser.flags  # type: ignore[attr-defined] # Of a `CommandParser`, which adds these.
        if option_string == "--show-completion":
            sys.stdout.write(script(parser.prog, flags, shell))
            parser.exit()
        try:
            path = install(parser.prog, flags, shell, Path.home())
        except OSError as error:
            parser.error(f"{option_string}: cannot write the completion: {error}")
        parser.exit(message=f"{shell} completion installed in {path}. Open a new terminal to use it.\n")
