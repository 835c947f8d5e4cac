"""The attributes of subscriptions: what a client may set, and where it may have messages sent.

https://docs.aws.amazon.com/sns/latest/api/API_SetSubscriptionAttributes.html
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from taskflow.broker.settings import TopicSubscription
from taskflow.errors import BrokerError, InvalidFilterPolicy
from taskflow.filters import parse_filter
from taskflow.limits import check_queue, is_fifo
from taskflow.server.backend import Backend
from taskflow.server.delivery_policy import check_subscription_policy
from taskflow.server.sns_attributes import MAX_NAME, check_name, read_flag
from taskflow.wire.error_codes import WireError, invalid_parameter
from taskflow.wire.subscription_attributes import SCOPES, in_order

_ELSEWHERE = ("email", "email-json", "sms", "application", "lambda", "firehose")
MAX_ENDPOINT = 2048  # characters


def read_endpoint(protocol: str, endpoint: str, topic: str, backend: Backend) -> str:
    """What a subscription of `topic` has as its endpoint: a URL, or the broker's name of a queue.

    Raises WireError for a protocol or an endpoint that cannot be.
    """
    if protocol in _ELSEWHERE:
        raise invalid_parameter(f"Protocol Reason: {protocol} is not supported by this server")
    if protocol not in ("sqs", "http", "https"):
        raise invalid_parameter(f"Amazon SNS does not support this protocol string: {protocol}")
    if protocol != "sqs":
        if len(endpoint) > MAX_NAME or not _is_url(endpoint, protocol):
            raise invalid_parameter("Endpoint must match the specified protocol")
        if is_fifo(topic):
            raise _bad_endpoint("Please use FIFO SQS queue")
        return endpoint
    try:
        queue = check_queue(backend.queue_of_arn(endpoint))
    except (BrokerError, WireError):
        raise invalid_parameter("SQS endpoint ARN") from None
    if is_fifo(queue) and not is_fifo(topic):
        raise _bad_endpoint("FIFO SQS Queues can not be subscribed to standard SNS topics")
    return queue


def set_attributes(
    subscription: TopicSubscription, attributes: Mapping[str, str], backend: Backend
) -> TopicSubscription:
    """The subscription with all of `attributes`, as Subscribe sets them. Raises WireError."""
    for name, value in in_order(attributes).items():
        try:
            subscription = set_attribute(subscription, name, value, backend)
        except WireError as error:
            text = error.message.removeprefix("Invalid parameter: ")
            if text == "AttributeName":
                text = f"Unknown attribute: {name}"
            if not text.startswith("Filter policy scope"):
                text = f"Attributes Reason: {text}"
            raise invalid_parameter(text) from None
    return subscription


def set_attribute(
    one: TopicSubscription, name: str, text: str, backend: Backend
) -> TopicSubscription:
    """The subscription with one attribute changed; an empty text takes one back to its default.

    Raises WireError for a name or a value that SNS refuses.
    """
    match name:
        case "RawMessageDelivery":
            return replace(one, raw=read_flag(name, text))
        case "FilterPolicy":
            policy = None if text.replace(" ", "") in ("", "{}") else text
            return _checked(replace(one, filter_policy=policy))
        case "FilterPolicyScope":
            scope: Any = text or "MessageAttributes"
            if scope not in SCOPES:
                raise invalid_parameter(
                    f"FilterPolicyScope: Invalid value [{text}]. Please use either MessageBody "
                    "or MessageAttributes"
                )
            return _checked(replace(one, filter_scope=scope))
        case "RedrivePolicy":
            return replace(one, dead_letter_queue=_read_redrive(one, text, backend))
        case "DeliveryPolicy" if one.protocol == "sqs":
            raise invalid_parameter("DeliveryPolicy: only HTTP and HTTPS have one")
        case "DeliveryPolicy" | "SubscriptionRoleArn":
            others = {key: value for key, value in one.others.items() if key != name}
            if text:
                if name == "DeliveryPolicy":
                    others[name] = check_subscription_policy(text)
                else:
                    others[name] = check_name(name, text)
            return replace(one, others=others)
        case "ReplayPolicy":
            raise invalid_parameter("ReplayPolicy Reason: archives are not supported here")
    raise invalid_parameter("AttributeName")


def _read_redrive(one: TopicSubscription, text: str, backend: Backend) -> str | None:
    try:
        policy = json.loads(text or "{}")
    except (ValueError, RecursionError):
        policy = None
    if not isinstance(policy, dict):
        raise invalid_parameter("RedrivePolicy: failed to parse JSON.")
    if not policy:
        return None
    try:
        queue = check_queue(backend.queue_of_arn(str(policy["deadLetterTargetArn"])))
    except (BrokerError, WireError, KeyError):
        raise invalid_parameter("RedrivePolicy: deadLetterTargetArn is an invalid arn") from None
    if is_fifo(queue) != is_fifo(one.queue):
        raise invalid_parameter(
            "RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO "
            "Topic, and a standard queue for others."
        )
    return queue


def _checked(subscription: TopicSubscription) -> TopicSubscription:
    """The subscription, if its filter policy fits its scope, else WireError."""
    if subscription.filter_policy is not None:
        try:
            parse_filter(subscription.filter_policy, subscription.filter_scope)
        except InvalidFilterPolicy as error:
            raise invalid_parameter(str(error)) from None
    return subscription


def _is_url(endpoint: str, protocol: str) -> bool:
    if len(endpoint) > MAX_ENDPOINT or not endpoint.isascii() or not endpoint.isprintable():
        return False  # it goes into logs and onto pages
    if " " in endpoint:
        return False
    try:
        parts = urlsplit(endpoint)
        return parts.scheme == protocol and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _bad_endpoint(reason: str) -> WireError:
    return invalid_parameter(f"Invalid parameter: Endpoint Reason: {reason}")
