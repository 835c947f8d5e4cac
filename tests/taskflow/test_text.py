"""Text from outside, checked before it travels and shown without harm."""

import pytest

from taskflow.text import (
    character,
    check_line,
    holds_simple,
    is_simple,
    printable,
    shown_endpoint,
    without_secrets,
)


def test_what_is_simple_is_ascii_that_can_be_printed() -> None:
    for code in [*range(0x180), 0x2028, 0xD800, 0xFFFF, 0x1F600]:
        text = f"a{chr(code)}b"
        assert is_simple(text) == (text.isascii() and text.isprintable())
        assert holds_simple(text.encode(errors="surrogatepass")) == is_simple(text)
    assert is_simple("")


@pytest.mark.parametrize("text", ["a", "é ü", "日本", "a b", "x" * 1024])
def test_a_line_is_returned(text: str) -> None:
    assert check_line("id", text) == text


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", ValueError, "id is empty"),
        ("x" * 1025, ValueError, "id has 1025 characters; 1024 at most"),
        ("a\nb", ValueError, r"id holds U\+000A at 1"),
        ("a\x1b[0m", ValueError, r"U\+001B"),
        ("a\u2028", ValueError, r"U\+2028"),
        ("\ud800", ValueError, r"U\+D800"),
        (5, TypeError, "id is 5, a int; text is wanted"),
        (None, TypeError, "id is None"),
        (b"a", TypeError, "a bytes"),
    ],
)
def test_what_is_no_line_is_refused_by_name(
    text: object, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        check_line("id", text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("é", "é"),
        ("a\nb\t", r"a\nb\t"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\u202eb", r"a\u202eb"),
        ("\u200b\ufeff", r"\u200b\ufeff"),
        ("\x9b", r"\x9b"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_a_terminal_would_act_on_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_line_ends_may_stay() -> None:
    assert printable("a\n\tb\r", lines=True) == "a\n\tb\\r"


def test_a_character_is_named_by_its_code() -> None:
    assert character("\n") == "U+000A"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("sqlite:///a@b/c.db?durability=power", "sqlite:///a@b/c.db"),
        ("postgresql://u:p@a:5432,[::1]:5433/db?password=p", "postgresql://a:5432,[::1]:5433/db"),
        ("postgresql:///db", "postgresql:///db"),
        ("postgresql://u:p@[fe80::1%25eth0]:1/db", "postgresql://[fe80::1%25eth0]:1/db"),
        ("postgresql://u:p@[::1%/@x]/db", "postgresql://…"),
        ("redis://:p@h/0", "redis://h/0"),
        ("postgresql://u:p@p/p@h/db?x=1", "postgresql://h/db"),
        ("postgresql://u:p/p?p#p@h/db?x=1", "postgresql://h/db"),
        ("postgresql://u:p@p/p?p#p@h/db?x=1", "postgresql://…"),
        ("postgresql://h/db?x=a@b", "postgresql://h/db"),
        ("postgresql://u:p", "postgresql://…"),
        ("postgresql://u:p@[::1/db", "postgresql://…"),
        ("u:p@h/db", "…h/db"),
        ("broker.db?x", "broker.db"),
    ],
)
def test_an_address_is_shown_without_secrets(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("https://example.org/a", "https://example.org/a"),
        ("https://user:secret@example.org/a", "https://user:****@example.org/a"),
        ("http://u:p:w@example.org", "http://u:****@example.org"),
        ("http://u:p@w@example.org/a@b", "http://u:****@example.org/a@b"),
        ("http://u@v:pw@example.org", "http://u@v:****@example.org"),
        ("https://user@example.org/", "https://user@example.org/"),
        ("https://example.org/?a=b:c@d", "https://example.org/?a=b:c@d"),
        ("arn:aws:sqs:us-east-1:000000000000:work", "arn:aws:sqs:us-east-1:000000000000:work"),
    ],
)
def test_passwords_are_not_shown(endpoint: str, shown: str) -> None:
    assert shown_endpoint(endpoint) == shown
