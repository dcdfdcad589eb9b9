"""The command line of the demo."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from .workflow import Brief

SHIPPED_BRIEF = Path(__file__).with_name("brief.json")
DEFAULT_DATABASE = Path(".temporal/demo.db")
_MODEL_VARIABLE = "CONTENT_APPROVAL_MODEL"
_DELAY_VARIABLE = "CONTENT_APPROVAL_DELAY"
# Long enough to watch; with a crash, long enough that a superstep has a middle.
_DELAY, _CRASH_DELAY = 0.05, 0.15
_CRASH_WORDS = 55
"""So few that the writer has to count and cut more than once: its tool loop gets a middle."""

_EPILOG = f"""\
environment:
  {_MODEL_VARIABLE}  the default of --model
  {_DELAY_VARIABLE}  the default of --delay

exit codes:
  0  the draft was approved and published
  1  something went wrong, and was said on standard error
  2  a flag is wrong
  130  interrupted by ctrl-C; the thread can be gone on with: --resume
"""


def parse(arguments: Sequence[str] | None = None) -> tuple[argparse.Namespace, Brief]:
    """Parse and check the command line; exits with code 2 and a message when it is wrong.

    Returns:
        The options, and the brief they make.
    """
    parser = argparse.ArgumentParser(
        prog="python -m examples.content_approval.demo",
        usage="%(prog)s [--topic TEXT] [--audience TEXT] [--words N] [options]",
        description="Run the content-approval workflow durably: a local Temporal server, a worker process, and you.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    brief = parser.add_argument_group("the brief (without any of these, the one that is shipped)")
    brief.add_argument("--topic", metavar="TEXT", help="what to write about")
    brief.add_argument("--audience", metavar="TEXT", help="for whom (default: general readers)")
    brief.add_argument("--words", metavar="N", type=int, help="how long it may be (default: 150; with --crash 55)")
    brief.add_argument("--brief", metavar="FILE", type=Path, help="a JSON file with topic, audience and words")
    add = parser.add_argument
    add("--auto-approve", action="store_true", help="approve without asking, as when no terminal is there to ask")
    add("--crash", action="store_true", help="kill the worker in the writer's tool loop, and prove what that cost")
    add("--resume", metavar="THREAD", help="go on with a thread of an earlier demo, or look at it again")
    add("--model", metavar="openai:NAME", default=os.environ.get(_MODEL_VARIABLE), help="use a real model")
    text = f"seconds before each piece an offline agent streams (default: {_DELAY}; with --crash {_CRASH_DELAY})"
    add("--delay", metavar="SECONDS", type=float, default=os.environ.get(_DELAY_VARIABLE) or None, help=text)
    add("--no-wait", action="store_true", help="stop the server at the end, without waiting for Enter")
    text = f"SQLite file the threads are kept in (default: {DEFAULT_DATABASE})"
    add("--database", metavar="FILE", type=Path, default=DEFAULT_DATABASE, help=text)
    add("--ui-port", metavar="PORT", type=int, help="port of the Web UI (default: one that is free)")
    options = parser.parse_args(arguments)
    options.model = options.model or None
    if options.delay is None:
        options.delay = _CRASH_DELAY if options.crash else _DELAY
    if not 0 <= options.delay < float("inf"):
        parser.error(f"--delay must be 0 or more, got {options.delay}")

    given = {"topic": options.topic, "audience": options.audience, "words": options.words}
    given = {name: value for name, value in given.items() if value is not None}
    if options.resume and (given or options.brief or options.crash):
        parser.error("--resume goes on with the thread's own brief: give no other, and no --crash")
    if options.crash and not options.brief:
        given.setdefault("words", _CRASH_WORDS)
    if problem := _model_problem(options.model):
        parser.error(problem)
    try:
        return options, _brief(options.brief, given)
    except ValueError as error:
        parser.error(str(error))


def _brief(file: Path | None, given: dict[str, object]) -> Brief:
    """Return the brief of a file with what was given besides; the shipped one if nothing gives a topic.

    Raises:
        ValueError: When it cannot be read, or makes no brief.
    """
    if file is None and "topic" not in given:
        file = SHIPPED_BRIEF
    fields = given
    try:
        if file is not None:
            found = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError(f"--brief {file} holds no JSON object with topic, audience and words")
            fields = {**found, **given}
        return Brief.model_validate(fields)
    except OSError as error:
        raise ValueError(f"--brief {file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors())
        raise ValueError(f"this is no brief: {mistakes}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"--brief {file} is no JSON: {error}") from error


def _model_problem(model: str | None) -> str | None:
    if model is None:
        return None
    provider, _, name = model.partition(":")
    if provider != "openai" or not name:
        return f"--model {model!r} is unknown; say openai:NAME, for instance openai:gpt-5-mini"
    if not os.environ.get("OPENAI_API_KEY"):
        return f"--model {model} needs an account: set OPENAI_API_KEY, or leave --model out to run offline"
    if importlib.util.find_spec("agent_framework_openai") is None:
        return f"--model {model} needs the client: pip install agent-framework-openai"
    return None
