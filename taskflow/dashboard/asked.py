"""What a browser asks the dashboard for, whoever serves it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec

from taskflow.dashboard.answer import Refused

MAX_FIELDS = 1000
FORM = "application/x-www-form-urlencoded"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `path` begins with a slash and lies below `prefix`, where the dashboard is
    mounted ("" for the root); it is decoded, `query` is not. `headers` have names in lower case.
    `peer` is the address that it came from. `environ` is what the server gave: the environ of WSGI,
    the scope of ASGI; for hooks that know their own application.
    """

    method: str
    path: str
    prefix: str = ""
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    peer: str = ""
    environ: Mapping[str, Any] = {}

    def fields(self) -> dict[str, list[str]]:
        """The values of the query by name. Raises Refused."""
        return _read(self.query)

    def one(self, name: str, default: str = "") -> str:
        """The last value of that name in the query. Raises Refused."""
        return self.fields().get(name, [default])[-1]

    def form(self) -> dict[str, list[str]]:
        """The fields of a posted form. Raises Refused: 403 when another site made a browser post
        it, 400 when it is no form."""
        if self.is_foreign():
            raise Refused(403, "Another site posted this form. Nothing was done.")
        if self.header("content-type").partition(";")[0].strip().lower() != FORM:
            raise Refused(400, f"A form is posted as {FORM}.")
        try:
            return _read(self.body.decode())
        except UnicodeDecodeError:
            raise Refused(400, "The form is not in UTF-8.") from None

    def has_body(self) -> bool:
        """Whether its head says that a body follows."""
        return self.header("content-length").strip() not in ("", "0") or bool(
            self.header("transfer-encoding")
        )

    def header(self, name: str) -> str:
        """A header, "" without it."""
        return self.headers.get(name, "")

    def cookie(self, name: str) -> str:
        """A cookie, "" without it."""
        for part in self.header("cookie").split(";"):
            key, _, value = part.strip().partition("=")
            if key == name:
                return value
        return ""

    def is_foreign(self) -> bool:
        """Whether a browser sent this on behalf of another origin. Browsers that say where from
        (`Sec-Fetch-Site`) are believed, so that a proxy may write another Host; of others the
        origin must be the host that was asked."""
        site = self.header("sec-fetch-site")
        if site:
            return site not in ("same-origin", "none")
        sender = self.header("origin") or self.header("referer")
        if not sender:
            return False
        try:
            return urlsplit(sender).netloc.lower() != self.header("host").lower()
        except ValueError:
            return True

    def link(self, path: str, **query: str | int | None) -> str:
        """A link to a page below the prefix; values that are None or "" are left out."""
        kept = {name: value for name, value in query.items() if value not in (None, "")}
        tail = f"?{urlencode(kept)}" if kept else ""
        return quote(self.prefix + path, safe="/~:@") + tail

    def again(self, **query: str | int | None) -> str:
        """A link to this page with some of its query changed; None takes one out. `after` and `top`
        go unless they are given: another order has other pages."""
        kept = {
            name: values[-1]
            for name, values in self.fields().items()
            if name not in ("after", "top")
        }
        kept |= {name: "" if value is None else str(value) for name, value in query.items()}
        kept = {name: value for name, value in kept.items() if value or name == "q"}
        tail = f"?{urlencode(kept)}" if kept else "?"
        # A path that begins with two slashes would be another site's.
        return quote(f"{self.prefix}/{self.path.lstrip('/')}", safe="/~:@") + tail


def _read(text: str) -> dict[str, list[str]]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError:
        raise Refused(400, "A value is not in UTF-8.") from None
    except ValueError:
        raise Refused(400, f"More than {MAX_FIELDS} values were sent.") from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found
