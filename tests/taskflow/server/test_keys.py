"""The keys file: private, never half-written, seen by others at once, and closed when in doubt."""

import json
import os
import re
import stat
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import botocore.session
import pytest

from taskflow.errors import ConfigError
from taskflow.server.access_key import VERBS, VERBS_OF, Key, Verb, allows
from taskflow.server.keys import Keys, keys_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "broker.db-keys.json"


def add(path: Path, name: str = "shop") -> Key:
    return Keys.load(path).add(name, 1000.0)


# ---- the file ---------------------------------------------------------------------------------
def test_a_key_is_made_and_found(path: Path) -> None:
    keys = Keys.load(path)
    key = keys.add("shop", 1000.0, queues=["orders-*"], topics=[], verbs=["receive", "send"])
    assert re.fullmatch("TF[A-Z0-9]{18}", key.access_key_id)
    assert re.fullmatch("[A-Za-z0-9_-]{40}", key.secret)
    assert (key.name, key.created_at, key.queues, key.topics) == ("shop", 1000.0, ("orders-*",), ())
    assert key.verbs == ("send", "receive")
    assert keys.find(key.access_key_id) == Keys.load(path).find(key.access_key_id) == key
    assert keys.find("TF" + "0" * 18) is None
    assert key.secret not in repr(key)


def test_no_two_keys_are_alike(path: Path) -> None:
    made = [add(path, name) for name in ("one", "two", "three")]
    assert len({key.access_key_id for key in made}) == len({key.secret for key in made}) == 3
    assert Keys.load(path).all() == made


def test_the_file_is_private_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        add(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o666, 0o610])
def test_a_file_open_to_others_is_refused_with_the_way_out(path: Path, mode: int) -> None:
    running = Keys.load(path)
    key = running.add("shop", 1000.0)
    path.chmod(mode)
    before = path.read_bytes()
    calls = (
        lambda: Keys.load(path),
        lambda: running.find(key.access_key_id),
        lambda: running.add("other", 1000.0),
        lambda: running.revoke("shop"),
    )
    for call in calls:
        with pytest.raises(ConfigError, match=rf"has mode 0{mode:o}.*chmod 600 {path}"):
            call()
    assert path.read_bytes() == before
    path.chmod(0o600)
    assert running.find(key.access_key_id) == key


def test_a_revoked_key_is_gone_at_once_in_every_process(path: Path) -> None:
    serving = Keys.load(path)
    key, other = add(path, "shop"), add(path, "other")
    assert serving.find(key.access_key_id) == key
    assert Keys.load(path).revoke("shop") == key
    assert serving.find(key.access_key_id) is None
    assert Keys.load(path).revoke(other.access_key_id) == other
    assert serving.all() == []


def test_without_its_last_key_a_broker_is_closed_and_not_open(path: Path) -> None:
    keys = Keys.load(path)
    assert not keys.configured
    keys.add("shop", 1000.0)
    keys.revoke("shop")
    assert keys.configured
    assert Keys.load(path).configured


def test_a_file_that_vanishes_is_an_error_and_no_open_door(path: Path) -> None:
    keys = Keys.load(path)
    key = keys.add("shop", 1000.0)
    kept = path.rename(path.with_suffix(".away"))
    for _ in range(2):
        with pytest.raises(ConfigError, match="is gone"):
            keys.find(key.access_key_id)
        with pytest.raises(ConfigError, match="is gone"):
            _ = keys.configured
    kept.rename(path)
    assert keys.find(key.access_key_id) == key


def test_a_file_is_read_again_only_when_it_changed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys.load(path)
    key = keys.add("shop", 1000.0)
    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", None)
        assert keys.find(key.access_key_id) == key
    edited = path.read_text().replace('"shop"', '"mall"')
    path.write_text(edited)
    found = keys.find(key.access_key_id)
    assert found is not None
    assert found.name == "mall"


