"""Plain requests of one turn of the loop: one call of the broker for what is asked alike, and each
gets what it asked for."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from taskflow.broker import Broker, QueueSettings
from taskflow.server.backend import Backend
from taskflow.server.fast_way import make_fast_way
from taskflow.server.protocol import HttpResponse
from tests.taskflow.server.wire import Run, make_app

Ask = Callable[..., list[Any]]


@pytest.fixture
def calls(taskflow_broker: Broker, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The verbs of traffic that were called."""
    called: list[str] = []
    for name in ("send", "receive", "delete"):
        verb = getattr(taskflow_broker, name)

        def noted(*args: Any, name: str = name, verb: Any = verb, **named: Any) -> Any:
            called.append(name)
            return verb(*args, **named)

        monkeypatch.setattr(taskflow_broker, name, noted)
    return called


@pytest.fixture
def ask(backend: Backend, run: Run[Any], calls: list[str]) -> Ask:
    """Ask all this in one turn; the answers, None for what goes the long way."""
    fast = make_fast_way(make_app({}, clock=backend.broker.clock), backend, lambda: True)
    assert fast is not None
    backend.broker.create_queue("work")
    backend.broker.set_queue("work", QueueSettings(max_message_bytes=1024))

    async def ask_all(asked: Sequence[tuple[str, dict[str, Any]]]) -> list[Any]:
        answers: list[asyncio.Future[bytes | None]] = []
        for action, params in asked:
            body = json.dumps({"QueueUrl": "work", **params}).encode()
            length = str(len(body)).encode()
            target = (b"x-amz-target", b"AmazonSQS." + action.encode())
            plan = fast.accept([(b"host", b"localhost"), (b"content-length", length), target])
            assert plan is not None
            future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

            def tell(answer: bytes | HttpResponse | None, future: Any = future) -> bool:
                assert not isinstance(answer, HttpResponse)
                future.set_result(answer)
                if answer is not None and b"broken" in answer:
                    raise OSError("the connection is broken")
                return True

            assert fast.begin(plan, body, tell)
            answers.append(future)
        found = await asyncio.gather(*answers)
        return [None if one is None else json.loads(one) for one in found]

    return lambda *asked: run(ask_all(asked))


def send(body: str) -> tuple[str, dict[str, Any]]:
    return "SendMessage", {"MessageBody": body}


def receive(limit: int = 1, **more: Any) -> tuple[str, dict[str, Any]]:
    return "ReceiveMessage", {"MaxNumberOfMessages": limit, **more}


def bodies(answer: Any) -> list[str]:
    return [one["Body"] for one in answer.get("Messages", [])]


def test_each_gets_what_it_asked_for(ask: Ask, calls: list[str]) -> None:
    sent = ask(*(send(str(number)) for number in range(7)))
    assert len({one["MessageId"] for one in sent}) == 7
    assert calls == ["send"]
    found = ask(receive(2), receive(), receive(10), receive())
    assert [bodies(one) for one in found] == [["0", "1"], ["2"], ["3", "4", "5", "6"], []]
    assert calls == ["send", "receive"]
    receipts = [one["ReceiptHandle"] for answer in found for one in answer.get("Messages", [])]
    assert ask(*(("DeleteMessage", {"ReceiptHandle": one}) for one in receipts)) == [{}] * 7
    assert calls == ["send", "receive", "delete"]


def test_what_is_asked_otherwise_is_another_call(ask: Ask, calls: list[str]) -> None:
    ask(send("a"), send("b"))
    found = ask(receive(VisibilityTimeout=0), receive(VisibilityTimeout=30))
    assert [bodies(one) for one in found] == [["a"], ["a"]]
    assert calls == ["send", "receive", "receive"]


def test_one_that_fails_fails_alone(ask: Ask, backend: Backend) -> None:
    answers = ask(send("a"), send("x" * 1025), send("\0"), send("b"))
    assert [answer is None for answer in answers] == [False, True, True, False]
    assert backend.broker.counts("work").visible == 2
    answers = ask(receive(), receive(), receive(WaitTimeSeconds=20), receive())
    assert [answer if answer is None else bodies(answer) for answer in answers] == [
        *(["a"], ["b"]),
        None,  # it waits
        [],
    ]
    assert ask(("SendMessage", {"MessageBody": "x", "QueueUrl": "gone"}), send("c"))[0] is None
    assert backend.broker.counts("work").visible == 1


def test_an_answer_that_cannot_be_given_is_nobody_elses_trouble(
    ask: Ask, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    ask(send("broken"), send("a"))
    found = ask(receive(), receive())
    assert [bodies(one) for one in found] == [["broken"], ["a"]]
    assert "could not be given" in caplog.text
    backend.threads.shutdown()
    assert backend.broker.counts("work").visible == 1
