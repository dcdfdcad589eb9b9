"""Data as text for people: for each target, whatever the corpus holds shows itself and does no more."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from agent_framework_temporal.workflows._display import (
    UNTYPEABLE,
    dot,
    html,
    json_text,
    markdown,
    markdown_block,
    markdown_code,
    markdown_summary,
    mermaid,
    one_line,
    shell_command,
    terminal_line,
    terminal_text,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.hostile.corpus import ALL, EVIL, is_unseen, unseen

pytestmark = pytest.mark.hostile("E")
CORPUS = pytest.mark.parametrize("text", [*ALL.values(), EVIL, "\ud800", "a\0b"], ids=[*ALL, "all", "surrogate", "nul"])
ANY = st.text(st.characters(exclude_categories=()), max_size=60)


def test_every_invisible_character_of_this_python_is_known() -> None:
    missed = [hex(number) for number in range(sys.maxunicode + 1) if is_unseen(chr(number))]
    missed = [number for number in missed if terminal_line(chr(int(number, 16))).startswith(chr(int(number, 16)))]
    assert missed == []


@CORPUS
def test_a_terminal_shows_it(text: str) -> None:
    line = terminal_line(text)
    assert (unseen(line), "\n" in line) == (set(), False)
    assert terminal_line(line) == line
    assert unseen(terminal_text(text)) == set()
    # The program's own lines begin otherwise.
    assert all(shown.startswith("> ") for shown in terminal_text(text, margin="> ").split("\n")[1:])


def test_what_is_visible_stays_as_it_is() -> None:
    text = "Grüße, 你好, שלום, 🚂 \\ `x` — a|b"
    assert terminal_line(text) == terminal_text(text) == text
    assert terminal_line("a\x1b[2J\u202e\U000e0041\x9b\n") == r"a\x1b[2J\u202e\U000e0041\x9b\n"
    assert terminal_text("a\tb\r\nc\rd") == "a    b\nc\\rd"


def test_prose_on_one_line_is_cut() -> None:
    assert one_line(" a\n\n b\tc\x1b ", 80) == r"a b c\x1b"
    assert one_line("x" * 1_000_000, 10) == "x" * 9 + "…"
    assert one_line(" " * 100 + "x", 10).endswith("…")


@CORPUS
def test_json_parses_to_the_same_value(text: str) -> None:
    value = {text: [text, {"in": text}], "plain": "Grüße"}
    for indent in (None, 2):
        written = json_text(value, indent=indent)
        assert unseen(written) == set()
        assert json.loads(written) == value
        assert "Grüße" in written
    assert json_text(value, ascii_only=True).isascii()
    assert json.loads(json_text(value, ascii_only=True)) == value


def test_json_has_no_numbers_that_are_none() -> None:
    value = {"a": [float("nan"), float("inf"), -float("inf"), 1.5], "b": {1: {2}}}
    expected = {"a": ["NaN", "Infinity", "-Infinity", 1.5], "b": {"1": "{2}"}}
    assert json.loads(json_text(value), parse_constant=pytest.fail) == expected


@settings(deadline=None)
@given(st.recursive(st.none() | st.integers() | ANY, lambda inner: st.lists(inner) | st.dictionaries(ANY, inner)))
def test_any_json_parses_to_the_same_value(value: object) -> None:
    # Two lone halves beside each other are one character in JSON, so they are not compared.
    if re.search("[\ud800-\udbff][\udc00-\udfff]", repr(value)) is None:
        assert json.loads(json_text(value)) == value
    assert not any(is_unseen(mark) for mark in json_text(value))


def _tokens(text: str) -> list[Token]:
    parsed = MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(text)
    return [inner for token in parsed for inner in (token, *(token.children or ()))]


@CORPUS
def test_markdown_formats_and_links_nothing(text: str) -> None:
    inline = _tokens(f"see {markdown(text)} there")
    assert {token.type for token in inline} <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    shown = "".join(token.content for token in inline if token.type in ("text", "text_special"))
    assert shown == f"see {terminal_line(text)} there"
    assert len(markdown_summary(text * 50).encode()) <= 400


@CORPUS
def test_a_code_span_holds_all_of_it(text: str) -> None:
    tokens = [token for token in _tokens(f"see {markdown_code(text)} there") if token.type != "text"]
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "code_inline", "paragraph_close"]
    assert tokens[2].content == (terminal_line(text) or " ")


@CORPUS
def test_a_block_holds_all_of_it(text: str) -> None:
    tokens = _tokens(f"before\n\n{markdown_block(text)}\n\nafter")
    (block,) = [token for token in tokens if token.type in ("fence", "code_block")]
    assert block.content.rstrip("\n") == terminal_text(text).rstrip("\n")
    assert [token.content for token in tokens if token.type == "text"] == ["before", "after"]


class _Parsed(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


@CORPUS
def test_html_is_text(text: str) -> None:
    for quote in "\"'":
        parsed = _Parsed(f"<b title={quote}{html(text)}{quote}>{html(text)}</b>")
        assert parsed.tags == [("b", [("title", terminal_line(text))])]
        assert parsed.text == terminal_line(text)


@CORPUS
def test_a_mermaid_label_is_text(text: str) -> None:
    label = mermaid(text)
    assert re.search(r'["<>`\\&\n]', label) is None
    # As Mermaid reads its entities, and then as a browser reads the HTML.
    entities = re.sub(r"#(\w+);", lambda found: f"&#{found[1]};" if found[1].isdigit() else f"&{found[1]};", label)
    parsed = _Parsed(entities)
    assert (parsed.tags, parsed.text) == ([], terminal_line(text))


@CORPUS
def test_a_dot_label_is_text(text: str) -> None:
    quoted = f'"{dot(text)}"'
    assert re.fullmatch(r'"(?:[^"\\\n]|\\["\\])*"', quoted)


@pytest.mark.skipif(shutil.which("dot") is None, reason="no graphviz on this machine")
def test_graphviz_draws_it() -> None:
    source = f'digraph {{ a [label="{dot(EVIL)}"]; }}'
    drawn = subprocess.run(["dot", "-Tsvg"], input=source.encode(), capture_output=True, check=True, timeout=60).stdout
    assert b"<a " not in drawn
    assert b"<script" not in drawn


def _arguments(line: str, shell: str) -> list[str]:
    """Return what a shell makes of a command line."""
    script = f"command() {{ for word; do printf '%s\\0' \"$word\"; done; }}\n{line}"
    done = subprocess.run([shell, "-c", script], capture_output=True, check=True, timeout=60)
    assert done.stderr == b""
    return done.stdout.decode(errors="surrogateescape").split("\0")[:-1]


@pytest.mark.parametrize("shell", ["bash", "zsh", "ksh"])
def test_a_shell_passes_on_what_was_meant(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    words = [*ALL.values(), EVIL]
    for word in words:
        line = shell_command(["command", "respond"], [word, "q0"], ["--address", word])
        assert unseen(line) == set()
        assert "\n" not in line
        # As it is copied out of the Web UI's Markdown.
        (block,) = [token.content for token in _tokens(markdown_block(line)) if token.type == "fence"]
        assert block == f"{line}\n"
        given = _arguments(line, shell)
        assert given == (
            ["respond", "--address", word, "--", word, "q0"]
            if word.startswith("-")
            else ["respond", word, "q0", "--address", word]
        )


@pytest.mark.parametrize("word", ["a\0b", "\ud800"])
def test_what_no_shell_passes_on_is_said(word: str) -> None:
    assert shell_command(["command"], [word]) == UNTYPEABLE


@settings(deadline=None)
@given(ANY)
def test_any_text(text: str) -> None:
    for shown in (terminal_line(text), markdown(text), markdown_code(text), mermaid(text), dot(text), html(text)):
        assert not any(is_unseen(mark) for mark in shown)
    tokens = [token.type for token in _tokens(f"see {markdown_code(text)} there") if token.type != "text"]
    assert tokens == ["paragraph_open", "inline", "code_inline", "paragraph_close"]
