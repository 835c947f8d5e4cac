"""What the forms of the pages post, read and checked."""

from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import parse_qs

from taskflow.broker.traffic import Traffic
from taskflow.errors import BrokerError
from taskflow.message import Attribute, Message, new_id
from taskflow.server.origin import is_foreign
from taskflow.server.protocol import HttpRequest
from taskflow.wire.error_codes import WireError
from taskflow.wire.message_attributes import read_sns_attributes, read_sqs_attributes

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 1000

Fields = Mapping[str, Sequence[str]]


class Refused(Exception):
    """A page cannot be shown, or what was posted not be done; says why, to a person."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def read_query(request: HttpRequest) -> Fields:
    """The query parameters. Raises Refused."""
    return _parse(request.query)


def read_form(request: HttpRequest) -> Fields:
    """The fields of a posted form. Raises Refused: 403 when another site made the browser post
    it, 400 when it is no form."""
    if is_foreign(request):
        raise Refused(403, "Another site posted this form. Nothing was done.")
    if request.header("content-type").partition(";")[0].strip().lower() != FORM:
        raise Refused(400, f"A form is posted as {FORM}.")
    try:
        return _parse(request.body.decode())
    except UnicodeDecodeError:
        raise Refused(400, "The form is not in UTF-8.") from None


def _parse(text: str) -> Fields:
    try:
        return parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError:
        raise Refused(400, "A value is not in UTF-8.") from None
    except ValueError:
        raise Refused(400, f"More than {MAX_FIELDS} values were sent.") from None


def find_one(fields: Fields, name: str) -> str:
    """The last value of that name, or ""."""
    return fields.get(name, [""])[-1]


def find_wanted(fields: Fields, name: str) -> str:
    """The last value of that name. Raises Refused when there is none."""
    text = find_one(fields, name)
    if not text:
        raise Refused(400, f"The address names no {name}: ?{name}=… is missing.")
    return text


# ---- send ---------------------------------------------------------------------------------------
def read_target(text: str) -> tuple[Literal["queue", "topic"], str]:
    """The kind and the name in `queue:orders`. Raises Refused."""
    kind, _, name = text.partition(":")
    if not name or kind not in ("queue", "topic"):
        raise Refused(400, "Choose a queue or a topic to send to.")
    return ("queue" if kind == "queue" else "topic"), name


def read_message(fields: Fields, broker: Traffic, sender: str) -> Message:
    """The message of a filled-in form. Raises Refused."""
    kind, _ = read_target(find_one(fields, "to"))
    # Browsers send the line ends of a text field as CR LF.
    lines = find_one(fields, "attributes").replace("\r\n", "\n").split("\n")
    try:
        return Message(
            new_id(broker.clock.now(), broker.random),
            find_one(fields, "body").replace("\r\n", "\n"),
            read_attributes(lines, kind),
            group=find_one(fields, "group").strip() or None,
            deduplication_id=find_one(fields, "deduplication_id").strip() or None,
            sender=sender,
        )
    except BrokerError as error:
        raise Refused(400, in_words(error)) from None


def read_attributes(
    lines: Sequence[str], kind: Literal["queue", "topic"]
) -> dict[str, str | Attribute]:
    """The message attributes in lines such as `color=red` or `size:Number=7`; empty ones are left
    out. Raises Refused for what SQS (a queue) or SNS (a topic) would refuse."""
    given: dict[str, dict[str, str]] = {}
    for line in filter(str.strip, lines):
        left, equals, value = line.partition("=")
        name, _, type = (part.strip() for part in left.partition(":"))
        if not equals or not name:
            raise Refused(400, f"The attribute {line.strip()!r} is not written as name=value.")
        if name in given:
            raise Refused(400, f"The attribute {name!r} is there twice.")
        given[name] = {"DataType": type or "String", "StringValue": value.strip()}
    try:
        return read_sqs_attributes(given) if kind == "queue" else read_sns_attributes(given)
    except WireError as error:
        raise Refused(400, error.message) from None


def in_words(error: BrokerError) -> str:
    """What a broker refuses, as a sentence."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
