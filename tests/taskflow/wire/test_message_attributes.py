"""Message attributes of SQS and SNS: read, written, refused, summed."""

import hashlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.message import Attribute, Attributes
from taskflow.wire.attribute_text import from_text, to_text
from taskflow.wire.error_codes import WireError
from taskflow.wire.message_attributes import (
    md5_of_attributes,
    md5_of_body,
    read_sns_attributes,
    read_sqs_attributes,
    take_sqs_attributes,
    write_sqs_attributes,
)

PAIRS: list[tuple[dict[str, Any], str | Attribute]] = [
    ({"DataType": "String", "StringValue": "é"}, "é"),
    ({"DataType": "String.json", "StringValue": "{}"}, Attribute("String.json", "{}")),
    ({"DataType": "Number", "StringValue": "-1.5e3"}, Attribute("Number", "-1.5e3")),
    ({"DataType": "Number.int", "StringValue": "007"}, Attribute("Number.int", "007")),
    ({"DataType": "Binary", "BinaryValue": b"\0\xff"}, Attribute("Binary", b"\0\xff")),
    ({"DataType": "Binary.png", "BinaryValue": b"x"}, Attribute("Binary.png", b"x")),
]


@pytest.mark.parametrize(("wire", "read"), PAIRS)
def test_sqs_reads_what_it_writes(wire: dict[str, Any], read: str | Attribute) -> None:
    assert read_sqs_attributes({"a": wire}) == {"a": read}
    assert write_sqs_attributes({"a": read}) == {"a": wire}


@pytest.mark.parametrize(("wire", "read"), PAIRS)
def test_sns_reads_the_same_shape(wire: dict[str, Any], read: str | Attribute) -> None:
    assert read_sns_attributes({"a": wire}) == {"a": read}


def test_an_array_is_kept_as_it_was_written() -> None:
    wire = {"DataType": "String.Array", "StringValue": '["a", 1]'}
    assert read_sns_attributes({"a": wire}) == {"a": Attribute("String.Array", '["a", 1]')}


@pytest.mark.parametrize("given", [None, {}])
def test_none_given_is_none_read(given: Any) -> None:
    assert read_sqs_attributes(given) == {}
    assert read_sns_attributes(given) == {}


TEXT = {"DataType": "String", "StringValue": "v"}


@pytest.mark.parametrize("name", ["a", "A_1-b.c", "x" * 256, "attr.1øßä", "awsome"])
def test_sqs_takes_these_names(name: str) -> None:
    assert read_sqs_attributes({name: TEXT}) == {name: "v"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "The request must contain non-empty message attribute name."),
        ("x" * 257, "must be shorter than 256 Bytes"),
        ("é" * 129, "must be shorter than 256 Bytes"),
        ("a b", "can only contain upper and lower score characters"),
        ("a\n", "can only contain upper and lower score characters"),
        ("AWS.x", "beginning with 'AWS.' or 'Amazon.'"),
        ("amazon.x", "beginning with 'AWS.' or 'Amazon.'"),
        (".a", "cannot start or end with '.'"),
        ("a.", "cannot start or end with '.'"),
        ("a..b", "cannot start or end with '.'"),
    ],
)
def test_sqs_refuses_these_names(name: str, text: str) -> None:
    with pytest.raises(WireError) as caught:
        read_sqs_attributes({name: TEXT})
    assert caught.value.code == "InvalidParameterValue"
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            {"DataType": "String", "StringValue": ""},
            "Message (user) attribute 'a' must contain a non-empty value of type 'String'.",
        ),
        (
            {"DataType": "Binary", "BinaryValue": b""},
            "Message (user) attribute 'a' must contain a non-empty value of type 'Binary'.",
        ),
        (
            {"DataType": "Number"},
            "Message (user) attribute 'a' must contain a non-empty value of type 'Number'.",
        ),
        (
            {"DataType": "", "StringValue": "v"},
            "The message attribute 'a' must contain non-empty message attribute type.",
        ),
        (
            {"DataType": "string", "StringValue": "v"},
            "The type of message (user) attribute 'a' is invalid. You must use only the following "
            "supported type prefixes: Binary, Number, String.",
        ),
        (
            {"DataType": "String." + "x" * 250, "StringValue": "v"},
            "Message (user) attribute types must be shorter than 256 Bytes",
        ),
        (
            {"DataType": "Number", "StringValue": "1,5"},
            "Can't cast the value of message (user) attribute 'a' to a number.",
        ),
        (
            {"DataType": "Binary", "StringValue": "v"},
            "Message (user) attribute 'a' with type 'Binary' must use field 'Binary'.",
        ),
        (
            {"DataType": "String", "BinaryValue": b"v"},
            "Message (user) attribute 'a' with type 'String' must use field 'String'.",
        ),
    ],
)
def test_sqs_refuses_these_values(value: dict[str, Any], text: str) -> None:
    with pytest.raises(WireError) as caught:
        read_sqs_attributes({"a": value})
    assert (caught.value.code, caught.value.message) == ("InvalidParameterValue", text)