def document(**changes: object) -> str:
    key = {
        "access_key_id": "TF1",
        "secret": "s3cret",
        "name": "a",
        "created_at": 0,
        "queues": ["*"],
        "topics": ["*"],
        "verbs": ["send"],
    }
    return json.dumps({"version": 1, "keys": [key | changes]})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "\xff",
        document()[:-5],
        '{"version": 2, "keys": []}',
        '{"version": 1, "keys": [], "more": 1}',
        document(verbs=["everything"]),
        document(queues="*"),
        document(secret=None),
    ],
)
def test_a_damaged_file_is_refused_and_left_as_it_is(path: Path, text: str) -> None:
    path.write_text(text, encoding="latin-1")
    path.chmod(0o600)
    for call in (Keys.load, add):
        with pytest.raises(ConfigError, match="is no keys file") as caught:
            call(path)
        assert "s3cret" not in str(caught.value)
    assert path.read_text(encoding="latin-1") == text


@pytest.mark.parametrize("changed", ["name", "access_key_id"])
def test_two_keys_that_cannot_be_told_apart_are_refused(path: Path, changed: str) -> None:
    keys = [json.loads(document(**change))["keys"][0] for change in ({}, {changed: "other"})]
    path.write_text(json.dumps({"version": 1, "keys": keys}))
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="same id or name"):
        Keys.load(path)


def test_what_is_no_file_is_refused(path: Path) -> None:
    os.mkfifo(path, 0o600)
    with pytest.raises(ConfigError, match="is no file"):
        Keys.load(path)
    path.unlink()
    path.mkdir(mode=0o700)
    with pytest.raises(ConfigError):
        Keys.load(path)


def test_a_folder_that_is_missing_is_named(path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere cannot be used"):
        add(path.parent / "nowhere" / "keys.json")


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = add(path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ConfigError, match="No space left on device"):
            add(path, "other")
    assert Keys.load(path).all() == [key]
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_writers_at_the_same_time_lose_nothing(path: Path) -> None:
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        for turn in range(5):
            add(path, f"key-{number}-{turn}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {key.name for key in Keys.load(path).all()}
    assert names == {f"key-{number}-{turn}" for number in range(8) for turn in range(5)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change a file of somebody else")
def test_the_owner_stays_when_root_changes_the_file(path: Path) -> None:
    add(path)
    os.chown(path, 65534, 65534)
    os.chown(path.parent, 65534, 65534)
    add(path, "other")
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_keys_that_somebody_else_put_there_are_refused(path: Path) -> None:
    add(path)
    os.chown(path, 65534, 65534)
    with pytest.raises(ConfigError, match="neither to you nor to the owner of its folder"):
        Keys.load(path)


def test_a_link_is_not_followed(path: Path) -> None:
    real = path.parent / "real"
    real.mkdir()
    add(real / "keys.json")
    path.symlink_to(real / "keys.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        Keys.load(path)


def test_a_folder_that_everybody_may_write_holds_no_keys(path: Path) -> None:
    add(path)
    path.parent.chmod(0o777)
    with pytest.raises(ConfigError, match="may be written by everybody"):
        Keys.load(path)


# ---- names and addresses ----------------------------------------------------------------------
@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 65, "TF" + "A" * 18, "a\n", "ä"])
def test_a_bad_name_is_refused(path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="key name"):
        add(path, name)
    assert not path.exists()


def test_a_taken_name_is_refused(path: Path) -> None:
    add(path)
    with pytest.raises(ConfigError, match="a key named 'shop' already"):
        add(path)


def test_revoking_what_is_not_there_names_what_is(path: Path) -> None:
    with pytest.raises(ConfigError, match="no key 'shop'; known: none"):
        Keys.load(path).revoke("shop")
    add(path, "mall")
    with pytest.raises(ConfigError, match="no key 'shop'; known: mall"):
        Keys.load(path).revoke("shop")


@pytest.mark.parametrize(
    "given",
    [{"verbs": []}, {"verbs": ["write"]}, {"queues": [], "topics": []}, {"queues": [""]}],
)
def test_a_key_that_could_do_nothing_is_refused(path: Path, given: dict[str, list[str]]) -> None:
    with pytest.raises(ConfigError, match=r"could do nothing|verb 'write'; allowed"):
        Keys.load(path).add("shop", 1000.0, **given)  # type: ignore[arg-type]  # 'write' is the point


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("sqlite:///broker.db", "broker.db-keys.json"),
        ("sqlite:////var/lib/b.db?durability=process", "/var/lib/b.db-keys.json"),
        ("sqlite:///a%20b.db", "a b.db-keys.json"),
    ],
)
def test_the_keys_lie_beside_the_broker_file(address: str, file: str) -> None:
    assert keys_file(address) == Path(file)


