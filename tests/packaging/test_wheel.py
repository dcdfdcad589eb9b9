"""The built wheel, in an empty environment, beside a project whose own packages are named as ours are inside."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import agent_framework_temporal
import pytest

from tests.packaging.conftest import package_files

ROOT = Path(__file__).parents[2]
PACKAGES = ("adapter", "activities", "workflows")
SCRIPTS = ("agent-framework-temporal", "agent-framework-temporal-worker", "agent-framework-temporal-dev-server")


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that has the wheel, and no sight of the editable installation.

    What the wheel depends on comes from this environment's folder, by a path file in the new one, so that nothing has
    to be downloaded again. Path files in a folder added like that are not read, and the editable installation is one.
    """
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=False, symlinks=True)
    paths = {"base": str(environment), "platbase": str(environment)}
    site_packages = Path(sysconfig.get_path("purelib", "venv", paths))
    scripts = Path(sysconfig.get_path("scripts", "venv", paths))
    made = scripts / "python"
    run(sys.executable, "-m", "pip", "--python", made, "install", "--no-deps", "--no-index", wheel, folder=environment)
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_lies_beside_a_project_with_packages_of_the_same_names(python: Path, tmp_path: Path) -> None:
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"OWNER = 'the project, {name}'\n")
    (tmp_path / "worker.py").write_text("OWNER = 'the project, worker'\n")
    program = tmp_path / "main.py"
    program.write_text(
        "import activities, adapter, workflows, worker\n"
        "import agent_framework_temporal as ours\n"
        "import agent_framework_temporal.adapter, agent_framework_temporal.activities\n"
        "import agent_framework_temporal.workflows, agent_framework_temporal.worker\n"
        "for module in (activities, adapter, workflows, worker):\n"
        "    assert module.OWNER == f'the project, {module.__name__}', module\n"
        "for name in ours.__all__:\n"
        "    getattr(ours, name)\n"
        "assert ours.worker.main and ours.adapter.__name__ == 'agent_framework_temporal.adapter'\n"
        "print(ours.__file__)\n"
    )
    found = Path(run(python, program, folder=tmp_path).strip())
    assert found.is_relative_to(python.parents[1]), f"not the wheel: {found}"


def test_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    # What lies in `adapter/testing` is imported as `agent_framework_temporal.testing`.
    expected = {
        f"agent_framework_temporal/{name}".replace("/adapter/testing/", "/testing/") for name in package_files()
    }
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_carries_its_license(wheel: Path) -> None:
    found = metadata(wheel)
    assert found["License-Expression"] == "MIT"
    assert found["License-File"] == "LICENSE"
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
        assert archive.read(name) == (ROOT / "LICENSE").read_bytes()


def test_says_what_it_is(wheel: Path) -> None:
    found = metadata(wheel)
    assert found["Name"] == "agent-framework-temporal"
    assert found["Requires-Python"] == ">=3.11"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(found.get_all("Provides-Extra", [])) == set(project["optional-dependencies"])
    assert found["Version"] == agent_framework_temporal.__version__ == importlib.metadata.version(found["Name"])


@pytest.mark.parametrize("script", SCRIPTS)
def test_installs_its_commands(python: Path, script: str, tmp_path: Path) -> None:
    assert f"usage: {script}" in run(python.with_name(script), "--help", folder=tmp_path).lower()


def test_makes_a_project_whose_test_passes(python: Path, tmp_path: Path) -> None:
    """With what the wheel brings, and nothing of this checkout."""
    run(python.with_name("agent-framework-temporal"), "init", "my-agents", folder=tmp_path)
    # An extra's, which this environment takes from another one.
    python.with_name("temporal").symlink_to(Path(sys.executable).with_name("temporal"))
    assert "1 passed" in run(python, "-m", "pytest", "-p", "no:cacheprovider", folder=tmp_path / "my-agents")


def test_brings_its_fixtures_to_pytest(
    python: Path, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here pytest rewrites the asserts of our modules, as of those of all plugins that are installed from a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
        assert "[pytest11]\nagent_framework_temporal = agent_framework_temporal.testing.pytest_plugin" in (
            archive.read(name).decode()
        )
    shutil.copy(ROOT / "tests" / "testing" / "fixture_tests.py", tmp_path / "test_mine.py")
    (tmp_path / "conftest.py").write_text(
        "import agent_framework_temporal.testing.shared as ours\n"
        f"assert ours.__file__.startswith({str(python.parents[1])!r}), ours.__file__\n"
        "assert '@pytest_ar' in vars(ours), 'not rewritten'\n"
    )
    # The server's binary comes with a dependency, beside the Python of this environment.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    options = ("-q", f"--rootdir={tmp_path}", "-p", "no:cacheprovider", "-k", "fresh_thread or not_async or own_loop")
    assert "3 passed" in run(python, "-m", "pytest", *options, folder=tmp_path)