def test_sqs_refuses_characters_that_xml_cannot_hold() -> None:
    with pytest.raises(WireError, match="Invalid binary character '#xB'"):
        read_sqs_attributes({"a": {"DataType": "String", "StringValue": "x\x0b"}})


@pytest.mark.parametrize("member", ["StringListValues", "BinaryListValues"])
def test_sqs_has_no_lists(member: str) -> None:
    with pytest.raises(WireError) as caught:
        read_sqs_attributes({"a": {**TEXT, member: ["v"]}})
    assert caught.value.shape == "UnsupportedOperation"


def test_sqs_takes_ten_attributes_and_no_more() -> None:
    ten = {f"a{i}": TEXT for i in range(10)}
    assert len(read_sqs_attributes(ten)) == 10
    with pytest.raises(WireError) as caught:
        read_sqs_attributes(ten | {"b": TEXT})
    assert caught.value.message == (
        "Number of message attributes [11] exceeds the allowed maximum [10]."
    )


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (
            "a",
            {"DataType": "InvalidType", "StringValue": "1"},
            "The message attribute 'a' has an invalid message attribute type, the set of supported "
            "type prefixes is Binary, Number, and String.",
        ),
        (
            "a",
            {"DataType": "String", "StringValue": ""},
            "The message attribute 'a' must contain non-empty message attribute value for message "
            "attribute type 'String'.",
        ),
        (
            "a",
            {"DataType": "Binary", "BinaryValue": b""},
            "The message attribute 'a' must contain non-empty message attribute value for message "
            "attribute type 'Binary'.",
        ),
        (
            "a",
            {"DataType": "Number", "BinaryValue": b"1"},
            "The message attribute 'a' with type 'Number' must use field 'String'.",
        ),
        (
            "a",
            {"DataType": "Binary", "StringValue": "1"},
            "The message attribute 'a' with type 'Binary' must use field 'Binary'.",
        ),
        (
            "a",
            {"DataType": "Number", "StringValue": "one"},
            "Could not cast message attribute 'a' value to number.",
        ),
        (
            "a",
            {"DataType": "String." + "x" * 250, "StringValue": "1"},
            "Length of message attribute type must be less than 256 bytes.",
        ),
        ("x" * 257, TEXT, "Length of message attribute name must be less than 256 bytes."),
        ("", TEXT, "The request must contain non-empty message attribute name."),
        (
            "a^*",
            TEXT,
            "Invalid non-alphanumeric character '#x5E' was found in the message attribute name. "
            "Can only include alphanumeric characters, hyphens, underscores, or dots.",
        ),
        (".a", TEXT, "Invalid message attribute name starting with character '.' was found."),
        ("a.", TEXT, "Invalid message attribute name ending with character '.' was found."),
        ("a..b", TEXT, "Message attribute name can not have successive '.' character."),
        ("AWS.a", TEXT, "Message attribute names beginning with 'AWS.' or 'Amazon.' are reserved."),
    ],
)
def test_sns_refuses(name: str, value: dict[str, Any], text: str) -> None:
    with pytest.raises(WireError) as caught:
        read_sns_attributes({name: value})
    assert (caught.value.code, caught.value.message) == ("ParameterValueInvalid", text)


def test_the_sum_of_a_body_is_over_its_utf8_bytes() -> None:
    assert md5_of_body("é") == hashlib.md5("é".encode()).hexdigest()


@pytest.mark.parametrize(
    ("attributes", "parts"),
    [
        ({"k": "v"}, [("k", "String", 1, b"v")]),
        (
            {"b": Attribute("Binary", b"\0\xff"), "a": Attribute("Number", "1")},
            [("a", "Number", 1, b"1"), ("b", "Binary", 2, b"\0\xff")],
        ),
        ({"k": Attribute("String.x", "é")}, [("k", "String.x", 1, "é".encode())]),
    ],
)
def test_the_sum_of_attributes_is_as_aws_documents_it(
    attributes: Attributes, parts: list[tuple[str, str, int, bytes]]
) -> None:
    data = b""
    for name, kind, transport, value in parts:
        for part in (name.encode(), kind.encode()):
            data += struct.pack(">I", len(part)) + part
        data += bytes([transport]) + struct.pack(">I", len(value)) + value
    assert md5_of_attributes(attributes) == hashlib.md5(data).hexdigest()


def test_no_attributes_have_no_sum() -> None:
    assert md5_of_attributes({}) == ""


KINDS = st.sampled_from(["Number", "String.label", "Number.int", "Binary", "Binary.png"])
VALUES = st.one_of(
    st.text(),
    KINDS.flatmap(
        lambda kind: st.builds(
            Attribute, st.just(kind), st.binary() if kind.startswith("Binary") else st.text()
        )
    ),
)


@given(VALUES)
def test_an_attribute_comes_back_from_text(value: str | Attribute) -> None:
    assert from_text(*to_text(value)) == value


@given(st.dictionaries(st.text(min_size=1), VALUES))
def test_attributes_come_back_from_sqs(attributes: dict[str, str | Attribute]) -> None:
    assert take_sqs_attributes(write_sqs_attributes(attributes)) == attributes
