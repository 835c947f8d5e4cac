"""`taskflow dlq causes|redrive|purge|resend|debug` with filters, and `taskflow find`."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import Result

from taskflow import Broker, publish
from taskflow.broker.message_query import MessageQuery
from taskflow.broker.record import RecordQuery
from taskflow.cli import letter_acts
from taskflow.cli.modules import load_registry
from taskflow.message import CAUSED_BY, Message
from taskflow.publisher import using
from taskflow.tasks.durable import SIGNAL, STEP
from taskflow.tasks.run import RUN
from taskflow.testing import drain

Run = Callable[..., Result]
MORE = """
from taskflow import Event, publish, subscribe

@subscribe("order.cancelled", queue="audit", retries=0)
def undo(event: Event) -> None:
    publish("order.undone", event.payload)
    raise KeyError("undone")

@subscribe("order.undone", queue="mails")
def tell(event: Event) -> None: ...
"""
RUNS = """
from pathlib import Path
from taskflow import Run, chain, task, workflow

def mark(what: str) -> str:
    with Path("ran").open("a") as file:
        file.write(what + " ")
    return what

def pay(amount: int) -> int:
    mark("pay")
    return amount

def ship(paid: int) -> str:
    mark("ship")
    raise ConnectionError("no carrier")

@task(queue="thanks", result="1d", retries=0)
def thank(name: str, paid: int = 0) -> str:
    mark("thank")
    if paid:
        raise ValueError(f"{name} paid {paid}")
    thank.delay("again")
    return name

@workflow(queue="orders", retries=0)
def order(amount: int, ctx: Run) -> str:
    paid = ctx.step(pay, amount)
    parcel = ctx.step(ship, paid)
    thank.delay(parcel)
    return ctx.wait("arrived")
"""


@pytest.fixture(autouse=True)
def letters(broker: Broker, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead letters of `audit`: e0 to e2 of one cause, and c0 of another."""
    monkeypatch.syspath_prepend(folder)
    (folder / "more.py").write_text(MORE)
    registry = load_registry(["shop", "more"])
    drain(broker, registry)
    for number in range(3):
        publish("order.created", "bad", id=f"e{number}", broker=broker)
    publish("order.cancelled", 7, id="c0", broker=broker)
    drain(broker, registry, raise_errors=False)


def dead(broker: Broker) -> list[str]:
    return sorted(letter.id for letter in broker.peek("audit-dlq"))


def test_code_that_is_out_is_marked(run: Run, broker: Broker) -> None:
    assert run("deploy", "mark", " 4f2a91c ").output == "marked 4f2a91c\n"
    assert did(broker) == [("deploy", "4f2a91c", None)]
    for name in ("", " ", "x" * 101):
        refused = run("deploy", "mark", name)
        assert refused.exit_code == 2
        assert "1 to 100 are allowed" in refused.output


def did(broker: Broker) -> list[tuple[str, str | None, int | None]]:
    return [(one.did, one.target, one.count) for one in broker.list_actions().actions]


def test_causes_are_listed(run: Run) -> None:
    first, second = json.loads(run("dlq", "causes", "audit", "--json").output)
    assert (first["count"], first["handler"], first["error"]) == (3, "shop.record", "ValueError")
    assert first["place"].endswith("/shop.py:8 in record")
    assert (second["count"], second["error"], second["sample"]) == (1, "KeyError", "c0")
    heads, line, _ = run("dlq", "causes").output.splitlines()
    assert heads.split()[:2] == ["LETTERS", "CAUSE"]
    assert line.split()[:3] == ["3", first["id"], "audit"]
    found = run("dlq", "list", "audit", "--cause", second["id"], "--json").output
    assert [one["id"] for one in json.loads(found)] == ["c0"]


def test_some_are_redriven_and_it_is_noted(run: Run, broker: Broker) -> None:
    result = run("dlq", "redrive", "audit", "--error", "Key*", "--rate", "500", "--json")
    assert json.loads(result.output) == {"count": 1}
    assert dead(broker) == ["e0", "e1", "e2"]
    assert run("dlq", "redrive", "audit", "--handler", "nosuch").output.startswith("redrove 0 ")
    assert run("dlq", "redrive", "audit", "--to", "plain").output.startswith("moved 3 ")
    assert sorted(one.id for one in broker.peek("plain")) == ["e0", "e1", "e2"]
    assert did(broker) == [("move", "plain", 3), ("redrive", None, 0), ("redrive", None, 1)]
    line = run("actions", "--did", "move", "--since", "1h").output.splitlines()[1]
    assert line.split()[2:6] == ["move", "audit-dlq", "plain", "3"]
    assert run("actions", "--who", "nosuch").output == "nothing is noted\n"
    assert len(json.loads(run("actions", "--queue", "audit-dlq", "--json").output)) == 3
    (action, *_) = broker.list_actions().actions
    assert (action.queue, action.via, bool(action.who), bool(action.host)) == (
        *("audit-dlq", "cli"),
        *(True, True),
    )


