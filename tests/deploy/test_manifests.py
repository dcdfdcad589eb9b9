"""The manifests fit the worker: its flags, variables, paths and times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"


def _manifests(name: str) -> dict[str, Any]:
    return {item["kind"]: item for item in yaml.safe_load_all((FOLDER / name).read_text())}


def _help() -> str:
    return subprocess.run(
        [sys.executable, "worker.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_the_worker_knows_what_it_is_given() -> None:
    found, text = _manifests("worker.yaml"), _help()
    pod = found["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    arguments = container["args"]
    for flag in arguments[::2]:
        assert f"{flag} " in text
    for variable in found["ConfigMap"]["data"]:
        assert variable in text
    grace = float(arguments[arguments.index("--shutdown-timeout") + 1])
    assert pod["terminationGracePeriodSeconds"] > grace
    assert str(container["ports"][0]["containerPort"]) == arguments[arguments.index("--health-port") + 1]
    paths = {name: container[name]["httpGet"]["path"] for name in ("livenessProbe", "readinessProbe", "startupProbe")}
    assert paths == {"livenessProbe": "/healthz", "readinessProbe": "/readyz", "startupProbe": "/healthz"}
    assert f"--uid {pod['securityContext']['runAsUser']} " in (ROOT / "Dockerfile").read_text()


def test_the_parts_fit_each_other() -> None:
    found = _manifests("worker.yaml")
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    scaled = _manifests("autoscaling.yaml")["ScaledObject"]["spec"]
    assert scaled["scaleTargetRef"]["name"] == found["Deployment"]["metadata"]["name"]
    trigger = scaled["triggers"][0]["metadata"]
    assert trigger["taskQueue"] == found["ConfigMap"]["data"]["AGENT_FRAMEWORK_TEMPORAL_TASK_QUEUE"]
    assert trigger["endpoint"] == found["ConfigMap"]["data"]["TEMPORAL_ADDRESS"]
    resources = _manifests("kustomization.yaml")["Kustomization"]["resources"]
    assert all((FOLDER / name).exists() for name in resources)
