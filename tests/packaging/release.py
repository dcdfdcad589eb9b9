"""Whether all that names the version names the same one: `python -m tests.packaging.release [TAG]`.

The version is `__version__` in `__init__.py`. With a tag, that is a release: the changelog has closed the version, with
its date, and the tag is `v` and the version. Ends with 1, and says what differs, if anything does.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).parents[2]
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_OPEN = re.compile(r"Unreleased: (\S+)")
_CLOSED = re.compile(r"(\S+) - \d{4}-\d{2}-\d{2}")
_IMAGE = re.compile(r"image: agent-framework-temporal-worker:(\S+)")


def version(root: Path = ROOT) -> str:
    """Return the version, from its one source."""
    (found,) = _VERSION.findall((root / "__init__.py").read_text())
    return str(found)


def disagreements(tag: str | None = None, root: Path = ROOT) -> Iterator[str]:
    """Give a line for each place that does not name the version as it should.

    Args:
        tag: That of a release; None between releases.
        root: The repository.
    """
    ours = version(root)
    try:
        if str(Version(ours)) != ours:
            yield f"__init__.py: the version is {ours}; write it as {Version(ours)}"
    except InvalidVersion:
        yield f"__init__.py: {ours} is no version; see packaging.python.org on version specifiers"
    if tag is not None and tag != f"v{ours}":
        yield f"The tag is {tag}, and the version in __init__.py {ours}: tag v{ours}, or change the version"
    (newest, *_) = _HEADING.findall((root / "CHANGELOG.md").read_text())
    found = (_CLOSED if tag is not None else _either(newest)).fullmatch(newest)
    if found is None:
        wanted = f"## {ours} - YYYY-MM-DD" if tag is not None else f"## Unreleased: {ours}"
        yield f"CHANGELOG.md: its first heading is {newest!r}; make it {wanted!r}"
    elif found[1] != ours:
        yield f"CHANGELOG.md: its first heading names {found[1]}, and __init__.py {ours}"
    for path in [root / "docker-compose.yml", *sorted((root / "deploy").rglob("*.y*ml"))]:
        for image in _IMAGE.findall(path.read_text()):
            if image != ours:
                yield f"{path.relative_to(root)}: the worker's image is {image}; make it {ours}"


def _either(heading: str) -> re.Pattern[str]:
    return _OPEN if heading.startswith("Unreleased") else _CLOSED


def notes(root: Path = ROOT) -> str:
    """Return what the changelog says of the version, for the release's page."""
    text = (root / "CHANGELOG.md").read_text()
    _, _, rest = text.partition("\n## ")
    return rest.partition("\n")[2].partition("\n## ")[0].strip() + "\n"


def main() -> None:
    """Check, and print what disagrees."""
    if sys.argv[1:] == ["--notes"]:
        print(notes(), end="")
        return
    found = list(disagreements(sys.argv[1] if sys.argv[1:] else None))
    for line in found:
        print(line, file=sys.stderr)
    sys.exit(1 if found else None)


if __name__ == "__main__":
    main()
