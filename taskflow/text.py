"""Text from outside: what may travel in ids and headers, and how to show what may not."""

import re

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Also what turns or hides text in a terminal or a page: bidirectional controls, zero widths.
_UNSHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\uffff]"
)

LONE = "holds half of a surrogate pair, which no text in UTF-8 does"
"""What is wrong with text that cannot be encoded."""
_HOST = r"(?:\[[0-9A-Fa-f:.]*(?:%[\w.~%-]+)?\]|[\w.~%-]*)(?::[0-9]*)?"
HOSTS = re.compile(rf"{_HOST}(?:,{_HOST})*")
"""Hosts and their ports, as an address has them behind its user."""
_END_OF_PLACE = re.compile("[?#]")
# A password may hold an @, and a colon: the last @ before the path ends it.
_PASSWORD = re.compile(r"(://[^/?#:]*):[^/?#]*@")

_SHOWN = bytes(code if 32 <= code < 127 else ord("?") for code in range(256))


def is_simple(text: str) -> bool:
    """Whether it is ASCII without a control character; of a long text this is much quicker than
    `str.isprintable`, which looks at one character after the other."""
    return text.isascii() and (data := text.encode()).translate(_SHOWN) == data


def holds_simple(data: bytes) -> bool:
    """The same of a text as UTF-8."""
    return data.translate(_SHOWN) == data


def encodable(text: str) -> str:
    """A text that UTF-8 can hold: half of a surrogate pair, as the name of a file may have that is
    no text, is written as an escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def check_line(what: str, text: object, most: int = 1024) -> str:
    """Return `text` when it is one line of text, 1 to `most` characters and no control character.

    Raises TypeError when it is no text, ValueError naming `what` and the character.
    """
    if not isinstance(text, str):
        raise TypeError(f"{what} is {text!r}, a {type(text).__name__}; text is wanted")
    if text.isprintable() and 0 < len(text) <= most:  # most are, and this is quick
        return text
    if not text:
        raise ValueError(f"{what} is empty; 1 character at least")
    if len(text) > most:
        raise ValueError(f"{what} has {len(text)} characters; {most} at most")
    if found := _CONTROL.search(text):
        raise ValueError(
            f"{what} holds {character(found[0])} at {found.start()}; control characters and line "
            "ends are not allowed"
        )
    return text


def character(one: str) -> str:
    """A character by its code: `U+000A`."""
    return f"U+{ord(one):04X}"


def printable(text: str, lines: bool = False) -> str:
    """`text` with every character that a terminal or a log would act on written as an escape.

    `lines`: line ends and tabs may stay.
    """

    def escape(found: re.Match[str]) -> str:
        one = found[0]
        if lines and one in "\n\t":
            return one
        return one.encode("unicode_escape", "surrogatepass").decode()

    if text.isascii() and text.isprintable():  # most is, and this is quick
        return text
    return _UNSHOWN.sub(escape, text)


def without_secrets(address: str) -> str:
    """An address (URL) for people: no user, no password, no options. A password that should have
    been percent-encoded ends at the last `@`; what cannot be a host is not shown."""
    scheme, slashes, rest = address.partition("://")
    if not slashes:
        place = _END_OF_PLACE.split(address, maxsplit=1)[0]
        return f"…{address.rpartition('@')[2]}" if "@" in address else place
    place = _END_OF_PLACE.split(rest, maxsplit=1)[0]
    if not place.startswith("/"):
        if "@" in place and "@" in rest[len(place) :]:
            return f"{scheme}://…"  # nobody knows which of them ends the password
        if "@" in place or not HOSTS.fullmatch(place.partition("/")[0]):
            place = _END_OF_PLACE.split(rest.rpartition("@")[2], maxsplit=1)[0]
    if not HOSTS.fullmatch(place.partition("/")[0]):
        place = "…"
    return f"{scheme}://{place}"


def shown_endpoint(endpoint: str) -> str:
    """The endpoint of a subscription without its password, as SNS shows it."""
    return _PASSWORD.sub(r"\1:****@", endpoint)
