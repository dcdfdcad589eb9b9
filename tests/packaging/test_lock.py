"""The pins of the worker's image: whole, hashed, and what pyproject.toml asks for. `make lock` renews them."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "deploy" / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
_PIN = re.compile(
    r"^(?P<pin>\S+==\S+(?: ; [^\\]+)?) \\\n(?P<hashes>(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M
)


def pins(name: str) -> dict[str, Version]:
    """Return the packages of a lock with their versions."""
    text = (LOCKS / name).read_text()
    found = [Requirement(each["pin"]) for each in _PIN.finditer(text)]
    assert found and len(found) == len(re.findall(r"^\S+==", text, re.MULTILINE)), f"{name}: a pin has no hashes"
    return {canonicalize_name(each.name): Version(next(iter(each.specifier)).version) for each in found}


def asked(name: str) -> list[Requirement]:
    """Return what is written beside the lock by hand."""
    lines = (LOCKS / name).read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def image_environment() -> dict[str, str]:
    """Return what markers say in the image."""
    (python,) = set(re.findall(r"^FROM python:(\d\.\d+)-slim", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    version = {"python_version": python, "python_full_version": f"{python}.0"}
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    return {**{key: str(value) for key, value in default_environment().items()}, **version, **linux, "extra": ""}


def needed(requirements: Iterable[Requirement]) -> Iterator[tuple[str, Requirement]]:
    """Give all that is needed in the image, as far as what is installed here knows it, each with who asks."""
    environment, seen = image_environment(), set[str]()
    waiting = [("pyproject.toml", each) for each in requirements]
    while waiting:
        asker, wanted = waiting.pop()
        if wanted.marker is not None and not any(
            wanted.marker.evaluate({**environment, "extra": extra}) for extra in ("", *wanted.extras)
        ):
            continue
        yield asker, wanted
        key = f"{canonicalize_name(wanted.name)}{sorted(wanted.extras)}"
        if key in seen:
            continue
        seen.add(key)
        try:
            below = importlib.metadata.requires(wanted.name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for text in below:
            each = Requirement(text)
            extra = next(
                (name for name in wanted.extras if f'extra == "{name}"' in text or f"extra == '{name}'" in text), ""
            )
            if each.marker is None or each.marker.evaluate({**environment, "extra": extra}):
                each.marker = None
                waiting.append((wanted.name, each))


def test_the_image_has_all_that_is_required_in_range() -> None:
    found = pins("worker.txt")
    required = [*map(Requirement, PROJECT["project"]["dependencies"]), *asked("worker.in")]
    for asker, wanted in needed(required):
        pinned = found.get(canonicalize_name(wanted.name))
        assert pinned is not None, f"{asker} needs {wanted}, which is not pinned; run `make lock`"
        if asker == "pyproject.toml":
            assert wanted.specifier.contains(pinned, prereleases=True), f"{wanted} and pinned {pinned}; run `make lock`"


def test_the_wheel_is_built_with_what_the_project_asks_for() -> None:
    found = pins("build.txt")
    for wanted in [*map(Requirement, PROJECT["build-system"]["requires"]), *asked("build.in")]:
        assert wanted.specifier.contains(found[canonicalize_name(wanted.name)]), wanted


def test_the_image_has_a_framework_that_is_tested() -> None:
    assert (
        str(pins("worker.txt")["agent-framework-core"]) in PROJECT["tool"]["agent-framework-temporal"]["tested-cores"]
    )


@pytest.mark.parametrize("name", ["worker.txt", "build.txt"])
def test_names_no_index(name: str) -> None:
    text = (LOCKS / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash)", text, re.MULTILINE)


def test_the_image_takes_nothing_that_is_not_pinned() -> None:
    installs = re.findall(r"pip install ([^&\n]+)", (ROOT / "Dockerfile").read_text())
    assert len(installs) == 3
    for arguments in installs:
        assert "--require-hashes" in arguments or {"--no-deps", "--no-index"} <= set(arguments.split()), arguments
