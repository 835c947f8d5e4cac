"""Accounts, regions, ARNs, queue URLs, and how a wire name is stored in the broker.

A queue keeps its name; a topic trades '-' for the '.' of taskflow (`order-created` is stored as
`order.created`, `order-created.fifo` as `order.created.fifo`). What belongs to another region
than the server's own is stored under it: `eu-west-1/orders`.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from taskflow.wire.arns import write_arn
from taskflow.wire.error_codes import (
    WireError,
    common_error,
    invalid_parameter,
    invalid_value,
    service_error,
)
from taskflow.wire.places import ACCOUNT
from taskflow.wire.topic_names import from_sns

FIFO = ".fifo"

_REGION = re.compile(r"[a-z][a-z0-9-]{0,31}")
_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,80}")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,256}")
_HOSTS = (
    re.compile(r"sqs\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"),
    re.compile(r"([a-z0-9-]+)\.queue\.amazonaws\.com(?:\.cn)?"),
)


@dataclass(frozen=True, slots=True)
class Arn:
    """The parts of `arn:partition:service:region:account:resource`; `resource` may hold colons."""

    partition: str
    service: str
    region: str
    account: str
    resource: str


@dataclass(frozen=True, slots=True)
class QueueAddress:
    """Whose queue a URL names, and in which region."""

    account: str
    region: str
    name: str


def is_account(text: str) -> bool:
    """Whether this is an AWS account number: twelve digits."""
    return ACCOUNT.fullmatch(text) is not None


def is_region(text: str) -> bool:
    """Whether this may be a region: small letters, digits and '-'."""
    return _REGION.fullmatch(text) is not None


# ---- stored names -------------------------------------------------------------------------------
def store_queue(name: str, region: str, home: str) -> str:
    """The broker's name of a queue; `home` is the server's own region.

    Raises WireError for a name with '/', which would reach into another region, or with '~',
    which the hidden queues of URL subscriptions begin with.
    """
    if "/" in name or "~" in name:
        raise common_error("InvalidParameterValue", _QUEUE_RULE)
    return name if region == home else f"{region}/{name}"


def wire_queue(stored: str, home: str) -> tuple[str, str]:
    """(region, wire name) of a queue of the broker."""
    region, slash, name = stored.rpartition("/")
    return (region, name) if slash else (home, name)


def store_topic(name: str, region: str, home: str) -> str:
    """The broker's name of a topic by its wire name; the way back is `envelope.wire_topic`.

    Raises WireError for a standard topic that ends in `-fifo`: it would be stored under the name
    of a FIFO topic; and for a name with '/', which would reach into another region.
    """
    if "/" in name:
        raise invalid_parameter("Topic Name")
    if name.endswith("-fifo"):
        raise invalid_parameter("Topic Name: a standard topic cannot end in -fifo on this server")
    stored = from_sns(name)
    return stored if region == home else f"{region}/{stored}"


# ---- queue URLs ---------------------------------------------------------------------------------
def queue_url(base: str, account: str, name: str) -> str:
    """The URL of a queue below `base`, the scheme and host of the request that asks."""
    return f"{base.rstrip('/')}/{account}/{name}"


def parse_queue_path(path: str) -> tuple[str, str] | None:
    """(account, queue) of `/account/queue`; None for any other path."""
    match path.strip("/").split("/"):
        case [account, name] if is_account(account) and _QUEUE.fullmatch(name.removesuffix(FIFO)):
            return account, name
    return None


def parse_queue_url(url: str, region: str) -> QueueAddress:
    """Whose queue it is. The host may be any; when it is AWS's own it names the region, else
    `region` (from the signature) stands. A path alone will do, and so does the queue's name, whose
    account is then "", the caller's.

    Raises WireError: QueueDoesNotExist for a URL without a path, InvalidAddress for what is no
    queue URL.
    """
    if _QUEUE.fullmatch(url.removesuffix(FIFO)):
        return QueueAddress("", region, url)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    found = parse_queue_path(parts.path)
    if host and parts.path in ("", "/"):
        raise service_error("sqs", "QueueDoesNotExist")
    if found is None:
        raise service_error(
            "sqs", "InvalidAddress", f"The address {url} is not valid for this endpoint."
        )
    return QueueAddress(found[0], region_of_host(host) or region, found[1])


def region_of_host(host: str) -> str | None:
    """The region that an AWS host of SQS names (`sqs.eu-west-1.amazonaws.com`), or None."""
    found = (pattern.fullmatch(host) for pattern in _HOSTS)
    return next((match[1] for match in found if match), None)


# ---- ARNs ---------------------------------------------------------------------------------------
def queue_arn(region: str, account: str, name: str) -> str:
    """The ARN of a queue."""
    return write_arn("sqs", region, account, name)


def topic_arn(region: str, account: str, name: str) -> str:
    """The ARN of a topic by its wire name."""
    return write_arn("sns", region, account, name)


def parse_arn(text: str, parameter: str = "TopicArn") -> Arn:
    """The parts of an ARN; `parameter` is named in SNS's answer when it is none.

    Raises WireError InvalidParameter.
    """
    parts = text.split(":", 5)
    if len(parts) < 6:
        raise invalid_parameter(
            f"{parameter} Reason: An ARN must have at least 6 elements, not {len(parts)}"
        )
    if parts[0] != "arn" or not all(parts[1:3]) or not parts[5]:
        raise invalid_parameter(parameter)
    return Arn(*parts[1:])


# ---- new names ----------------------------------------------------------------------------------
def check_queue_name(name: str, fifo: bool) -> str:
    """Return `name` when CreateQueue takes it, else raise WireError InvalidParameterValue."""
    if fifo:
        if not name.endswith(FIFO) or len(name) > 80 or not _QUEUE.fullmatch(name[: -len(FIFO)]):
            raise invalid_value(
                name,
                "QueueName",
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or "
                "underscores, must end with .fifo suffix and be 1 to 80 in length.",
            )
    elif not _QUEUE.fullmatch(name):
        raise common_error("InvalidParameterValue", _QUEUE_RULE)
    return name


def check_topic_name(name: str, fifo: bool) -> str:
    """Return `name` when CreateTopic takes it, else raise WireError InvalidParameter.

    Stricter than AWS in one thing: see `store_topic`.
    """
    if fifo:
        if not name.endswith(FIFO) or len(name) > 256 or not _TOPIC.fullmatch(name[: -len(FIFO)]):
            raise _fifo_topic_rule() if name.endswith(FIFO) else invalid_parameter("Topic Name")
    elif not _TOPIC.fullmatch(name):
        raise invalid_parameter("Topic Name")
    store_topic(name, "", "")
    return name


_QUEUE_RULE = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"


def _fifo_topic_rule() -> WireError:
    return invalid_parameter(
        "Fifo Topic names must end with .fifo and must be made up of only uppercase and lowercase "
        "ASCII letters, numbers, underscores, and hyphens, and must be between 1 and 256 "
        "characters long."
    )
