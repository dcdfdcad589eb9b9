"""What a release publishes: one version everywhere, an sdist that suffices, a README whose links lead somewhere."""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import agent_framework_temporal
import pytest

from tests.packaging import dist, release
from tests.packaging.conftest import ADDRESS, Distributions, package_files

ROOT = release.ROOT
VERSION = release.version()
TAG = f"v{VERSION}"
_LINKED = re.compile(r"\]\(([^)\s]+)\)")


def sdist_files(sdist: Path) -> dict[str, bytes]:
    with tarfile.open(sdist) as archive:
        assert {member.type for member in archive} <= {tarfile.REGTYPE, tarfile.DIRTYPE}
        files = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive if member.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


def metadata(sdist: Path) -> Message:
    return Parser().parsestr(sdist_files(sdist)["PKG-INFO"].decode())


def test_the_version_has_one_source_and_all_that_names_it_agrees() -> None:
    assert agent_framework_temporal.__version__ == VERSION
    assert list(release.disagreements()) == []
    assert "\nversion = " not in (ROOT / "pyproject.toml").read_text().partition("[project.")[0]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository of a version that is to be released."""
    for name in ("__init__.py", "CHANGELOG.md", "docker-compose.yml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(re.sub(r"^## .*$", f"## {VERSION} - 2026-01-31", changelog.read_text(), count=1, flags=re.M))
    return tmp_path


def test_a_release_that_agrees_passes(project: Path) -> None:
    assert list(release.disagreements(TAG, project)) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("__init__.py", f'"{VERSION}"', '"9.9.9"', f"The tag is {TAG}, and the version in __init__.py 9.9.9"),
        ("__init__.py", f'"{VERSION}"', '"9.9.9"', "CHANGELOG.md: its first heading names"),
        ("__init__.py", f'"{VERSION}"', '"next"', "next is no version"),
        ("__init__.py", f'"{VERSION}"', '"1.0-rc1"', "write it as 1.0rc1"),
        ("CHANGELOG.md", " - 2026-01-31", "", f"make it '## {VERSION} - YYYY-MM-DD'"),
        ("CHANGELOG.md", f"## {VERSION} - 2026-01-31", f"## Unreleased: {VERSION}", "its first heading is 'Unreleased"),
        ("docker-compose.yml", f"worker:{VERSION}", "worker:9.9.9", "docker-compose.yml: the worker's image is 9.9.9"),
        ("deploy/kubernetes/worker.yaml", f"worker:{VERSION}", "worker:9", "worker.yaml: the worker's image is 9"),
    ],
)
def test_says_what_disagrees(project: Path, name: str, old: str, new: str, said: str) -> None:
    text = (project / name).read_text()
    assert old in text
    (project / name).write_text(text.replace(old, new))
    assert any(said in line for line in release.disagreements(TAG, project))


def test_gives_the_notes_of_the_version_alone(project: Path) -> None:
    changelog = project / "CHANGELOG.md"
    changelog.write_text(
        f"# Changelog\n\n## {VERSION} - 2026-01-31\n\n### Added\n\n- New.\n\n## 0.0.1 - 2025-01-01\n\n- Old.\n"
    )
    assert release.notes(project) == "### Added\n\n- New.\n"


def test_twine_takes_both(distributions: Distributions) -> None:
    said = dist.check(*distributions)
    assert said.count("PASSED") == 2, said


def test_the_sdist_has_the_package_and_nothing_else(distributions: Distributions) -> None:
    """The wheel was built from it, so nothing is missing."""
    names = set(sdist_files(distributions.sdist))
    made = {"PKG-INFO", "setup.cfg"} | {name for name in names if name.startswith("agent_framework_temporal.egg-info/")}
    assert names - made == package_files() | {"LICENSE", "README.md", "pyproject.toml"}


def test_the_image_is_built_from_all_that_the_sdist_has(distributions: Distributions) -> None:
    """What its build does not copy would be missing from the wheel in it, without an error."""
    build = (ROOT / "Dockerfile").read_text().partition("\nFROM ")[2].partition("\nFROM ")[0]
    copied = [source for line in re.findall(r"^COPY (.+)$", build, re.MULTILINE) for source in line.split()[:-1]]
    ignored = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name in sdist_files(distributions.sdist):
        if name not in ("PKG-INFO", "setup.cfg") and not name.startswith("agent_framework_temporal.egg-info/"):
            for listed in (copied, ignored):
                assert any(name == source or name.startswith(f"{source}/") for source in listed), name


def test_says_where_it_comes_from(distributions: Distributions) -> None:
    found = dict(line.split(", ") for line in metadata(distributions.sdist).get_all("Project-URL", []))
    assert found["Repository"] == ADDRESS
    assert found["Changelog"] == f"{ADDRESS}/blob/{TAG}/CHANGELOG.md"
    assert {"Documentation", "Issues"} <= set(found)


def test_lists_each_python_that_is_tested(distributions: Distributions) -> None:
    classifiers = metadata(distributions.sdist).get_all("Classifier", [])
    listed = {line.rpartition(" ")[2] for line in classifiers if re.search(r":: 3\.\d+$", line)}
    matrix = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert listed == set(re.findall(r'"(3\.\d+)"', matrix))
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in listed
    assert metadata(distributions.sdist)["Requires-Python"] == f">={min(listed, key=lambda each: int(each[2:]))}"


def test_every_link_of_the_published_readme_is_absolute(distributions: Distributions) -> None:
    body = metadata(distributions.sdist).get_payload()
    assert isinstance(body, str)
    relative = [link for link in _LINKED.findall((ROOT / "README.md").read_text()) if "://" not in link]
    assert relative
    targets = _LINKED.findall(body)
    assert [target for target in targets if not target.startswith("https://")] == []
    for link in relative:
        kind = "raw" if link.endswith(".png") else "blob"
        assert f"{ADDRESS}/{kind}/{TAG}/{'README.md' if link.startswith('#') else ''}{link}" in targets


def test_links_are_text_where_nobody_says_where_the_repository_is() -> None:
    given = "See [a *page*](docs/a.md#b), [there](https://x.example/y), ![a picture](docs/p.png).\n```sh\n[x](y)\n```\n"
    expected = "See a *page*, [there](https://x.example/y), .\n```sh\n[x](y)\n```\n"
    assert dist.published(given, None, TAG) == expected
    assert _LINKED.findall(dist.published((ROOT / "README.md").read_text(), None, TAG))
