"""The dashboard as a WSGI application."""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from taskflow.dashboard.answer import Answer
from taskflow.dashboard.asked import Asked
from taskflow.dashboard.site import Site

MOST_BODY = 4 * 1024 * 1024
"""Bytes of a form: a message of 1 MiB whose every byte is percent-encoded, and the rest."""

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]


class WsgiFace:
    """A WSGI application of a site. What lies below `prefix` is the dashboard's; all else is
    answered by `around`, an application of the user's, or not found. A server or a router that
    takes a prefix away itself (SCRIPT_NAME) needs neither."""

    def __init__(self, site: Site, prefix: str = "", around: WsgiApp | None = None) -> None:
        self._site = site
        self._prefix = check_prefix(prefix)
        self._around = around

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        whole = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
        path = below(whole, self._prefix)
        if path is None and self._around is not None:
            return self._around(environ, start_response)
        if path is None:
            start_response(
                "404 Not Found", [("content-type", "text/plain"), ("content-length", "10")]
            )
            return [b"Not found\n"]
        script = environ.get("SCRIPT_NAME", "").encode("latin-1").decode("utf-8", "replace")
        asked = Asked(
            method=environ["REQUEST_METHOD"],
            path=path,
            prefix=script.rstrip("/") + self._prefix,
            query=environ.get("QUERY_STRING", ""),
            headers=_headers(environ),
            peer=environ.get("REMOTE_ADDR", ""),
            environ=environ,
        )
        answer = self._site.let_in(asked) if asked.has_body() else None
        if not isinstance(answer, Answer):
            body = _read(environ)
            if body is None:
                start_response("413 Content Too Large", [("content-length", "0")])
                return [b""]
            answer = self._site.answer(msgspec.structs.replace(asked, body=body), answer)
        head = [*answer.headers, ("content-length", str(len(answer.body)))]
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", head)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]


def check_prefix(prefix: str) -> str:
    """A prefix such as `/ops`, without a slash at its end. Raises ValueError for what is none."""
    prefix = prefix.rstrip("/")
    if prefix and (not prefix.startswith("/") or "//" in prefix or "?" in prefix):
        raise ValueError(f"the prefix {prefix!r} is no path; example: /ops")
    return prefix


def below(path: str, prefix: str) -> str | None:
    """What of a path follows the prefix, "/" at least; None when it is not below it."""
    if path == prefix:
        return "/"
    if not path.startswith(f"{prefix}/"):
        return None if prefix else f"/{path}"
    return path.removeprefix(prefix)


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    found = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if content := environ.get(name):
            found[name.replace("_", "-").lower()] = content
    return found


def _read(environ: Mapping[str, Any]) -> bytes | None:
    """The body, as long as it says; None for one that is too long."""
    declared = str(environ.get("CONTENT_LENGTH") or "0").strip()
    if not (declared.isascii() and declared.isdigit()) or len(declared) > 12:
        return None
    size = int(declared)
    if size > MOST_BODY:
        return None
    return environ["wsgi.input"].read(size) if size else b""
