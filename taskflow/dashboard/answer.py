"""What the dashboard answers, and how it refuses."""

from typing import NamedTuple

GUARDED = (
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    # Not no-referrer: browsers would then send the forms' posts with `Origin: null`.
    ("referrer-policy", "same-origin"),
)
"""The headers that every answer has."""
_PAGE = (
    ("content-type", "text/html; charset=utf-8"),
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-frame-options", "DENY"),
    *GUARDED,
)


class Answer(NamedTuple):
    """A status, headers (Content-Length is added by who sends it) and a body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Refused(Exception):
    """A page cannot be shown, or what was posted not be done; says why, to a person.

    `todo`: what that person can do, a sentence each. `headers`: what the answer has beside.
    """

    def __init__(
        self,
        status: int,
        text: str,
        todo: tuple[str, ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.todo = todo
        self.headers = headers


def page_answer(html: str, status: int = 200, *headers: tuple[str, str]) -> Answer:
    """A page, with the headers that shut other sites out."""
    return Answer(status, (*_PAGE, *headers), html.encode("utf-8", "replace"))


def file_answer(content_type: str, body: bytes, *headers: tuple[str, str]) -> Answer:
    """A file to keep, or one for programs."""
    return Answer(200, (("content-type", content_type), *GUARDED, *headers), body)


def redirect(location: str, *headers: tuple[str, str]) -> Answer:
    """Look there now: the answer to a form that was posted."""
    return Answer(303, (("location", location), *GUARDED, *headers), b"")
