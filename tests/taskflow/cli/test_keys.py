"""`taskflow keys`: a secret is shown once, to the one who asked."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from taskflow.clock import SystemClock
from taskflow.server.access_key import VERBS
from taskflow.server.keys import Keys
from taskflow.server.server_options import find_keys

Run = Callable[..., Result]
FILE = "taskflow.db-keys.json"


def test_a_key_is_added_listed_and_revoked(run: Run, folder: Path) -> None:
    before = SystemClock().now()
    added = run("keys", "add", "shop", "--queue", "a*", "--queue", "b", "--verb", "send")
    assert added.exit_code == 0
    (key,) = Keys.load(folder / FILE).all()
    assert (key.name, key.queues, key.topics, key.verbs) == ("shop", ("a*", "b"), (), ("send",))
    assert before <= key.created_at <= SystemClock().now()
    assert added.stdout.split() == [
        *("access", "key", "id", key.access_key_id),
        *("secret", "access", "key", key.secret),
    ]
    assert "not shown again" in added.stderr
    assert FILE in added.stderr

    listed = run("keys", "list")
    assert key.secret not in listed.output
    heads, line = listed.stdout.splitlines()
    assert heads.split()[:2] == ["NAME", "ACCESS"]
    assert line.split()[:-1] == ["shop", key.access_key_id, "send", "a*", "b", "-"]

    revoked = run("keys", "revoke", "shop")
    assert revoked.stdout == f"revoked shop ({key.access_key_id})\n"
    assert run("keys", "list").stdout.startswith("no keys")


@pytest.mark.parametrize(
    ("options", "queues", "topics"),
    [
        ([], ("*",), ("*",)),
        (["--queue", "jobs"], ("jobs",), ()),
        (["--topic", "order*"], (), ("order*",)),
        (["--topic", "order*", "--queue", "jobs"], ("jobs",), ("order*",)),
    ],
)
def test_naming_one_thing_gives_nothing_else(
    run: Run, folder: Path, options: list[str], queues: tuple[str, ...], topics: tuple[str, ...]
) -> None:
    assert run("keys", "add", "shop", *options).exit_code == 0
    (key,) = Keys.load(folder / FILE).all()
    assert (key.queues, key.topics, key.verbs) == (queues, topics, VERBS)


def test_a_shell_can_evaluate_it(run: Run, folder: Path) -> None:
    added = run("keys", "add", "shop", "--shell")
    (key,) = Keys.load(folder / FILE).all()
    assert added.stdout == (
        f"export AWS_ACCESS_KEY_ID={key.access_key_id}\nexport AWS_SECRET_ACCESS_KEY={key.secret}\n"
    )


def test_the_keys_lie_beside_the_broker_that_is_named(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("keys", "add", "one", "--broker", "sqlite:///other.db").exit_code == 0
    monkeypatch.setenv("TASKFLOW_BROKER", "sqlite:///third.db")
    assert run("keys", "add", "two").exit_code == 0
    assert {path.name for path in folder.glob("*-keys.json")} == {
        "other.db-keys.json",
        "third.db-keys.json",
    }


def test_the_keys_of_a_broker_without_a_file_lie_where_it_is_said(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKFLOW_BROKER", "postgresql://u:secret@h/shop")
    refused = run("keys", "add", "one")
    assert (refused.exit_code, "where --keys says" in refused.output) == (2, True)
    assert "secret" not in refused.output
    assert find_keys("postgresql://h/shop") is None  # it is served without
    assert run("keys", "add", "one", "--keys", "own.json").exit_code == 0
    monkeypatch.setenv("TASKFLOW_KEYS", "own.json")
    assert "one" in run("keys", "list").output
    assert [key.name for key in Keys.load(folder / "own.json").all()] == ["one"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "shop", "--broker", "memory://"), "access keys lie beside a broker file"),
        (("list", "--broker", "aws://eu-west-1"), "access keys lie beside a broker file"),
        (("revoke", "x", "--broker", "sqlite://b.db"), "access keys lie beside a broker file"),
        (("revoke", "shop"), "no key 'shop'; known: none"),
        (("add", "bad name"), "key name 'bad name'"),
        (("add", "shop", "--verb", "write"), "'write' is not one of"),
        (("add", "shop", "--broker", "sqlite:///no/b.db"), "no cannot be used"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    run: Run, folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run("keys", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert not list(folder.glob("*keys*"))


def test_an_open_file_is_refused(run: Run, folder: Path) -> None:
    run("keys", "add", "shop")
    (folder / FILE).chmod(0o644)
    result = run("keys", "list")
    assert result.exit_code == 2
    assert f"mode 0644: it holds secrets and is open to others; run: chmod 600 {FILE}" in (
        result.stderr
    )
