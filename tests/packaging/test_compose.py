"""The Compose file and the image, as far as they can be judged without a Docker daemon."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.worker.test_worker_command import GRAPHS, started

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
KEYS = {
    *("build", "command", "configs", "depends_on", "entrypoint", "environment", "healthcheck", "image", "ports"),
    *("restart", "stop_grace_period", "volumes"),
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


def one_shot(service: dict[str, Any]) -> bool:
    return str(service["restart"]).startswith("on-failure")


def test_is_a_compose_file(compose: dict[str, Any]) -> None:
    assert set(compose) == {"name", "services", "volumes", "configs", "x-database"}
    for name, service in services(compose).items():
        assert set(service) <= KEYS, name
        for required, how in service.get("depends_on", {}).items():
            assert required in services(compose), name
            assert set(how) == {"condition"}, name
            assert how["condition"] in CONDITIONS, name
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"], name
        for config in service.get("configs", []):
            assert config["source"] in compose["configs"], name
        for value in service.get("environment", {}).values():
            assert isinstance(value, str), f"{name}: YAML must not read {value!r} as anything but text"


def test_docker_compose_takes_it() -> None:
    """Without the Compose plugin, which is not part of Docker's client, the other tests are what there is."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode != 0:
        return
    checked = subprocess.run([docker, "compose", "config", "--quiet"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_has_every_part(compose: dict[str, Any]) -> None:
    assert set(services(compose)) == {"postgresql", "schema", "temporal", "namespace", "ui", "worker"}
    assert services(compose)["worker"]["build"] == "."


def test_pins_every_image(compose: dict[str, Any]) -> None:
    for name, service in services(compose).items():
        assert re.search(r":\d+\.\d+(\.\d+)?(-\w+)?$", service["image"]), f"{name}: {service['image']}"
    server, schema = (services(compose)[name]["image"].split(":")[1] for name in ("temporal", "schema"))
    assert server == schema, "the schema must be that of the server"
    for base in re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE):
        assert base == "python:3.12-slim"


def test_watches_the_health_of_what_keeps_running(compose: dict[str, Any]) -> None:
    for name, service in services(compose).items():
        if one_shot(service):
            assert "healthcheck" not in service, name
        else:
            assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"]), name
            assert service["restart"] == "unless-stopped", name


def test_starts_in_an_order_that_works(compose: dict[str, Any]) -> None:
    for name, service in services(compose).items():
        for required, how in service.get("depends_on", {}).items():
            once = one_shot(services(compose)[required])
            assert how["condition"] == ("service_completed_successfully" if once else "service_healthy"), name


def test_opens_ports_on_this_machine_only(compose: dict[str, Any]) -> None:
    ports = {port for service in services(compose).values() for port in service.get("ports", [])}
    assert ports == {"127.0.0.1:7233:7233", "127.0.0.1:8233:8080"}


def test_gives_supersteps_time_to_end(compose: dict[str, Any]) -> None:
    assert int(services(compose)["worker"]["stop_grace_period"].rstrip("s")) > 25


async def test_the_worker_reads_the_environment_it_is_given(compose: dict[str, Any]) -> None:
    """Each name is one the worker knows: with one of them changed, it says so."""
    given = services(compose)["worker"]["environment"]
    variables = {**given, "TEMPORAL_ADDRESS": "127.0.0.1:1", "OPENAI_API_KEY": "", "CONTENT_APPROVAL_MODEL": ""}
    async with started(variables=variables) as process:
        _, errors = await process.communicate()
    assert process.returncode == 4, errors.decode()
    assert "at 127.0.0.1:1: Connection refused" in errors.decode()
    async with started(variables={**variables, "AGENT_FRAMEWORK_TEMPORAL_WORKFLOWS": f"{GRAPHS}:nothing"}) as process:
        await process.communicate()
    assert process.returncode == 3


def test_the_image_is_built_from_files_that_are_there() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
        if not source.startswith("--")
    ]
    assert {"adapter", "activities", "workflows", "worker.py", "pyproject.toml"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists(), source
        inside = any(source.startswith(f"{pattern}/") for pattern in allowed)
        assert inside or any(fnmatch.fnmatch(source, pattern) for pattern in allowed), f"{source} is in .dockerignore"
    assert re.search(r"^USER worker$", dockerfile, re.MULTILINE), "must not run as root"


def test_the_image_runs_the_same_worker(compose: dict[str, Any]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["agent-framework-temporal-worker"]' in dockerfile
    for name in ("AGENT_FRAMEWORK_TEMPORAL_WORKFLOWS", "AGENT_FRAMEWORK_TEMPORAL_TASK_QUEUE"):
        assert f"{name}={services(compose)['worker']['environment'][name]}" in dockerfile


def test_ci_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
