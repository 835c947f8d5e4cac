"""How the pages show things: templates, times, durations, messages, failure records."""

import hmac
import json
import os
import secrets
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from taskflow.clock import rfc3339
from taskflow.dashboard.forms import find_one, read_query
from taskflow.message import FAILURE, Delivery, plain_text
from taskflow.sealing.codec import hide_sealed
from taskflow.server.protocol import HttpRequest, HttpResponse

MOST_BODY = 2000  # characters of a body that are shown
LONGEST_NOTICE = 300
_LAST_MOMENT = 253402300799.0  # 9999-12-31T23:59:59Z, the last that RFC 3339 can write
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))

STYLE = files("taskflow.dashboard").joinpath("page/style.css").read_text("utf-8")
_STYLE_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
GUARDED = (
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    # Not no-referrer: browsers would then send the forms' posts with `Origin: null`.
    ("referrer-policy", "same-origin"),
)
_HTML_HEADERS = (
    ("content-type", "text/html; charset=utf-8"),
    (
        "content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-frame-options", "DENY"),
    *GUARDED,
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure record: what it says by name, and the traceback apart."""

    facts: Mapping[str, object]
    traceback: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A message as a page shows it. `failure` is None when it has no record."""

    delivery: Delivery
    attributes: Mapping[str, str]
    failure: Failure | None


def show_message(delivery: Delivery) -> Shown:
    """A message with its failure record taken apart. What is sealed says so."""
    attributes = {
        name: hide_sealed(plain_text(value)) for name, value in delivery.attributes.items()
    }
    record = attributes.pop(FAILURE, None)
    delivery = replace(delivery, body=hide_sealed(delivery.body))
    return Shown(delivery, attributes, None if record is None else read_failure(record))


def read_failure(record: str) -> Failure:
    """A failure record; anybody may send an attribute of that name, so it may be anything."""
    try:
        found = json.loads(record)
        # What is nested becomes text here: deeper in a template there may be no room for it.
        facts = {
            name: value if isinstance(value, int | float) else str(value)
            for name, value in found.items()
            if value is not None
        }
    except (AttributeError, ValueError, RecursionError):
        facts = {"reason": record}
    traceback = facts.pop("traceback", "")
    return Failure(facts, str(traceback))


# ---- values -------------------------------------------------------------------------------------
def write_moment(value: object) -> Markup | str:
    """Epoch seconds as a time in UTC; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not 0 <= value <= _LAST_MOMENT:
        return str(value)
    text = rfc3339(value)
    shown = f"{text[:10]} {text[11:19]} UTC"
    return Markup('<time datetime="{}">{}</time>').format(text, shown)


def write_fact(name: str, value: object) -> Markup | str:
    """A value of a failure record: the names of times end in `_at`."""
    return write_moment(value) if name.endswith("_at") else str(value)


def write_seconds(seconds: float) -> str:
    """A duration in its two largest units: `45 s`, `2 h 5 min`."""
    left = int(seconds)
    parts = []
    for unit, size in _UNITS:
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
        elif parts:  # 1 d 5 s says less than 1 d
            break
    return " ".join(parts[:2]) or "0 s"


def write_number(number: float) -> str:
    """A count with its thousands apart; a rate with one digit after the point."""
    return f"{number:,}" if isinstance(number, int) else f"{number:,.1f}"


def write_label(name: str) -> str:
    """The name of a field as a label: `failed_at` is `Failed at`."""
    return name.replace("_", " ").capitalize()


MARKS = "TASKFLOW_PAGE_MARKS"
"""The variable by which processes that serve the same pages know each other's notices."""
_MARKS = os.environ.get(MARKS, "").encode() or secrets.token_bytes(16)


# ---- templates ----------------------------------------------------------------------------------
def _open_templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("taskflow.dashboard", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates.globals |= {"style": Markup(STYLE), "most_body": MOST_BODY}
    templates.filters |= {
        "fact": lambda value, name: write_fact(name, value),
        "label": write_label,
        "moment": write_moment,
        "number": write_number,
        "seconds": write_seconds,
    }
    return templates


_templates = _open_templates()


def render(template: str, status: int = 200, **values: Any) -> HttpResponse:
    """A page made of a template, with the headers that shut other sites out."""
    text = _templates.get_template(template).render(values)
    return HttpResponse(status, _HTML_HEADERS, text.encode())


def show_page(
    template: str, request: HttpRequest, status: int = 200, *, refreshes: bool = True, **values: Any
) -> HttpResponse:
    """A page with the notice of its query; with `refreshes` it looks again by itself, until
    ?refresh=0 stops it. Raises Refused for a query that cannot be read."""
    query = read_query(request)
    kept = {name: find_one(query, name) for name in ("name", "queue") if name in query}
    stopped = find_one(query, "refresh") == "0"
    itself = f"{request.path}?{urlencode(kept)}" if kept else request.path
    return render(
        template,
        status,
        refreshes=refreshes,
        refresh_to=itself if refreshes and not stopped else "",
        itself=itself,
        stop=f"{request.path}?{urlencode({**kept, 'refresh': '0'})}",
        notice=_read_notice(find_one(query, "notice"), find_one(query, "mark")),
        **values,
    )


def _mark(notice: str) -> str:
    return hmac.digest(_MARKS, notice.encode(), "sha256").hex()[:16]


def _read_notice(notice: str, mark: str) -> str:
    """The notice of a link, if this server wrote it: anybody can write a link."""
    return notice[:LONGEST_NOTICE] if hmac.compare_digest(mark, _mark(notice)) else ""


def redirect(path: str, **query: str) -> HttpResponse:
    """Look there now: the answer to a form that was posted."""
    if "notice" in query:
        query["mark"] = _mark(query["notice"])
    return HttpResponse(303, (("location", f"{path}?{urlencode(query)}"), *GUARDED), b"")
