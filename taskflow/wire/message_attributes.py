"""Message attributes as clients of SQS and SNS write and read them, and the MD5 of what was sent.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html
"""

import re
from collections.abc import Callable, Mapping
from hashlib import md5
from typing import Any

from taskflow.limits import FORBIDDEN, MAX_ATTRIBUTES
from taskflow.message import Attribute, Attributes
from taskflow.wire.error_codes import WireError, common_error, service_error

# SQS lets accented Latin letters through, though its documentation does not say so.
_SQS_NAME = re.compile(r"[A-Za-z0-9_.\u00c0-\u017f-]+")
_PLAIN = re.compile(r"[A-Za-z0-9_.-]")
_RESERVED = ("aws.", "amazon.")
# Each part can match in one way only: a long text that is no number is refused at once.
_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_PREFIXES = ("Binary", "Number", "String")
_LONGEST = 256


# ---- SQS ----------------------------------------------------------------------------------------
def read_sqs_attributes(
    given: Mapping[str, Mapping[str, Any]] | None,
) -> dict[str, str | Attribute]:
    """The attributes of `MessageAttributes` in an SQS call, as `Message` takes them.

    Raises WireError: more than ten, a name, a type or a value that SQS refuses.
    """
    given = given or {}
    if len(given) > MAX_ATTRIBUTES:
        raise _sqs(
            f"Number of message attributes [{len(given)}] exceeds the allowed maximum "
            f"[{MAX_ATTRIBUTES}]."
        )
    return {name: _read_sqs(name, value) for name, value in given.items()}


def _read_sqs(name: str, value: Mapping[str, Any]) -> str | Attribute:
    _check_sqs_name(name)
    kind = value.get("DataType")
    if not kind:
        raise _sqs(f"The message attribute '{name}' must contain non-empty message attribute type.")
    base = kind.partition(".")[0]
    if base not in _PREFIXES:
        raise _sqs(
            f"The type of message (user) attribute '{name}' is invalid. You must use only the "
            "following supported type prefixes: Binary, Number, String."
        )
    if len(kind.encode()) > _LONGEST:
        raise _sqs("Message (user) attribute types must be shorter than 256 Bytes")
    if value.get("StringListValues") or value.get("BinaryListValues"):
        raise service_error(
            "sqs",
            "UnsupportedOperation",
            "Message attribute list values in SendMessage operation are not supported.",
        )
    field, other = _fields(base)
    if value.get(other) and not value.get(field):
        raise _sqs(
            f"Message (user) attribute '{name}' with type '{kind}' must use field "
            f"'{field.removesuffix('Value')}'."
        )
    content = value.get(field)
    if not content:
        raise _sqs(
            f"Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."
        )
    if isinstance(content, str) and (found := FORBIDDEN.search(content)):
        raise _sqs(
            f"Invalid binary character '#x{ord(found[0]):X}' was found in the message attribute "
            f"'{name}' value, the set of allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | "
            "#xE000 to #xFFFD | #x10000 to #x10FFFF"
        )
    if base == "Number" and not _NUMBER.fullmatch(content):
        raise _sqs(f"Can't cast the value of message (user) attribute '{name}' to a number.")
    return content if kind == "String" else Attribute(kind, content)


def _check_sqs_name(name: str) -> None:
    if not name:
        raise _sqs("The request must contain non-empty message attribute name.")
    if len(name.encode()) > _LONGEST:
        raise _sqs("Message (user) attribute names must be shorter than 256 Bytes")
    if not _SQS_NAME.fullmatch(name):
        raise _sqs(
            "Message (user) attributes name can only contain upper and lower score characters, "
            "digits, periods, hyphens and underscores. "
        )
    if name.lower().startswith((*_RESERVED, ".")) or name.endswith(".") or ".." in name:
        raise _sqs(
            "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These "
            "strings are reserved for internal use. Additionally, they cannot start or end with "
            "'.'."
        )


def write_sqs_attributes(attributes: Attributes) -> dict[str, dict[str, Any]]:
    """The attributes of a message as `MessageAttributes` of a received one."""
    return {
        name: (
            {"DataType": "String", "StringValue": value}
            if isinstance(value, str)
            else {
                "DataType": value.type,
                "BinaryValue" if isinstance(value.value, bytes) else "StringValue": value.value,
            }
        )
        for name, value in attributes.items()
    }


