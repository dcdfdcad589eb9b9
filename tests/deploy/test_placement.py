"""The manifests with two worker pools fit the worker, the first pool, and each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.deploy.test_manifests import _help

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDER = DEPLOY / "kubernetes-placement"
_QUEUE, _EXECUTORS = "AGENT_FRAMEWORK_TEMPORAL_TASK_QUEUE", "AGENT_FRAMEWORK_TEMPORAL_EXECUTORS"


def _one(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_kubernetes() -> None:
    text, worker = _help(), _one(FOLDER / "gpu-worker.yaml")
    pod = worker["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert all(f"{flag} " in text for flag in container["args"][::2])
    own = {variable["name"]: variable["value"] for variable in container["env"]}
    assert all(variable in text for variable in own)
    assert worker["spec"]["selector"]["matchLabels"] == worker["spec"]["template"]["metadata"]["labels"]
    base = {item["kind"]: item for item in yaml.safe_load_all((DEPLOY / "kubernetes" / "worker.yaml").read_text())}
    first = base["Deployment"]["spec"]["template"]["spec"]
    for name in ("securityContext", "terminationGracePeriodSeconds"):
        assert pod[name] == first[name]
    assert container["image"] == first["containers"][0]["image"]
    assert container["envFrom"] == first["containers"][0]["envFrom"]
    assert own[_QUEUE] != base["ConfigMap"]["data"][_QUEUE]
    overlay = _one(FOLDER / "kustomization.yaml")
    assert all((FOLDER / name).exists() for name in overlay["resources"])
    (patch,) = yaml.safe_load(overlay["patches"][0]["patch"])
    assert patch == {"op": "add", "path": f"/data/{_EXECUTORS}", "value": f"!{own[_EXECUTORS]}"}
    scaled = _one(FOLDER / "gpu-autoscaling.yaml")["spec"]
    assert scaled["scaleTargetRef"]["name"] == worker["metadata"]["name"]
    assert scaled["triggers"][0]["metadata"]["taskQueue"] == own[_QUEUE]


def test_compose() -> None:
    text, overlay = _help(), _one(DEPLOY / "compose.placement.yml")
    base = _one(DEPLOY.parent / "docker-compose.yml")["services"]
    workers = overlay["services"]
    for name in ("image", "healthcheck", "stop_grace_period", "restart"):
        assert workers["gpu-worker"][name] == base["worker"][name]
    assert "worker" in base
    for name in ("worker", "gpu-worker"):
        environment = workers[name]["environment"]
        assert all(variable in text and isinstance(value, str) for variable, value in environment.items())
    first, second = (workers[name]["environment"] for name in ("worker", "gpu-worker"))
    assert first[_EXECUTORS] == f"!{second[_EXECUTORS]}"
    assert first[_QUEUE] != second[_QUEUE]
