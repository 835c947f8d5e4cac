"""The order and payment services as processes: start, SIGTERM, used ports, wrong settings."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from tests.services.order.doubles import CARD, new_order

ROOT = Path(__file__).parents[2]
SECONDS = 60
JSON = {"Content-Type": "application/json"}


def environ(folder: Path, **more: str) -> dict[str, str]:
    return os.environ | {
        "TASKFLOW_BROKER": f"sqlite:///{folder}/broker.db",
        "ORDER_DATABASE": f"sqlite:///{folder}/order.db",
        "PAYMENT_DATABASE": f"sqlite:///{folder}/payment.db",
        "ORDER_PORT": "0",
        "PAYMENT_PORT": "0",
        **more,
    }


@contextmanager
def running(name: str, env: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A service and its port, once it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"services.{name}"], env=env, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with process.stderr as lines:
        try:
            found = next(filter(None, (re.search(r"listens on .*:(\d+)", line) for line in lines)))
            # Somebody has to read on, or the service blocks on a full pipe.
            reader = Thread(target=lines.read)
            reader.start()
            yield process, int(found[1])
        finally:
            process.kill()
            process.wait(SECONDS)
        reader.join(SECONDS)


def run(name: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"services.{name}"],
        env=env,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


@pytest.mark.slow
def test_sigterm_finishes_the_request_in_work(tmp_path: Path) -> None:
    """The request is in work for as long as its payment service, a silent socket, is silent."""
    silent = socket.create_server(("127.0.0.1", 0))
    silent.settimeout(SECONDS)
    address = f"127.0.0.1:{silent.getsockname()[1]}"
    env = environ(tmp_path, ORDER_PAYMENT_ADDRESS=address, ORDER_PAYMENT_TIMEOUT="2")
    body = new_order(payment=CARD)
    with silent, running("order", env) as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        connection.request("POST", "/orders", json.dumps(body), JSON)
        caller, _ = silent.accept()  # the order service asks for the payment: it is in work
        process.send_signal(signal.SIGTERM)
        response = connection.getresponse()
        assert response.status == 503
        response.read()
        connection.close()
        caller.close()
        assert process.wait(SECONDS) == 0


SEED = (
    b'{"customer_email": "user@example.com", "items": [{"product_name": "Laptop Pro", '
    b'"quantity": 1, "unit_price_cents": 249900}]}'
)
"""The body of the first order anybody sends, as it stands in the README."""


@pytest.mark.slow
def test_order_over_a_real_socket_reaches_the_broker(tmp_path: Path) -> None:
    env = environ(tmp_path)
    with running("payment", env) as (_, payment_port):
        env["ORDER_PAYMENT_ADDRESS"] = f"127.0.0.1:{payment_port}"
        with running("order", env) as (process, port):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
            for body in (SEED, json.dumps(new_order(payment=CARD)).encode()):
                connection.request("POST", "/orders", body, JSON)
                response = connection.getresponse()
                order = json.loads(response.read())
                assert (response.status, order["status"]) == (201, "paid")
            connection.request("GET", "/health")
            response = connection.getresponse()
            assert (response.status, json.loads(response.read())["status"]) == (200, "ok")
            connection.request("POST", "/orders", b" " * 200_000, JSON)
            response = connection.getresponse()
            assert (response.status, response.headers["Content-Type"]) == (
                413,
                "application/problem+json",
            )
            connection.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0


@pytest.mark.slow
def test_payment_ends_well_on_sigterm(tmp_path: Path) -> None:
    with running("payment", environ(tmp_path)) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "variable"), [("order", "ORDER_PORT"), ("payment", "PAYMENT_PORT")]
)
def test_used_port_is_one_clear_line(tmp_path: Path, name: str, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(name, environ(tmp_path, **{variable: port}))
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert port in line
    assert variable in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "variable", "value"),
    [
        ("order", "ORDER_PORT", "http"),
        ("order", "ORDER_PAYMENT_TIMEOUT", "0"),
        ("payment", "PAYMENT_MAX_AMOUNT_CENTS", "-1"),
    ],
)
def test_wrong_setting_is_one_line_with_its_name(
    tmp_path: Path, name: str, variable: str, value: str
) -> None:
    ended = run(name, environ(tmp_path, **{variable: value}))
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert variable in line
    assert repr(value) in line


@pytest.mark.slow
def test_other_machines_are_let_in_with_keys_only(tmp_path: Path) -> None:
    ended = run("order", environ(tmp_path, ORDER_HOST="0.0.0.0"))
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert "ORDER_HOST=0.0.0.0 lets other machines in, which needs ORDER_KEYS" in line
    keys = tmp_path / "keys"
    keys.write_text("shop: abcdefghijklmnop\n")
    keys.chmod(0o600)
    env = environ(tmp_path, ORDER_HOST="0.0.0.0", ORDER_KEYS=str(keys))
    with running("order", env) as (_, port):
        answers = []
        for headers in ({}, {"Authorization": "Bearer abcdefghijklmnop"}):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
            connection.request("GET", "/orders", headers=headers)
            answers.append(connection.getresponse().status)
            connection.close()
    assert answers == [401, 200]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "variable"), [("order", "ORDER_DATABASE"), ("payment", "PAYMENT_DATABASE")]
)
def test_unusable_database_is_one_line_with_its_name(
    tmp_path: Path, name: str, variable: str
) -> None:
    (tmp_path / "text.db").write_bytes(b"no database" * 1000)
    ended = run(name, environ(tmp_path, **{variable: f"sqlite:///{tmp_path}/text.db"}))
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert variable in line


@pytest.mark.slow
def test_the_procfile_starts_the_python_of_its_path(tmp_path: Path) -> None:
    """Wherever the environment is: `make up` puts its programs first on the path."""
    bin = tmp_path / "venv/bin"
    bin.mkdir(parents=True)
    (bin / "python").write_text(f'#!/bin/sh\necho "started $*" >&2\nexec {sys.executable} "$@"\n')
    (bin / "python").chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "honcho", "start", "payment"],
        cwd=ROOT,
        env=environ(tmp_path, PATH=f"{bin}{os.pathsep}{os.environ['PATH']}"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as lines:
        said = list[str]()
        try:
            for line in lines:
                said.append(line)
                if "listens on" in line:
                    break
        finally:
            process.terminate()  # and it ends what it has started
            said += lines
            process.wait(SECONDS)
    assert any("started -m services.payment" in line for line in said), said

    told = subprocess.run(
        ["make", "--dry-run", "up", f"VENV={tmp_path}/venv"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert f'PATH="{bin}:$PATH" {bin}/honcho start' in told.stdout, told.stderr