def test_many_are_deleted_by_their_number(
    run: Run, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letter_acts, "MANY", 2)
    asked = ("dlq", "purge", "audit", "--text", "no such order", "--died-since", "1h")
    result = run(*asked, given="y\n")
    assert result.exit_code == 1
    assert "Delete 3 dead letters of audit for good? Type 3 to go on" in result.output
    assert (len(dead(broker)), did(broker)) == (4, [])
    assert run(*asked, given="3\n").exit_code == 0
    assert (dead(broker), did(broker)) == (["c0"], [("delete", None, 3)])


def test_an_edited_letter_takes_its_place(run: Run, broker: Broker) -> None:
    (letter,) = broker.peek("audit-dlq", ids=["e1"])
    body = json.dumps(json.loads(letter.body) | {"data": "good"})
    fresh = run("dlq", "resend", "audit", "e1", "--body", body).output.strip()
    assert dead(broker) == ["c0", "e0", "e2"]
    (sent,) = broker.peek("audit")
    assert (sent.id, sent.attributes[CAUSED_BY], json.loads(sent.body)["data"]) == (
        *(fresh, "e1"),
        "good",
    )
    again = json.loads(run("dlq", "resend", "audit", "e0", "--as-is", "--json").output)
    assert again["caused_by"] == "e0"
    assert run("dlq", "resend", "audit", "nosuch", "--as-is").exit_code == 2
    assert did(broker) == [("resend", "e0", 1), ("resend", "e1", 1)]


