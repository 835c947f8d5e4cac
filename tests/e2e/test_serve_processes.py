"""`taskflow serve --processes`: several processes answer on one port, for one broker."""

# boto3 has no types.
# mypy: allow-untyped-calls

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.e2e.test_serve import TASKFLOW, taskflow

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
POLLS = 8  # that the kernel gives all to one of two processes happens once in 128 times


class Served:
    """A running `taskflow serve` of two processes, and which they are."""

    def __init__(self, address: str, access: dict[str, str]) -> None:
        self._access, self.address = access, address
        self.process = subprocess.Popen(
            [*TASKFLOW, "serve", "--port", "0", "--processes", "2"],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONWARNINGS": "", "TASKFLOW_BROKER": address},
        )
        self.pids: list[int] = []
        self.url = ""
        self.said: list[str] = []
        self._clients: list[Any] = []
        self._session = boto3.session.Session()

    def wait_for_processes(self, count: int) -> None:
        """Read what they say until so many more of them listen."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(r"worker process (\d+) started", line):
                self.pids.append(int(found[1]))
            if found := re.search(r"serving SQS and SNS at (\S+)", line):
                self.url, count = found[1], count - 1
                if not count:
                    return
        raise AssertionError("".join(self.said))

    def client(self) -> Any:
        """A client with a connection of its own."""
        config = Config(retries={"total_max_attempts": 3}, read_timeout=60)
        client = self._session.client(
            "sqs", endpoint_url=self.url, region_name="us-east-1", config=config, **self._access
        )
        self._clients.append(client)
        return client

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        assert self.process.stderr is not None
        self.process.stderr.close()
        for client in self._clients:
            client.close()


@pytest.fixture
def address(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/broker.db"
        return
    server = request.getfixturevalue("postgres")
    yield server.address()
    server.empty()


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_polls_of_all_processes_are_woken_and_a_dead_one_is_replaced(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TASKFLOW_KEYS", str(tmp_path / "keys.json"))
    made = taskflow("keys", "add", "shop", "--shell", "--broker", address).stdout
    id, secret = re.findall(r"KEY(?:_ID)?='?([A-Za-z0-9+/=_-]+)", made)
    served = Served(address, {"aws_access_key_id": id, "aws_secret_access_key": secret})
    try:
        served.wait_for_processes(2)
        queue = served.client().create_queue(QueueName="q")["QueueUrl"]
        parked = threading.Barrier(POLLS + 1)

        def poll(client: Any) -> list[str]:
            client.list_queues()  # it has its connection now
            parked.wait(30)
            answer = client.receive_message(QueueUrl=queue, WaitTimeSeconds=20)
            return [one["Body"] for one in answer.get("Messages", [])]

        with ThreadPoolExecutor(POLLS) as threads:
            polls = [threads.submit(poll, served.client()) for _ in range(POLLS)]
            parked.wait(30)
            for n in range(POLLS):
                served.client().send_message(QueueUrl=queue, MessageBody=str(n))
            assert sorted(one.result()[0] for one in polls) == [str(n) for n in range(POLLS)]

        served._access = {"aws_access_key_id": id, "aws_secret_access_key": "wrong"}
        strangers = [served.client() for _ in range(POLLS)]
        for client in strangers:
            with pytest.raises(ClientError, match="signature we calculated does not match"):
                client.list_queues()
        served._access = {"aws_access_key_id": id, "aws_secret_access_key": secret}

        for pid in served.pids[:2]:  # each of them answers alone, for a while
            os.kill(pid, signal.SIGKILL)
            served.wait_for_processes(1)
            assert served.client().list_queues()["QueueUrls"] == [queue]
        assert len(set(served.pids)) == 4

        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(
                served.client().receive_message, QueueUrl=queue, WaitTimeSeconds=20
            )
            served.client().list_queues()
            served.process.send_signal(signal.SIGTERM)
            assert "Messages" not in waiting.result(30)
        assert served.process.wait(30) == 0
    finally:
        served.close()


def test_nobody_goes_on_without_the_supervising_process(tmp_path: Path) -> None:
    served = Served(f"sqlite:///{tmp_path}/broker.db", {})
    try:
        served.wait_for_processes(2)
        second = taskflow(
            "serve", "-p", "2", "--port", served.url.rpartition(":")[2], "--broker", served.address
        )
        assert (second.returncode, "Address already in use" in second.stderr) == (2, True)
        served.process.kill()
        assert served.process.stderr is not None
        said = served.process.stderr.read()  # until the last of them has ended
        assert said.count("the supervising process is gone") == 2
    finally:
        served.close()


def test_what_cannot_be_shared_is_refused() -> None:
    done = taskflow("serve", "-p", "2", "--port", "0", "--broker", "memory://")
    assert (done.returncode, "of one process" in done.stderr) == (2, True)
