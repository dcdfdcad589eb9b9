"""The distributions, as they are published: `python -m tests.packaging.dist FOLDER` builds and checks sdist and wheel.

A page of the package index shows the README alone, where a relative link leads nowhere. So the README that goes into
the distributions has absolute links into the repository at the release's tag. The address of the repository is what
`[project.urls]` in pyproject.toml says under `Repository`, or else REPOSITORY_URL in the environment, which the release
workflow sets; it becomes metadata too. Where nobody says it, the links become plain text.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from tests.packaging.release import ROOT, version

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^(```.*?^```\s*?$)", re.MULTILINE | re.DOTALL)
_ABSOLUTE = ("http://", "https://", "mailto:")


def repository() -> str | None:
    """Return the address of the repository; None where nobody says it."""
    urls: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"].get("urls", {})
    said = urls.get("Repository") or os.environ.get("REPOSITORY_URL", "")
    return said.rstrip("/") or None


def published(readme: str, address: str | None, tag: str) -> str:
    """Return the README for a place that has none of the repository's other files.

    Args:
        readme: As it is in the repository.
        address: Of the repository; None makes text of every relative link.
        tag: The release that links lead to.
    """

    def absolute(found: re.Match[str]) -> str:
        image, text, target = found.groups()
        if target.startswith(_ABSOLUTE):
            return found[0]
        if address is None:
            return "" if image else text
        # An anchor of the README itself does not work on the package index.
        path = f"README.md{target}" if target.startswith("#") else target
        return f"{image}[{text}]({address}/{'raw' if image else 'blob'}/{tag}/{path})"

    return "".join(part if part.startswith("```") else _LINK.sub(absolute, part) for part in _FENCE.split(readme))


def stage(copy: Path, address: str | None) -> None:
    """Copy the repository's files to an empty folder, with what only the distributions have.

    Args:
        copy: The folder.
        address: Of the repository, if it is known.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    tag = f"v{version()}"
    readme, project = copy / "README.md", copy / "pyproject.toml"
    readme.write_text(published(readme.read_text(), address, tag))
    if address is not None and "\n[project.urls]\n" not in project.read_text():
        urls = {
            "Repository": address,
            "Documentation": f"{address}/tree/{tag}/docs",
            "Changelog": f"{address}/blob/{tag}/CHANGELOG.md",
            "Issues": f"{address}/issues",
            "Security": f"{address}/blob/{tag}/SECURITY.md",
        }
        lines = "".join(f'{name} = "{url}"\n' for name, url in urls.items())
        project.write_text(f"{project.read_text()}\n[project.urls]\n{lines}")


def build(out: Path, address: str | None) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from it, so that the sdist is known to suffice; return both.

    Not in the checkout: an editable installation lives in its build folder.

    Args:
        out: Where to.
        address: Of the repository, if it is known.
    """
    with tempfile.TemporaryDirectory() as folder:
        stage(Path(folder), address)
        _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out.resolve()), folder)
    (sdist,), (wheel,) = out.glob(f"*-{version()}.tar.gz"), out.glob(f"*-{version()}-*.whl")
    return sdist, wheel


def check(*distributions: Path) -> str:
    """Have twine judge the metadata and whether the README can be shown; return what it says."""
    return _run(sys.executable, "-m", "twine", "check", "--strict", *map(str, distributions))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Build and check what is to be published."""
    address = repository()
    if address is None:
        print("Nobody says where the repository is (REPOSITORY_URL): links become text.", file=sys.stderr)
    out = Path(sys.argv[1])
    print(check(*build(out, address)), end="")


if __name__ == "__main__":
    main()