def debug(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """In a process of its own, as it is used: a debugger that is left in the middle of functions
    that ran a thousand times before went round for ever in Python 3.11."""
    command = [sys.executable, "-m", "taskflow", "dlq", "debug", *arguments]
    return subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.slow
def test_a_letter_is_debugged_and_stays(broker: Broker) -> None:
    assert debug("c0", "-m", "more", given="n\n").returncode == 1
    assert did(broker) == []
    words = "y\np event.payload * 6\ntaskflow_dead = 1\nc\np type(event)\nq\n"
    result = debug("c0", "-m", "more", "--sandbox", given=words)
    assert "Only what it sends and records is kept here." in result.stdout + result.stderr
    assert "(Pdb) 42" in result.stdout  # at its first line
    assert "KeyError: 'undone'" in result.stderr
    assert " to mails (order.undone)\n" in result.stdout
    said = "more.undo raised KeyError; the letter c0 is in audit-dlq as before"
    assert said in result.stdout + result.stderr
    assert (len(dead(broker)), broker.counts("mails").visible) == (4, 0)
    assert broker.redrive("audit-dlq", ["c0"]) == 1  # it is given back
    assert did(broker) == [("debug", "c0", None)]
    result = debug("e0", "-m", "shop", "--yes", given="q\n")
    assert "BdbQuit" in result.stdout + result.stderr
    assert debug("nosuch", "--yes").returncode == 2
    assert broker.find(MessageQuery(ids=["e0"])).messages[0].state == "dead"


@pytest.fixture
def runs(broker: Broker, folder: Path) -> str:
    """The id of a run of a workflow that has failed in its second step."""
    (folder / "runs.py").write_text(RUNS)
    registry = load_registry(["runs"])
    drain(broker, registry)
    with using(broker):
        import_module("runs").order.options(id="o1").delay(7)
        import_module("runs").thank.options(id="t1").delay("Ada", 5)
    drain(broker, registry, raise_errors=False)
    assert sorted((folder / "ran").read_text().split()) == ["pay", "ship", "thank"]
    return "o1"


def letters_in(broker: Broker, queue: str) -> list[str]:
    query = MessageQuery(queues=[queue], states=["dead"])
    return [one.delivery.id for one in broker.find(query).messages]


def snapshot(broker: Broker) -> list[object]:
    """All that is kept of runs."""
    return [
        (one.kind, one.key, one.value, one.version, one.state)
        for kind in (RUN, STEP, SIGNAL)
        for one in broker.list_records(RecordQuery(kind=kind, limit=100)).records
    ]


@pytest.mark.slow
def test_steps_are_not_run_in_a_sandbox(broker: Broker, folder: Path, runs: str) -> None:
    before = snapshot(broker)
    (id,) = letters_in(broker, "orders-dlq")
    first = debug(id, "-m", "runs", "--sandbox", "--yes", given="c\n")
    assert "order came to step 'ship', which is not run here (--answer ship=JSON" in first.stdout
    second = debug(
        id, "-m", "runs", "--sandbox", "--yes", "--answer", 'ship="parcel 1"', given="c\n"
    )
    assert "order waits; the letter" in second.stdout
    assert " to thanks (directly)\n" in second.stdout  # what it would thank for
    answers = ("--answer", 'ship="parcel 1"', "--answer", 'wait:arrived="in time"')
    third = debug(id, "-m", "runs", "--sandbox", "--yes", *answers, given="n\nn\np paid\nc\n")
    assert "(Pdb) 7" in third.stdout, third.stdout + third.stderr  # what is kept of the first step
    assert "order ended well; the letter" in third.stdout
    assert sorted((folder / "ran").read_text().split()) == ["pay", "ship", "thank"]
    assert snapshot(broker) == before
    assert letters_in(broker, "orders-dlq") == [id]
    assert broker.counts("thanks").visible == 0

    refused = debug(id, "-m", "runs", "--yes")
    assert refused.returncode == 2
    assert "run 'o1' is over (failed), and is not run again: --sandbox runs a copy" in (
        refused.stderr
    )
    assert snapshot(broker) == before
    bad = debug(id, "-m", "runs", "--yes", "--answer", "ship=1")
    assert "--answer is of a --sandbox" in bad.stderr
    bad = debug(id, "-m", "runs", "--yes", "--sandbox", "--answer", "ship=no")
    assert "write STEP=JSON" in bad.stderr


@pytest.mark.slow
def test_a_task_with_a_run_is_debugged_as_a_copy(broker: Broker, folder: Path, runs: str) -> None:
    before = snapshot(broker)
    (id,) = letters_in(broker, "thanks-dlq")
    words = "paid = 0\nc\n"
    result = debug(id, "-m", "runs", "--sandbox", "--yes", given=words)
    assert "thank ended well; the letter" in result.stdout, result.stdout + result.stderr
    assert "to thanks (directly)" in result.stdout
    assert snapshot(broker) == before
    assert broker.redrive("thanks-dlq", [id]) == 1


def test_messages_are_found_anywhere(run: Run) -> None:
    heads, line = run("find", "c0").output.splitlines()
    assert heads.split()[:3] == ["ID", "QUEUE", "STATE"]
    assert line.split()[:4] == ["c0", "audit-dlq", "dead", "order.cancelled"]
    found = json.loads(run("find", "--text", "NO SUCH", "--limit", "2", "--json").output)
    assert [(one["id"], one["source"], one["attempts"]) for one in found] == [
        ("e2", "audit", 1),
        ("e1", "audit", 1),
    ]
    assert run("find", "--queue", "plain").output == "no such message\n"


@pytest.mark.parametrize(
    ("terms", "ids"),
    [
        (("state:dead",), "c0 e2 e1 e0"),
        (("queue:audit",), "c0 e2 e1 e0"),
        (("queue:mails",), ""),
        (("state:dead", "-error:KeyError"), "e2 e1 e0"),
        (("state:dead -error:KeyError handler:*",), "e2 e1 e0"),
        (("-handler:shop.undo", "topic:order.created"), "e2 e1 e0"),
        (("e1", "c0"), "c0 e1"),
        (("e1", "state:waiting"), ""),
        (("id:e*", "-id:e1"), "e2 e0"),
        (("bad", "topic:order.*"), ""),
        (('"bad"',), "e2 e1 e0"),
        (('"bad"', "--limit", "2"), "e2 e1"),
        (("attempt:1", "age:<1h", "queue:audit", "--error", "KeyError"), "c0"),
    ],
    ids=str,
)
def test_the_filters_of_the_dashboard_are_understood(
    run: Run, terms: tuple[str, ...], ids: str
) -> None:
    found = run("find", *terms, "--json")
    assert found.exit_code == 0, found.output
    shown = [one["id"] for one in json.loads(found.output)]
    assert shown == ids.split()


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (("stat:dead",), "There is no filter stat: here. Did you mean state:?"),
        (("state:sad",), "No message is ever sad."),
        (("age:>soon",), "age:soon is no number and no time."),
        (("state:dead", "--state", "dead"), "state is asked by a term and beside it"),
        (("e0", "id:e1"), "id is asked by a term and beside it"),
        (("--nosuch",), "No such option"),
    ],
    ids=str,
)
def test_filters_that_cannot_be_are_refused(run: Run, terms: tuple[str, ...], said: str) -> None:
    refused = run("find", *terms)
    assert refused.exit_code == 2
    assert said in refused.output


def test_who_looks_by_command_sees_all_fields(run: Run, broker: Broker) -> None:
    broker.create_queue("plain")
    broker.send("plain", [Message("p1", '{"card": "4242", "n": 1}')])
    assert run("find", "payload.card:4242").output.splitlines()[1].split()[0] == "p1"
    assert run("find", "payload.card:4243").output == "no such message\n"


def test_a_queue_that_is_not_there_is_refused(run: Run) -> None:
    assert run("find", "--queue", "nosuch").exit_code == 2
