"""Names and ARNs on AWS, and what cannot be exported."""

import pytest

from taskflow import Registry
from taskflow.errors import ConfigError
from taskflow.export import FORMATS, Place, export
from taskflow.export.plan import Names, make_plan


@pytest.mark.parametrize(
    ("place", "arn"),
    [
        (Place(), "arn:aws:sqs:*:*:audit"),
        (Place("eu-central-1", "123456789012"), "arn:aws:sqs:eu-central-1:123456789012:audit"),
        (Place("cn-north-1"), "arn:aws-cn:sqs:cn-north-1:*:audit"),
        (Place("us-gov-west-1"), "arn:aws-us-gov:sqs:us-gov-west-1:*:audit"),
    ],
)
def test_an_arn_says_where(place: Place, arn: str) -> None:
    assert place.arn("sqs", "audit") == arn


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"region": "Frankfurt"}, "region is 'Frankfurt'; example: eu-central-1"),
        ({"account": "12"}, "account is '12'; it has twelve digits"),
        ({"prefix": "my shop."}, "prefix 'my shop.' holds ' '"),
    ],
)
def test_a_place_that_cannot_be_is_refused(place: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Place(**place)


def test_a_prefix_may_make_a_name_too_long(registry: Registry) -> None:
    longest = "p" * (80 - len("ledger-dlq.fifo"))
    assert make_plan(registry, Place(prefix=longest)).queues[-1].dlq == f"{longest}ledger-dlq.fifo"
    with pytest.raises(ConfigError, match=r"too long by 1: AWS allows 80 characters"):
        make_plan(registry, Place(prefix=longest + "p"))


def test_the_seconds_of_aws_are_whole_and_never_less(registry: Registry) -> None:
    seconds = [queue.visibility_seconds for queue in make_plan(registry, Place()).queues]
    assert seconds == [30, 91, 30, 30]


@pytest.mark.parametrize("format", FORMATS)
def test_the_order_of_registering_does_not_matter(registry: Registry, format: str) -> None:
    turned = Registry()
    for one in reversed(list(registry)):
        turned._add(one)
    assert export(turned, format) == export(registry, format)


@pytest.mark.parametrize("format", FORMATS)
def test_without_subscriptions_there_is_nothing_to_write(format: str) -> None:
    with pytest.raises(ConfigError, match="no subscription was loaded"):
        export(Registry(), format)


def test_an_unknown_format_is_refused(registry: Registry) -> None:
    with pytest.raises(ConfigError, match="format is 'pulumi'; allowed: terraform, cloudform"):
        export(registry, "pulumi")


def test_every_thing_has_a_name_of_its_own() -> None:
    names = Names()
    assert [names.snake("order.created"), names.snake("order_created"), names.snake("1st")] == [
        "order_created",
        "order_created_2",
        "_1st",
    ]
    assert [names.camel("order.created", "topic"), names.camel("order_created topic")] == [
        "OrderCreatedTopic",
        "OrderCreatedTopic2",
    ]
