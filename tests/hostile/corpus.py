"""Text that acts where it is shown as it is: in a terminal, in Markdown, in a drawing, in a browser, in a shell."""

from __future__ import annotations

import re
import unicodedata

TERMINAL = {
    "title": "\x1b]0;owned\x07",
    "clear screen": "\x1b[2J\x1b[H",
    "colour": "\x1b[31mred",
    "hyperlink": "\x1b]8;;http://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;b3duZWQ=\x07",
    "device control": "\x1bP+q544e\x1b\\",
    "c1 csi": "\x9b2J",
    "c1 osc": "\x9d0;owned\x9c",
    "carriage return": "good\rbad",
    "backspace": "bad\b\b\bgood",
    "vertical": "a\x0bb\x0cc",
    "line breaks": "a\nthread         forged\nb\r\nc",
    "separators": "a\u2028b\u2029c\x85d",
    "reversed": "\u202egnp.exe\u202c",
    "isolated": "\u2067x\u2069\u200fy",
    "zero width": "a\u200bb\u2060c\ufeffd\u00ade",
    "filler": "a\u3164\u115f\uffa0b",
    "tags": "a\U000e0041\U000e0042\U000e007fb",
    "delete": "a\x7fb",
}
"""Sequences that move, colour, name or hide; all of them can travel as UTF-8."""
MARKUP = {
    "rich": "[red]x[/red] [link=http://evil.example]y[/link] [/]",
    "emoji": ":smiley:",
    "fence": "\n```\n# heading\n~~~\n",
    "backticks": "a`b``c```d````",
    "markdown": "[a](javascript:alert(1)) ![b](http://evil.example/b.png) <http://evil.example> **c** | d",
    "html": "<script>window.owned=1</script><img src=x onerror='window.owned=1'><a href=\"javascript:owned=1\">a</a>",
    "html attribute": "\"'><svg onload=window.owned=1>",
    "mermaid": 'a"] --> b["<img src=x onerror=window.owned=1>"]\nclick a "javascript:owned=1"',
    "dot": 'a"]; evil [URL="javascript:owned=1"]; b [label="\\',
    "template": "${7*7} {{7*7}} #{7*7} %s %(x)s {0}",
}
SHELL = {
    "quote": "a'; touch owned; '",
    "substitution": "$(touch owned) `touch owned` ${IFS}",
    "history": "!! !$",
    "option": "--help",
    "short option": "-o",
    "blank": " a  b ",
    "empty": "",
    "tilde": "~/x *",
    "comment": "a # b",
    "continued": "a\\",
}
ALL = {**TERMINAL, **MARKUP, **SHELL}
EVIL = "".join([*TERMINAL.values(), *MARKUP.values(), *list(SHELL.values())[:4]])
"""Everything at once."""

_STYLE = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\??[0-9;]*[ABCDGHJKhl]|\x1b\[0?m|\r(?=\n|\x1b|$)")
"""What a command's own view writes to a terminal: styles, and lines that it draws anew."""


def unseen(text: str, *, terminal: bool = False) -> set[str]:
    """Return what of a program's output would act where it is shown, or be hidden there.

    Args:
        text: The output.
        terminal: Whether a terminal was written to, so that styles and cursor movements of the program's own are right;
            those of the corpus are found all the same.
    """
    found = {name for name, sequence in TERMINAL.items() if "\n" not in sequence and sequence in text}
    if terminal:
        text = _STYLE.sub("", text)
    return found | {repr(mark) for mark in text if mark != "\n" and is_unseen(mark)}


def is_unseen(mark: str) -> bool:
    """Tell whether a character is a control or format character, a separator of lines, or a lone surrogate."""
    return unicodedata.category(mark) in ("Cc", "Cf", "Zl", "Zp", "Cs")
