"""The templates of the pages, and what they may call."""

from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from taskflow.dashboard.drawing import meter
from taskflow.dashboard.writing import (
    short_id,
    write_ago,
    write_moment,
    write_number,
    write_percent,
    write_plural,
    write_span,
)


@cache
def templates() -> Environment:
    """The environment of all pages: escapes everything, refuses names that are not given."""
    found = Environment(
        loader=PackageLoader("taskflow.dashboard", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.globals |= {"meter": meter, "percent": write_percent}
    found.filters |= {
        "number": write_number,
        "span": write_span,
        "plural": write_plural,
        "short": short_id,
        "moment": _moment,
        "ago": _ago,
    }
    return found


@cache
def page_file(name: str) -> bytes:
    """A file that lies beside the templates."""
    return files("taskflow.dashboard").joinpath(f"page/{name}").read_bytes()


@cache
def stamp(name: str) -> str:
    """What changes in the address of a file when its contents do."""
    return sha256(page_file(name)).hexdigest()[:12]


@pass_context
def _moment(context: Context, value: float | None) -> Markup | str:
    """A time, as the page's own now has it."""
    return write_moment(value, context["now"])


@pass_context
def _ago(context: Context, value: float | None) -> str:
    """How long from the page's own now."""
    return write_ago(value, context["now"])
