"""Finds the workflow that a command line names as `package.module:attr`."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from typing import Any

from ..framework.definition import WorkflowSource, is_source
from .exit_codes import BadReferenceError


def load_workflow(reference: str) -> WorkflowSource:
    """Import a workflow, or a factory of one, from the folder the command is called in, or installed.

    Args:
        reference: `package.module:attr`; the attribute may have dots.

    Raises:
        BadReferenceError: Saying what is missing, and what is close to it.
    """
    name, _, attribute = reference.partition(":")
    if not (name and attribute):
        raise BadReferenceError(f"--workflow {reference!r} is not of the form package.module:attr")
    # An installed command's path starts with its own folder; the user's modules are where it is called.
    if sys.path[:1] != [os.getcwd()]:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            why = f"there is no module {error.name!r} in {os.getcwd()} or installed"
        else:
            why = f"importing {name!r} raised {type(error).__name__}: {error}"
        raise BadReferenceError(f"--workflow {reference!r}: {why}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            close = difflib.get_close_matches(part, dir(found), 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise BadReferenceError(f"--workflow {reference!r}: {name!r} has no {part!r}{hint}")
        found = getattr(found, part)
    if is_source(found):
        return found
    why = f"a {type(found).__name__}, not a Workflow or a function that builds one"
    raise BadReferenceError(f"--workflow {reference!r} is {why}")
