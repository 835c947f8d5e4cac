"""Tokens of listings and tasks: opaque to clients, a text to us."""

from base64 import b64decode, urlsafe_b64encode

from taskflow.wire.error_codes import invalid_value


def write_token(text: str) -> str:
    """A token that stands for a text."""
    return urlsafe_b64encode(text.encode()).decode()


def read_token(token: str | None) -> str:
    """The text of a token, "" without one. Raises WireError for one that we did not make."""
    if token is None:
        return ""
    try:
        return b64decode(token, b"-_", validate=True).decode()
    except ValueError:
        raise invalid_value(token, "NextToken", "It was not made by this server.") from None
