"""Names on the wire, in the broker, in ARNs and in queue URLs."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.wire.envelope import wire_topic
from taskflow.wire.error_codes import WireError
from taskflow.wire.names import (
    Arn,
    QueueAddress,
    check_queue_name,
    check_topic_name,
    is_account,
    is_region,
    parse_arn,
    parse_queue_path,
    parse_queue_url,
    queue_arn,
    queue_url,
    store_queue,
    store_topic,
    topic_arn,
    wire_queue,
)

HOME = "us-east-1"
REGIONS = st.sampled_from([HOME, "eu-west-1", "ap-southeast-2"])
WIRE = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=20)
TOPICS = (WIRE | WIRE.map(lambda name: f"{name}.fifo")).filter(lambda name: name[-5:] != "-fifo")


@pytest.mark.parametrize(
    ("region", "wire", "stored"),
    [
        (HOME, "order-created", "order.created"),
        (HOME, "order-created.fifo", "order.created.fifo"),
        (HOME, "a_b-C9", "a_b.C9"),
        ("eu-west-1", "order-created", "eu-west-1/order.created"),
        ("eu-west-1", "order-created.fifo", "eu-west-1/order.created.fifo"),
    ],
)
def test_a_topic_trades_dashes_for_dots(region: str, wire: str, stored: str) -> None:
    assert store_topic(wire, region, HOME) == stored
    assert wire_topic(stored, HOME) == (region, wire)


@pytest.mark.parametrize(
    ("region", "name", "stored"),
    [
        (HOME, "orders", "orders"),
        (HOME, "order-s.fifo", "order-s.fifo"),
        ("eu-west-1", "orders", "eu-west-1/orders"),
    ],
)
def test_a_queue_keeps_its_name(region: str, name: str, stored: str) -> None:
    assert store_queue(name, region, HOME) == stored
    assert wire_queue(stored, HOME) == (region, name)


@given(REGIONS, TOPICS)
def test_topics_travel_both_ways(region: str, name: str) -> None:
    assert wire_topic(store_topic(name, region, HOME), HOME) == (region, name)


@given(REGIONS, TOPICS, REGIONS, TOPICS)
def test_two_topics_are_never_stored_as_one(r1: str, n1: str, r2: str, n2: str) -> None:
    same = store_topic(n1, r1, HOME) == store_topic(n2, r2, HOME)
    assert same == ((r1, n1) == (r2, n2))


def test_a_standard_topic_cannot_look_like_a_fifo_one() -> None:
    with pytest.raises(WireError, match="Invalid parameter: Topic Name") as caught:
        store_topic("order-fifo", HOME, HOME)
    assert caught.value.code == "InvalidParameter"
    with pytest.raises(WireError):
        check_topic_name("order-fifo", fifo=False)
    assert store_topic("order-fifo.fifo", HOME, HOME) == "order.fifo.fifo"


@pytest.mark.parametrize("store", [store_queue, store_topic])
def test_a_name_cannot_reach_into_another_region(store: object) -> None:
    assert callable(store)
    with pytest.raises(WireError):
        store("eu-west-1/orders", HOME, HOME)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://localhost:9324", "http://localhost:9324/000000000000/orders"),
        ("https://q.example/", "https://q.example/000000000000/orders"),
    ],
)
def test_queue_urls(base: str, url: str) -> None:
    assert queue_url(base, "000000000000", "orders") == url
    assert parse_queue_url(url, "eu-west-1") == QueueAddress("000000000000", "eu-west-1", "orders")


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("sqs.eu-central-1.amazonaws.com", "eu-central-1"),
        ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("eu-central-1.queue.amazonaws.com", "eu-central-1"),
        ("SQS.eu-central-1.amazonaws.com:443", "eu-central-1"),
        ("sqs.eu-central-1.amazonaws.com.example", HOME),
        ("localhost:9324", HOME),
        ("[::1]:9324", HOME),
    ],
)
def test_the_region_of_a_queue_url(host: str, region: str) -> None:
    found = parse_queue_url(f"https://{host}/123456789012/a-b_c.fifo", HOME)
    assert found == QueueAddress("123456789012", region, "a-b_c.fifo")


def test_a_path_alone_names_a_queue() -> None:
    assert parse_queue_path("/123456789012/orders") == ("123456789012", "orders")
    assert parse_queue_path("/123456789012/orders/") == ("123456789012", "orders")
    assert parse_queue_url("/123456789012/orders", HOME).name == "orders"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a" * 81,
        "or/ders",
        "http://localhost/orders",
        "http://localhost/1/orders",
        "http://localhost/123456789012",
        "http://localhost/123456789012/",
        "http://localhost/123456789012/a/b",
        "http://localhost/123456789012/eu-west-1%2Forders",
        "http://localhost/123456789012/.fifo",
        "http://localhost/123456789012/" + "a" * 81,
        "http://[localhost/123456789012/orders",
        "\0",
    ],
)
def test_what_is_no_queue_url(url: str) -> None:
    with pytest.raises(WireError, match="is not valid for this endpoint") as caught:
        parse_queue_url(url, HOME)
    assert (caught.value.code, caught.value.status) == ("InvalidAddress", 404)


def test_a_bare_name_is_of_the_callers_account() -> None:
    for name in ("orders", "orders.fifo"):
        assert parse_queue_url(name, HOME) == QueueAddress("", HOME, name)


def test_a_host_alone_is_of_no_queue() -> None:
    with pytest.raises(WireError) as caught:
        parse_queue_url("http://whatever-incorrect-queue-address", HOME)
    assert caught.value.code == "AWS.SimpleQueueService.NonExistentQueue"


def test_arns() -> None:
    assert queue_arn(HOME, "123456789012", "q") == "arn:aws:sqs:us-east-1:123456789012:q"
    assert topic_arn(HOME, "123456789012", "t") == "arn:aws:sns:us-east-1:123456789012:t"
    found = parse_arn("arn:aws-cn:sns:cn-north-1:123456789012:t.fifo:5a6b")
    assert found == Arn("aws-cn", "sns", "cn-north-1", "123456789012", "t.fifo:5a6b")


@pytest.mark.parametrize(
    ("arn", "parameter", "message"),
    [
        (
            "orders",
            "TopicArn",
            "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1",
        ),
        (
            "arn:aws:sns:us-east-1",
            "ResourceArn",
            "Invalid parameter: ResourceArn Reason: An ARN must have at least 6 elements, not 4",
        ),
        ("nar:aws:sns:us-east-1:123456789012:t", "TopicArn", "Invalid parameter: TopicArn"),
        ("arn:aws:sns:us-east-1:123456789012:", "TopicArn", "Invalid parameter: TopicArn"),
        ("arn:aws::us-east-1:123456789012:t", "TopicArn", "Invalid parameter: TopicArn"),
    ],
)
def test_what_is_no_arn(arn: str, parameter: str, message: str) -> None:
    with pytest.raises(WireError) as caught:
        parse_arn(arn, parameter)
    assert (caught.value.code, caught.value.message) == ("InvalidParameter", message)


@pytest.mark.parametrize(
    ("name", "fifo"), [("a", False), ("a-b_C9", False), ("a" * 80, False), ("a-b.fifo", True)]
)
def test_queue_names(name: str, fifo: bool) -> None:
    assert check_queue_name(name, fifo) == name


@pytest.mark.parametrize(
    ("name", "fifo", "message"),
    [
        *(
            (
                name,
                False,
                "^Can only include alphanumeric characters, hyphens, or underscores. 1 to",
            )
            for name in ("", "a b", "a.b", "a.fifo", "a" * 81, "ä", "a\n")
        ),
        *(
            (name, True, "must end with .fifo suffix and be 1 to 80 in length")
            for name in (".fifo", "a b.fifo", "a" * 76 + ".fifo", "a.fifo.fifo")
        ),
    ],
)
def test_what_is_no_queue_name(name: str, fifo: bool, message: str) -> None:
    with pytest.raises(WireError, match=message) as caught:
        check_queue_name(name, fifo)
    assert caught.value.code == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("name", "fifo"), [("a", False), ("a-b_C9", False), ("a" * 256, False), ("a-b.fifo", True)]
)
def test_topic_names(name: str, fifo: bool) -> None:
    assert check_topic_name(name, fifo) == name


@pytest.mark.parametrize(
    ("name", "fifo", "message"),
    [
        *(
            (name, False, "^Invalid parameter: Topic Name$")
            for name in ("", "a b", "a.b", "a.fifo", "a" * 257, "a/b")
        ),
        *((name, True, "^Invalid parameter: Topic Name$") for name in ("", "a")),
        *(
            (name, True, "^Invalid parameter: Fifo Topic names must end with .fifo and must be")
            for name in (".fifo", "a b.fifo", "a" * 252 + ".fifo", "a.b.fifo")
        ),
    ],
)
def test_what_is_no_topic_name(name: str, fifo: bool, message: str) -> None:
    with pytest.raises(WireError, match=message) as caught:
        check_topic_name(name, fifo)
    assert caught.value.code == "InvalidParameter"


def test_accounts_and_regions() -> None:
    assert is_account("000000000000")
    assert not any(map(is_account, ["", "1", "0" * 13, "00000000000a", "٠" * 12]))
    assert is_region("eu-west-1")
    assert not any(map(is_region, ["", "EU", "a/b", "1", "a b", "-", "a" * 33]))
