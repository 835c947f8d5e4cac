"""Who may look at pages of the server, and change things there: by a key's id and secret."""

from base64 import b64decode
from hmac import compare_digest
from typing import Literal, Protocol

from taskflow.server.access_key import Key, covers
from taskflow.server.keys import Keys
from taskflow.server.origin import is_known_host
from taskflow.server.protocol import HttpRequest, HttpResponse

PageVerb = Literal["read", "receive", "manage"]


class AllowsPage(Protocol):
    """Whether whoever asks for a page may: None, else the answer."""

    def __call__(
        self, request: HttpRequest, verb: PageVerb, queue: str | None = None, /
    ) -> HttpResponse | None:
        """`queue`: with this one, with any at all (""), or with all queues and topics (None)."""
        ...


class PageAccess:
    """The gate of one server's pages. `keys` and `url` as for `Access`."""

    def __init__(self, keys: Keys | None, url: str | None = None) -> None:
        self._keys = keys
        self._url = url

    def admit(self, request: HttpRequest) -> HttpResponse | None:
        """Look at the head of a request for a page before its body is read, so that strangers fill
        no memory: None, else the answer."""
        if self._keys is None or not self._keys.configured:
            return None if is_known_host(request, self._url) else _not_by_this_name()
        return None if _find_key(request, self._keys) else _ask_for_key(401, "A key is needed.\n")

    def allows(
        self, request: HttpRequest, verb: PageVerb, queue: str | None = None, /
    ) -> HttpResponse | None:
        """None when whoever asks for a page may see (`read`), see bodies (`receive`) or change
        (`manage`) everything, or what is in a queue; else the answer: HTTP Basic, with a key's id
        and secret."""
        if self._keys is None or not self._keys.configured:
            return None if is_known_host(request, self._url) else _not_by_this_name()
        key = _find_key(request, self._keys)
        if key is not None and verb in key.verbs and _reaches(key, queue):
            return None
        status = 403 if key is not None else 401
        what = "all queues and topics" if queue is None else "this queue"
        return _ask_for_key(status, f"A key is needed that may {verb} {what}.\n")


def _find_key(request: HttpRequest, keys: Keys) -> Key | None:
    scheme, _, coded = request.header("authorization").partition(" ")
    try:
        id, _, secret = b64decode(coded, validate=True).decode().partition(":")
    except ValueError:
        return None
    key = keys.find(id) if scheme.lower() == "basic" else None
    same = compare_digest((key.secret if key else "").encode(), secret.encode())
    return key if key is not None and same else None


def _ask_for_key(status: int, text: str) -> HttpResponse:
    headers = (
        ("content-type", "text/plain; charset=utf-8"),
        ("www-authenticate", 'Basic realm="taskflow", charset="UTF-8"'),
    )
    return HttpResponse(status, headers, text.encode())


def _not_by_this_name() -> HttpResponse:
    headers = (("content-type", "text/plain; charset=utf-8"),)
    return HttpResponse(403, headers, b"Use the address of this machine, or localhost.\n")


def _reaches(key: Key, queue: str | None) -> bool:
    if queue is None:
        return "*" in key.queues and "*" in key.topics
    return bool(key.queues) and (not queue or covers(key, queue))
