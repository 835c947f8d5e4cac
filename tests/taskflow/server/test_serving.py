"""The server put together, over a real socket: options, stopping, a broker that fails."""

# boto3 has no types.
# mypy: allow-untyped-calls

import contextlib
import json
import logging
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from taskflow import open_broker
from taskflow.broker import Broker
from taskflow.dashboard import monitor
from taskflow.errors import BrokerFileError, ConfigError
from taskflow.server import connection as connection_module
from taskflow.server.access_key import Key
from taskflow.server.keys import Keys
from taskflow.server.server_options import ServerOptions, check_options, find_keys
from taskflow.testing import ManualClock, memory_broker, wire_server

Client = Callable[..., Any]


@contextmanager
def client_of(url: str, service: str = "sqs", key: Key | None = None) -> Iterator[Any]:
    config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
    made = boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        config=config,
        aws_access_key_id=key.access_key_id if key else "x",
        aws_secret_access_key=key.secret if key else "x",
    )
    with closing(made):
        yield made


def test_the_fixture_is_an_endpoint(taskflow_server: str) -> None:
    with client_of(taskflow_server) as sqs, client_of(taskflow_server, "sns") as sns:
        url = sqs.create_queue(QueueName="orders")["QueueUrl"]
        assert url == f"{taskflow_server}/000000000000/orders"
        sent = sqs.send_message(QueueUrl=url, MessageBody="x")
        (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
        assert message["MessageId"] == sent["MessageId"]
        arn = sns.create_topic(Name="order-created")["TopicArn"]
        assert arn == "arn:aws:sns:us-east-1:000000000000:order-created"


def test_reset_empties_everything(taskflow_server: str) -> None:
    with client_of(taskflow_server) as sqs:
        sqs.create_queue(QueueName="orders")
        ask = urllib.request.Request(f"{taskflow_server}/_taskflow/reset", method="POST")
        with urllib.request.urlopen(ask) as answer:
            assert answer.status == 200
        assert "QueueUrls" not in sqs.list_queues()


def test_account_region_and_url_are_as_told() -> None:
    with (
        closing(memory_broker()) as broker,
        wire_server(
            broker, account="123456789012", region="eu-west-1", url="http://queues.test"
        ) as server,
        client_of(f"http://127.0.0.1:{server.port}") as sqs,
    ):
        url = sqs.create_queue(QueueName="orders")["QueueUrl"]  # signed for us-east-1
        assert url == "http://queues.test/123456789012/orders"
        assert broker.queues() == ["us-east-1/orders"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"account": "12"}, "account is '12'; twelve digits"),
        ({"region": "US East"}, "region is 'US East'; example: us-east-1"),
        ({"certificate": Path("x")}, "TLS needs both: --certificate and --certificate-key"),
        ({"host": "0.0.0.0"}, "needs access keys"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_options(ServerOptions(**options))


def test_keys_lie_beside_the_file() -> None:
    assert find_keys("sqlite:///var/broker.db?durability=process") == Path(
        "var/broker.db-keys.json"
    )
    assert find_keys("memory://") is None


def test_from_the_first_key_on_urls_of_this_machine_are_not_called(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the server began without any."""
    caplog.set_level(logging.INFO, "taskflow.server")
    file, refused = tmp_path / "broker.db-keys.json", threading.Event()

    def hear(record: logging.LogRecord) -> bool:
        if "which subscriptions may not call" in record.getMessage():
            refused.set()
        return True

    caplog.handler.addFilter(hear)
    with closing(open_broker("memory://")) as broker, wire_server(broker, keys=file) as server:
        key = Keys.load(file).add("shop", 0.0)
        broker.create_topic("made")
        with client_of(server.url, "sns", key) as sns:
            sns.subscribe(
                TopicArn="arn:aws:sns:us-east-1:000000000000:made",
                Protocol="http",
                Endpoint=server.url,
            )
        assert refused.wait(30)


def test_a_poll_under_way_is_answered_when_the_server_stops() -> None:
    answers: list[Any] = []
    with closing(memory_broker()) as broker:
        with wire_server(broker) as server, client_of(server.url) as sqs:
            url = sqs.create_queue(QueueName="orders")["QueueUrl"]
            poll = threading.Thread(
                target=lambda: answers.append(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20))
            )
            poll.start()
            while not _parked(server.url):
                pass
            server.stop()
            poll.join()
        assert "Messages" not in answers[0]


def _parked(url: str) -> int:
    with urllib.request.urlopen(f"{url}/stats") as answer:
        found: int = json.load(answer)["parked_polls"]
        return found


def test_a_server_whose_loop_does_not_turn_is_not_alive() -> None:
    clock, goes_on, told = ManualClock(0.0), threading.Event(), threading.Event()
    with closing(memory_broker(clock=clock)) as broker, wire_server(broker) as server:
        server.on_stop = told.set
        assert server.problems() == ([], [])
        loop = server._server.loop
        assert loop is not None
        loop.call_soon_threadsafe(goes_on.wait)
        clock.advance(61)
        silent = ["the event loop has not turned for 61 s"]
        assert server.problems() == (silent, silent)
        goes_on.set()
        while server.problems()[0]:
            pass
        server.stop()
        assert told.wait(15), "whoever wants to know of a stop is told"
        assert server.problems()[1][-1:] == ["stopping"]


def test_a_full_disk_is_a_5xx_and_nothing_is_acknowledged(monkeypatch: Any) -> None:
    with (
        closing(memory_broker()) as broker,
        wire_server(broker) as server,
        client_of(server.url) as sqs,
    ):
        url = sqs.create_queue(QueueName="orders")["QueueUrl"]

        def full(*_: Any) -> Any:
            raise BrokerFileError("broker.db: the disk is full; nothing was stored")

        with monkeypatch.context() as patched:
            patched.setattr(broker, "send", full)
            with pytest.raises(ClientError) as failure:
                sqs.send_message(QueueUrl=url, MessageBody="x")
            assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
            patched.setattr(broker, "queues", full)
            patched.setattr(monitor, "PATIENCE", 15)
            with pytest.raises(urllib.error.HTTPError) as unhealthy:
                urllib.request.urlopen(f"{server.url}/health")
            assert unhealthy.value.code == 503
            unhealthy.value.close()
        assert "Messages" not in sqs.receive_message(QueueUrl=url)


@pytest.fixture
def turned_back(taskflow_clock: ManualClock) -> Callable[[float], None]:
    return lambda seconds: taskflow_clock.set(taskflow_clock.now() - seconds)


def test_a_clock_that_steps_back_expires_nothing_and_keeps_order(
    taskflow_broker: Broker, taskflow_clock: ManualClock, turned_back: Callable[[float], None]
) -> None:
    with wire_server(taskflow_broker) as server, client_of(server.url) as sqs:
        url = sqs.create_queue(QueueName="orders.fifo", Attributes={"FifoQueue": "true"})[
            "QueueUrl"
        ]

        def send(id: str) -> str:
            answer = sqs.send_message(
                QueueUrl=url, MessageBody=id, MessageGroupId="g", MessageDeduplicationId=id
            )
            return str(answer["SequenceNumber"])

        first = send("1")
        (held,) = sqs.receive_message(QueueUrl=url)["Messages"]
        turned_back(3600)
        assert first < send("2")
        assert "Messages" not in sqs.receive_message(QueueUrl=url)  # the lease is not lost
        sqs.delete_message(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"])
        taskflow_clock.advance(3600)
        (second,) = sqs.receive_message(QueueUrl=url)["Messages"]
        assert second["Body"] == "2"


def test_a_server_that_cannot_listen_says_so(tmp_path: Path) -> None:
    with (
        closing(open_broker(f"sqlite:///{tmp_path}/broker.db")) as broker,
        wire_server(broker) as server,
        pytest.raises(ConfigError, match="Address already in use"),
        wire_server(broker, port=server.port),
    ):
        pass


def test_a_head_without_end_is_refused(taskflow_server: str) -> None:
    host, _, port = taskflow_server.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\nx-long: ")
        answer = b""
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                connection.sendall(b"a" * 4096)
        with contextlib.suppress(ConnectionError):
            answer = connection.recv(65536)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    with urllib.request.urlopen(f"{taskflow_server}/health") as health:
        assert health.status == 200


def test_half_a_request_does_not_hold_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "SLOWEST", 0.05)
    monkeypatch.setattr(connection_module, "FIRST", 0.05)
    with closing(memory_broker()) as broker, wire_server(broker) as server:
        for half in (
            b"",
            b"POST / HT",
            b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nab",
        ):
            with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
                connection.sendall(half)
                assert connection.recv(10) == b""  # closed
