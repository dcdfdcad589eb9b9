"""What runs on GitHub: files of the right form, that run what `.ci/run` runs, and trust nothing that may change."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging.pythons import supported

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def loaded(name: str) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as a truth.
    read: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    return {"on" if key is True else key: value for key, value in read.items()}


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_they_are_workflows() -> None:
    """By GitHub's own schema, which comes with the checker; by actionlint too, where it is installed."""
    schema = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    commands = [schema] + ([[found]] if (found := shutil.which("actionlint")) else [])
    for command in commands:
        done = subprocess.run([*command, *WORKFLOWS], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_runs_no_action_that_may_change(path: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r"  # v\d+\.\d+\.\d+", comment), f"{action}: say which version that is"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_may_do_no_more_than_it_has_to(path: Path) -> None:
    workflow = loaded(path.name)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        more = job.get("permissions", {})
        assert more == {"publish": {"id-token": "write"}, "page": {"contents": "write"}}.get(name, {}), name
        assert job["timeout-minutes"] <= 60
        if more:  # No code of the repository runs where something may be written.
            assert not any("checkout" in step.get("uses", "") or "make" in step.get("run", "") for step in job["steps"])


def test_ci_runs_all_checks_on_each_python() -> None:
    job = loaded("ci.yml")["jobs"]["ci"]
    assert job["strategy"]["matrix"]["python"] == supported()
    assert ".ci/run" in [step.get("run") for step in job["steps"]]


def test_a_release_is_checked_before_it_is_published() -> None:
    workflow = loaded("release.yml")
    assert workflow["on"] == {"push": {"tags": ["v*"]}}
    assert workflow["jobs"]["publish"]["needs"] == "build"
    build = [step.get("run", "") for step in workflow["jobs"]["build"]["steps"]]
    order = [next(i for i, run in enumerate(build) if part in run) for part in ('packaging.release "$', "make dist")]
    assert order == sorted(order)
    assert "make sbom" in build
    assert not any("password" in str(step) or "secrets." in str(step) for step in steps(workflow))


def test_each_make_target_that_they_run_exists() -> None:
    targets = re.findall(r"^([\w-]+)(?=.*:)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for path in WORKFLOWS:
        for step in steps(loaded(path.name)):
            for target in re.findall(r"\bmake ([a-z-]+)", step.get("run", "")):
                assert target in targets, target
