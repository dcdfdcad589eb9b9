"""What type checkers make of the package where it is installed from its wheel, as users have it: pyright's part.

mypy's is part of `make typecheck`. A checker has to guess no type of ours: anything new says what it is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.conftest import Distributions
from tests.packaging.conftest import distributions as distributions

FOLDER = Path(__file__).parent


def pyright(environment: Path, *arguments: str) -> dict[str, Any]:
    """Run pyright as if the environment were active; its own Node comes from a wheel, and nothing is downloaded."""
    variables = {
        **os.environ,
        "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(environment),
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
    }
    command = [sys.executable, "-m", "pyright", "--outputjson", *arguments]
    done = subprocess.run(command, cwd=FOLDER, env=variables, capture_output=True, text=True, timeout=300)
    assert done.stdout.startswith("{"), f"{done.stdout}\n{done.stderr}"
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.fixture(scope="module")
def environment(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel; what it depends on is this one's."""
    made = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(made), "platbase": str(made)}))
    with zipfile.ZipFile(distributions.wheel) as archive:
        archive.extractall(packages)
    found = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(found) + "\n")
    return made


@pytest.mark.timeout(400)
def test_pyright_takes_what_users_write_and_nothing_else(environment: Path) -> None:
    said = pyright(environment, "--project", ".")
    assert said["summary"]["filesAnalyzed"] == 1
    found = [f"line {each['range']['start']['line'] + 1}: {each['message']}" for each in said["generalDiagnostics"]]
    assert found == []


@pytest.mark.timeout(400)
def test_every_type_is_known(environment: Path) -> None:
    said = pyright(environment, "--verifytypes", "agent_framework_temporal", "--ignoreexternal")
    completeness = said["typeCompleteness"]
    assert completeness["exportedSymbolCounts"]["withKnownType"] > 300
    unknown = [
        f"{each['name']}: {found['message']}"
        for each in completeness["symbols"]
        for found in each["diagnostics"]
        if found["severity"] == "error"
    ]
    assert unknown == []
    assert completeness["completenessScore"] == 1
