r"""Data as text for people: one function for each place where it is shown, so that it shows itself and does no more.

What comes from people, models, strangers' signals or a failing library may hold anything: sequences that move a
terminal's cursor or set its title, characters that reverse a line, backticks that end a code block, a thread id that a
shell would run. Everything that is shown goes through one of these at the edge, and nothing before: stored and sent
data stays as it is. What is not visible is written as Python would escape it, `\x1b` or `\u202e`.

No framework and nothing that depends on the process: the workflow uses it for what Temporal's Web UI shows.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from typing import Any

_INVISIBLE = (
    "\x00-\x1f\x7f-\x9f"  # C0 with ESC, DEL, C1.
    "\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # Zero width, line and paragraph separators, bidirectional overrides.
    "\u3164\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"  # Tags, by which a text hides another.
)
"""Control and format characters, fillers, lone surrogates: a fixed list, as Python's own depends on its version."""
_UNSEEN = re.compile(f"[{_INVISIBLE}]")
_UNSEEN_BUT_NEWLINE = re.compile(f"(?!\n)[{_INVISIBLE}]")
_BACKTICKS = re.compile("`+")
_MARKDOWN = re.compile(r"([\\`*\[\]{}<>&#|~!^$@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.)", re.IGNORECASE)
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"})
_TAB = "    "
_MAX_SUMMARY = 380
UNTYPEABLE = "(no command: an id in it holds a character that no shell passes on; use a client of Temporal's)"


def terminal_line(text: str) -> str:
    """Return text for one line of a terminal or a log; its line breaks are shown, not made."""
    return _UNSEEN.sub(_escaped, text)


def terminal_text(text: str, *, margin: str = "") -> str:
    """Return text of several lines for a terminal or a log.

    Args:
        text: The text.
        margin: Begins each line but the first, so that no line of the text can pass for one of the program's own.
    """
    text = text.replace("\r\n", "\n").replace("\t", _TAB)
    return _UNSEEN_BUT_NEWLINE.sub(_escaped, text).replace("\n", f"\n{margin}")


def one_line(text: str, limit: int) -> str:
    """Return prose as one line of a terminal, its white space as single blanks, cut to `limit` characters."""
    # What is cut off need not be looked at: texts may have megabytes.
    line = terminal_line(" ".join(text[: 4 * limit].split()))
    return line if len(line) <= limit and len(text) <= 4 * limit else f"{line[: limit - 1]}…"


def markdown(text: str) -> str:
    """Return text as part of a line of Markdown; it formats, links and embeds nothing there."""
    return _MARKDOWN.sub(r"\\\1", terminal_line(text))


def markdown_summary(text: str) -> str:
    """Return text as a summary in Temporal, which is a line of Markdown of at most 400 bytes."""
    line = one_line(text, _MAX_SUMMARY)
    while len(shown := markdown(line).encode()) > _MAX_SUMMARY:
        line = f"{line[: len(line) * 3 // 4]}…"
    return shown.decode()


def markdown_code(text: str) -> str:
    """Return text as a code span of Markdown, on one line."""
    line = terminal_line(text) or " "
    fence = "`" * _longest(line, shortest=0)
    # Blanks at both ends are taken off by whoever renders it, and part a backtick from the fence.
    if line.strip(" ") and (line.startswith(("`", " ")) or line.endswith(("`", " "))):
        line = f" {line} "
    return f"{fence}{line}{fence}"


def markdown_block(text: str) -> str:
    """Return text as a fenced block of Markdown, which the Web UI offers to copy."""
    shown = terminal_text(text)
    fence = "`" * _longest(shown, shortest=2)
    return f"{fence}\n{shown}\n{fence}"


def html(text: str) -> str:
    """Return text as content of an HTML element, or as the value of a quoted attribute."""
    return terminal_line(text).translate(_HTML)


def mermaid(text: str) -> str:
    """Return text as a label of Mermaid, to be put into double quotes; it is HTML to a browser."""
    # Mermaid has its own entities, and reads Markdown between backticks and a line break from a backslash.
    shown = "#35;".join(html(part) for part in terminal_line(text).split("#"))
    return shown.replace("&", "#").replace("`", "#96;").replace("\\", "#92;")


def dot(text: str) -> str:
    """Return text as a label or an id of Graphviz, to be put into double quotes."""
    # Graphviz reads entities, and escapes such as \N.
    return terminal_line(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def shell_command(words: Sequence[str], arguments: Sequence[str] = (), options: Sequence[str] = ()) -> str:
    r"""Return a command line that bash and zsh take as these words, on one line, also when it is copied and pasted.

    Args:
        words: The program and its command.
        arguments: Its positional arguments; none of them becomes an option, whatever it begins with.
        options: Its options.

    Returns:
        The line; a word with invisible characters is quoted as in `$'\033'`. `UNTYPEABLE` where there is none.
    """
    if any(word.startswith("-") for word in arguments):
        words, arguments, options = [*words, *options], ["--", *arguments], []
    try:
        return " ".join(map(_quoted, [*words, *arguments, *options]))
    except ValueError:
        return UNTYPEABLE


def json_text(value: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """Return a value as JSON in which every invisible character is escaped; it parses to the same value.

    Args:
        value: JSON data; what is none, as NaN and infinity, becomes its text.
        indent: As of `json.dumps`.
        ascii_only: Escape all that is not ASCII.
    """
    try:
        text = json.dumps(value, ensure_ascii=ascii_only, indent=indent, default=str, allow_nan=False)
    except ValueError:  # Python's readers take them, and others do not.
        value = json.loads(json.dumps(value, default=str), parse_constant=str)
        text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    # Outside of its strings, JSON has no character that this would change.
    return _UNSEEN_BUT_NEWLINE.sub(lambda match: json.dumps(match[0])[1:-1], text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def _longest(text: str, *, shortest: int) -> int:
    return 1 + max([shortest, *(len(run) for run in _BACKTICKS.findall(text))])


def _quoted(word: str) -> str:
    """Quote a word.

    Raises:
        ValueError: When no shell can pass it on: NUL ends an argument, and a lone surrogate has no bytes.
    """
    if "\0" in word:
        raise ValueError("NUL")
    encoded = word.encode()
    if _UNSEEN.search(word) is None and "`" not in word:  # It is shown in Markdown, too.
        return shlex.quote(word)
    # Octal: of all escapes it alone has a fixed length in every shell that knows this quoting.
    plain = (chr(byte) if 0x20 <= byte < 0x7F and byte not in b"'\\!`" else f"\\{byte:03o}" for byte in encoded)
    return f"$'{''.join(plain)}'"