@pytest.mark.parametrize("address", ["memory://", "broker.db", "sqlite://b.db", "sqlite:///", "["])
def test_other_addresses_have_no_keys(address: str) -> None:
    with pytest.raises(ConfigError, match="access keys lie beside a broker file"):
        keys_file(address)


# ---- what a key may do ------------------------------------------------------------------------
def key(
    verbs: Iterable[Verb] = VERBS, queues: Iterable[str] = "*", topics: Iterable[str] = "*"
) -> Key:
    return Key("TF1", "s", "a", 0.0, tuple(queues), tuple(topics), tuple(verbs))


ALLOWED: dict[Verb, list[str]] = {
    "send": ["sqs:SendMessage", "sqs:SendMessageBatch", "sqs:GetQueueUrl"],
    "receive": [
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:DeleteMessageBatch",
        "sqs:ChangeMessageVisibility",
        "sqs:ChangeMessageVisibilityBatch",
        "sqs:GetQueueUrl",
        "sqs:GetQueueAttributes",
    ],
    "publish": ["sns:Publish", "sns:PublishBatch"],
}


def actions(service: str) -> list[str]:
    """Every operation of AWS's own model."""
    session = botocore.session.get_session()  # type: ignore[no-untyped-call]  # botocore has no types
    return [f"{service}:{name}" for name in session.get_service_model(service).operation_names]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_allows_its_actions_and_no_others(verb: Verb) -> None:
    known = actions("sqs") + actions("sns")
    limited = key([verb])
    found = {one for one in known if allows(limited, one[:3], one[4:], "jobs")}
    if verb in ALLOWED:
        assert found == set(ALLOWED[verb])
    elif verb == "read":
        assert {"sqs:GetQueueUrl", "sqs:ListQueues", "sns:GetTopicAttributes"} <= found
        assert all(one.split(":")[1].startswith(("Get", "List")) for one in found)
    else:
        assert found == {one for one in known if one not in VERBS_OF}
        assert {"sqs:PurgeQueue", "sqs:AddPermission", "sns:Subscribe", "sns:CreateTopic"} <= found


def test_the_table_names_only_what_aws_has() -> None:
    assert set(VERBS_OF) <= set(actions("sqs") + actions("sns"))
    assert {verb for verbs in VERBS_OF.values() for verb in verbs} == set(VERBS) - {"manage"}
    assert get_args(Verb) == VERBS


@pytest.mark.parametrize(
    ("service", "name", "allowed"),
    [
        ("sqs", "orders-eu", True),
        ("sqs", "audit", True),
        ("sqs", "audit2", False),
        ("sqs", "Orders-eu", False),
        ("sqs", "order-created", False),
        ("sns", "order-created", True),
        ("sns", "orders-eu", False),
    ],
)
def test_globs_say_which_queues_and_topics(service: str, name: str, allowed: bool) -> None:
    limited = key(queues=["orders-*", "audit"], topics=["order-*"])
    action = {"sqs": "SendMessage", "sns": "Publish"}[service]
    assert allows(limited, service, action, name) is allowed


@pytest.mark.parametrize(
    ("service", "action", "limited", "everything"),
    [
        ("sqs", "ListQueues", True, True),
        ("sns", "ListTopics", False, True),
        ("sqs", "SendMessage", False, True),
        ("sns", "Publish", False, True),
        ("sts", "GetCallerIdentity", True, True),
        ("sts", "AssumeRole", False, False),
        ("s3", "GetObject", False, False),
    ],
)
def test_what_names_no_queue_is_for_those_who_may_use_some(
    service: str, action: str, limited: bool, everything: bool
) -> None:
    assert allows(key(queues=["jobs"], topics=[]), service, action, None) is limited
    assert allows(key(), service, action, None) is everything