def take_sqs_attributes(
    given: Mapping[str, Mapping[str, Any]],
) -> dict[str, str | Attribute]:
    """The attributes of a message that SQS has lent: it has checked them."""
    return {name: _take(value) for name, value in given.items()}


def _take(value: Mapping[str, Any]) -> str | Attribute:
    kind = value["DataType"]
    content = value["BinaryValue"] if "BinaryValue" in value else value.get("StringValue", "")
    return content if kind == "String" else Attribute(kind, content)


# ---- SNS ----------------------------------------------------------------------------------------
def read_sns_attributes(
    given: Mapping[str, Mapping[str, Any]] | None,
) -> dict[str, str | Attribute]:
    """The attributes of `MessageAttributes` in an SNS call, as `Message` takes them.

    Raises WireError: a name, a type or a value that SNS refuses.
    """
    return {name: _read_sns(name, value) for name, value in (given or {}).items()}


def _read_sns(name: str, value: Mapping[str, Any]) -> str | Attribute:
    _check_sns_name(name)
    kind = value.get("DataType") or ""
    base, dot, label = kind.partition(".")
    if base not in _PREFIXES or (dot and not label):
        raise _sns(
            f"The message attribute '{name}' has an invalid message attribute type, the set of "
            "supported type prefixes is Binary, Number, and String."
        )
    if len(kind.encode()) > _LONGEST:
        raise _sns("Length of message attribute type must be less than 256 bytes.")
    field, other = _fields(base)
    if other in value and field not in value:
        raise _sns(
            f"The message attribute '{name}' with type '{kind}' must use field "
            f"'{field.removesuffix('Value')}'."
        )
    content = value.get(field)
    if not content:
        raise _sns(
            f"The message attribute '{name}' must contain non-empty message attribute value for "
            f"message attribute type '{kind}'."
        )
    if base == "Number" and not _NUMBER.fullmatch(content):
        raise _sns(f"Could not cast message attribute '{name}' value to number.")
    return content if kind == "String" else Attribute(kind, content)


def _check_sns_name(name: str) -> None:
    if not name:
        raise _sns("The request must contain non-empty message attribute name.")
    if len(name.encode()) > _LONGEST:
        raise _sns("Length of message attribute name must be less than 256 bytes.")
    for place, end in (("starting", name[0]), ("ending", name[-1])):
        if end == ".":
            raise _sns(f"Invalid message attribute name {place} with character '.' was found.")
    if ".." in name:
        raise _sns("Message attribute name can not have successive '.' character.")
    if wrong := [character for character in name if not _PLAIN.fullmatch(character)]:
        raise _sns(
            f"Invalid non-alphanumeric character '#x{ord(wrong[0]):X}' was found in the message "
            "attribute name. Can only include alphanumeric characters, hyphens, underscores, or "
            "dots."
        )
    if name.lower().startswith(_RESERVED):
        raise _sns("Message attribute names beginning with 'AWS.' or 'Amazon.' are reserved.")


# ---- sums ---------------------------------------------------------------------------------------
def md5_of_body(body: str) -> str:
    """MD5OfMessageBody: in hexadecimal, of the UTF-8 bytes."""
    return md5(body.encode(), usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: Attributes) -> str:
    """MD5OfMessageAttributes: of names, types and values, sorted by name; "" when there are none.

    Each part has its length before it, and each value a byte that says text (1) or binary (2).
    Also right for MD5OfMessageSystemAttributes.
    """
    if not attributes:
        return ""
    digest = md5(usedforsecurity=False)
    for name in sorted(attributes):
        value = attributes[name]
        kind, content = ("String", value) if isinstance(value, str) else (value.type, value.value)
        _add(digest.update, name.encode())
        _add(digest.update, kind.encode())
        digest.update(b"\2" if isinstance(content, bytes) else b"\1")
        _add(digest.update, content if isinstance(content, bytes) else content.encode())
    return digest.hexdigest()


def _add(update: Callable[[bytes], None], part: bytes) -> None:
    update(len(part).to_bytes(4, "big"))
    update(part)


# ---- small parts --------------------------------------------------------------------------------
def _fields(base: str) -> tuple[str, str]:
    """The member that holds a value of this type, and the one that does not."""
    pair = ("BinaryValue", "StringValue")
    return pair if base == "Binary" else (pair[1], pair[0])


def _sqs(text: str) -> WireError:
    return common_error("InvalidParameterValue", text)


def _sns(text: str) -> WireError:
    return service_error("sns", "InvalidParameterValueException", text)
