"""A codec: a pair of functions over bytes, and how what they make is written into JSON."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from taskflow.errors import RegistrationError, SealFailed
from taskflow.later import Later
from taskflow.payload import SEALED

if TYPE_CHECKING:
    import base64
else:
    base64 = Later("base64")

Convert = Callable[[bytes], bytes]
_AS_IT_IS = re.compile(rb"[A-Za-z0-9_=+/.~-]+")
_BASE64 = "base64,"
_SEALED = re.compile(f'"{SEALED}({_BASE64})?([A-Za-z0-9_=+/.~-]+)"')
_PLAIN = (b"null", b"[]", b"{}", b'""')
"""JSON that says nothing, and is not sealed."""


class Codec:
    """Seals JSON, and opens it. `seal` and `unseal` are functions over bytes; `unseal` raises for
    what was not sealed so. With `seal` None nothing is sealed, and what is sealed is opened. Both
    are called from any thread."""

    def __init__(self, seal: Convert | None, unseal: Convert) -> None:
        self._seal = seal
        self._unseal = unseal

    def seal(self, raw: bytes) -> bytes:
        """A JSON value as a JSON string that only `open` reads; what is sealed stays as it is.
        Raises SealFailed when the codec does."""
        if self._seal is None or raw in _PLAIN or raw.startswith(f'"{SEALED}'.encode()):
            return raw
        try:
            sealed = bytes(self._seal(raw))
        except Exception as error:  # its text may hold what was to be sealed
            raise SealFailed(f"codec= cannot seal it: {type(error).__name__}") from None
        if not _AS_IT_IS.fullmatch(sealed):
            sealed = _BASE64.encode() + base64.urlsafe_b64encode(sealed)
        return f'"{SEALED}{sealed.decode()}"'.encode()

    def open(self, text: str) -> str:
        """JSON with whatever is sealed in it as it was before. What the codec does not open stays
        sealed: who decodes it is refused."""
        return _SEALED.sub(self._open_one, text) if SEALED in text else text

    def _open_one(self, found: re.Match[str]) -> str:
        encoded, text = found.groups()
        try:
            sealed = base64.urlsafe_b64decode(text) if encoded else text.encode()
            return bytes(self._unseal(sealed)).decode()
        except Exception:  # whatever it raises, this is not to be read here
            return found.group()


def read_codec(given: Any) -> Codec:
    """A codec as it was given: a pair of functions. Raises RegistrationError for what is none."""
    pair = isinstance(given, tuple) and len(given) == 2
    if not (pair and (given[0] is None or callable(given[0])) and callable(given[1])):
        raise RegistrationError(
            "codec is no pair of functions over bytes; codec=(seal, unseal), such as "
            "(fernet.encrypt, fernet.decrypt)"
        )
    return Codec(*given)


def hide_sealed(text: str) -> str:
    """JSON for people: whatever is sealed in it is `"sealed"`."""
    return _SEALED.sub('"sealed"', text) if SEALED in text else text


def shown_raw(raw: msgspec.Raw) -> msgspec.Raw:
    """The same of a JSON value."""
    given = bytes(raw)
    return msgspec.Raw(hide_sealed(given.decode()).encode()) if SEALED.encode() in given else raw


def shown(text: str) -> str:
    """A text for people: `sealed` if it is that."""
    return "sealed" if text.startswith(SEALED) else text
