"""The scripted authors behind the offline chat client: each turns a conversation into its next reply."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from agent_framework import Message

Persona = Literal["researcher-facts", "researcher-audience", "writer"]
PERSONAS: Final[tuple[str, ...]] = get_args(Persona)

COUNT_TOOL: Final = "count_words"
_LABEL: Final = re.compile(r"^(Topic|Audience|Words):[ \t]*(.*)$", re.MULTILINE)
_FEEDBACK: Final = re.compile(r"\AFeedback:\s*(.*)\Z", re.DOTALL)
_VERBS: Final = r"(?:please\s+)?(?:add|mention|include|cover|explain|describe|state)"
_REQUEST: Final = re.compile(rf"^{_VERBS}\s+(?:more\s+)?(?:about\s+)?(?:the\s+|an?\s+)?(.+)$", re.IGNORECASE)
_SHORTER: Final = re.compile(
    r"\b(short(er|en)?|tight(er|en)?|trim|cut|concise|briefer|too long|wordy)\b", re.IGNORECASE
)
_BREAK: Final = re.compile(
    rf"[;\n]+|[.!?]+(?:\s+|$)|,?\s+and\s+(?=(?:{_VERBS}|(?:please\s+)?(?:make|keep|shorten|tighten|trim|cut))\b)",
    re.IGNORECASE,
)
_STOP_WORDS: Final = re.compile(
    r"about|after|and|are|before|for|from|how|into|moving|new|our|that|the|their|them|this|through|what|when|why|"
    r"with|your"
)


@dataclass(frozen=True)
class Reply:
    """What a persona does next: say something, or ask for the words of a draft to be counted."""

    text: str = ""
    count: str | None = None


@dataclass(frozen=True)
class _Conversation:
    topic: str
    audience: str
    words: int
    notes: dict[str, list[str]]
    feedback: list[str]
    counts: list[int]
    can_count: bool

    @property
    def terms(self) -> list[str]:
        """The words of the topic that carry it, in order, at least one."""
        words = [word for word in re.findall(r"[\w'-]+", self.topic.lower()) if len(word) > 2]
        return list(dict.fromkeys(word for word in words if not _STOP_WORDS.fullmatch(word))) or [self.topic.lower()]


def reply(persona: Persona, messages: Sequence[Message], *, can_count: bool) -> Reply:
    """Answer the conversation as the persona; `can_count` says whether the counting tool is on offer."""
    return _SCRIPTS[persona](_read(messages, can_count=can_count))


def _read(messages: Sequence[Message], *, can_count: bool) -> _Conversation:
    labels: dict[str, str] = {}
    notes: dict[str, list[str]] = {}
    feedback: list[str] = []
    counts: list[int] = []
    for message in messages:
        if message.role == "user":
            counts = []
            if found := _FEEDBACK.match(message.text):
                feedback.append(found.group(1))
                continue
            labels.update(_LABEL.findall(message.text))
            notes.update(_sections(message.text))
        counts += [int(c.result) for c in message.contents if c.type == "function_result" and str(c.result).isdigit()]
    words = labels.get("Words", "")
    return _Conversation(
        topic=labels.get("Topic") or "an untitled topic",
        audience=labels.get("Audience") or "general readers",
        words=int(words) if words.isdigit() else 150,
        notes=notes,
        feedback=feedback,
        counts=counts,
        can_count=can_count,
    )


def _sections(text: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    bullets: list[str] = []
    for line in text.splitlines():
        if line.startswith("Notes from "):
            bullets = sections.setdefault(line.removeprefix("Notes from ").rstrip(":"), [])
        elif line.startswith("- "):
            bullets.append(line[2:])
    return sections


def _research_facts(talk: _Conversation) -> Reply:
    terms = talk.terms
    lines = [f"The subject is {_lower_first(talk.topic)}."]
    if len(terms) > 1:
        lines.append(f"It has {len(terms)} parts worth naming: {', '.join(terms[:-1])} and {terms[-1]}.")
        lines.append(f"{terms[0].capitalize()} comes first, then {terms[1]}.")
    lines.append(f"Anyone acting on this needs to know what changes about {terms[-1]} and what stays the same.")
    return Reply(text=_bullets(lines))


def _research_audience(talk: _Conversation) -> Reply:
    return Reply(
        text=_bullets(
            [
                f"This note is for {talk.audience}; it skips the background and says what changes.",
                f"Of everything here, {talk.audience} will meet {talk.terms[0]} first, so start there.",
                f"Anything past {talk.words} words will not be read to the end.",
            ]
        )
    )


def _write(talk: _Conversation) -> Reply:
    clauses = [clause for text in talk.feedback for clause in _clauses(text)]
    limit = talk.words
    answers: list[str] = []
    for clause in clauses:
        if _SHORTER.search(clause) and not _REQUEST.match(clause):
            limit = max(1, limit * 2 // 3)
        else:
            answers.append(_answer(clause, talk))

    facts = talk.notes.get("researcher-facts") or [f"The subject is {_lower_first(talk.topic)}."]
    audience = talk.notes.get("researcher-audience") or [f"This note is for {talk.audience}."]
    # Only these may go when the draft is too long: what the reviewer asked for always stays.
    optional = [*facts[1:], *audience[1:2]]
    # Each count of this turn that came back over the limit costs one more optional paragraph.
    over = sum(count > limit for count in talk.counts)
    kept = optional[: max(0, len(optional) - over)]
    draft = "\n\n".join([f"# {_upper_first(talk.topic)}", f"{audience[0]} {facts[0]}", *answers, *kept])

    fits = bool(talk.counts) and talk.counts[-1] <= limit
    if talk.can_count and not fits and over <= len(optional):
        return Reply(count=draft)
    return Reply(text=draft)


def _clauses(feedback: str) -> list[str]:
    return [clause for part in _BREAK.split(feedback) if (clause := " ".join(part.split()))]


def _answer(clause: str, talk: _Conversation) -> str:
    if asked := _REQUEST.match(clause):
        subject = asked.group(1)
        return f"{_upper_first(subject)}: {talk.audience} should have this settled before {talk.terms[0]} changes."
    return f"After review: {_lower_first(clause)}."


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower_first(text: str) -> str:
    # An acronym or a name in capitals keeps its case.
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


_SCRIPTS: Final[dict[Persona, Callable[[_Conversation], Reply]]] = {
    "researcher-facts": _research_facts,
    "researcher-audience": _research_audience,
    "writer": _write,
}
