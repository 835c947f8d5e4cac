"""What `taskflow serve` has beside its actions: the pages, and what programs ask for."""

from base64 import b64decode
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import unquote

from taskflow.dashboard.asked import Asked
from taskflow.dashboard.monitor import Monitor
from taskflow.dashboard.run_json import RunPage
from taskflow.dashboard.site import BELOW, FORMS, PAGES, Site
from taskflow.dashboard.visitor_rights import Role, Who
from taskflow.server.app import Page
from taskflow.server.backend import Backend
from taskflow.server.page_access import AllowsPage, PageVerb
from taskflow.server.protocol import HttpRequest, HttpResponse

VERBS: dict[Role, PageVerb] = {"read": "read", "bodies": "receive", "act": "manage"}
"""What a key must be able to do for each role, with all queues and topics."""


def pages(
    backend: Backend, allows: AllowsPage, *, allow_reset: bool
) -> dict[tuple[str, str], Page]:
    """Every page by (method, path).

    `allows` is asked before each page but /health: None lets the request through, else it is the
    answer. The reset is a 404 without `allow_reset`.
    """
    site = Site(backend.broker, roles=lambda asked: asked.environ["who"])
    monitor = Monitor(backend)

    async def show(request: HttpRequest) -> HttpResponse:
        refusal = allows(request, "read")
        if refusal is not None:
            return refusal
        found = await backend.run(site.answer, _asked(request, _who(request, allows)))
        return HttpResponse(found.status, found.headers, found.body)

    def guarded(of: Callable[[HttpRequest], Awaitable[HttpResponse]], verb: PageVerb) -> Page:
        async def page(request: HttpRequest) -> HttpResponse:
            refusal = allows(request, verb)
            return refusal if refusal is not None else await of(request)

        return page

    shown: dict[tuple[str, str], Page] = {}
    for path in (*PAGES, "/taskflow.css", "/live.js", *(f"{begin}**" for begin in BELOW)):
        shown["GET", path] = show
    for path in FORMS:
        shown["POST", path] = show
    return {
        **shown,
        ("GET", "/stats"): guarded(monitor.stats, "read"),
        ("GET", "/metrics"): guarded(monitor.metrics, "read"),
        ("GET", "/health"): monitor.health,
        ("GET", "/runs/*"): RunPage(backend, allows).show,
        ("POST", "/_taskflow/reset"): guarded(monitor.reset, "manage")
        if allow_reset
        else monitor.no_reset,
    }


def _who(request: HttpRequest, allows: AllowsPage) -> Who:
    roles = frozenset(role for role, verb in VERBS.items() if allows(request, verb) is None)
    return Who(_name(request, allows), roles)


def _name(request: HttpRequest, allows: AllowsPage) -> str:
    """Who asks, for the record: the key's id, or the address where nobody needs one and anybody
    could say any."""
    others = tuple(one for one in request.headers if one[0] != "authorization")
    if allows(replace(request, headers=others), "read") is None:
        return request.peer or "local"
    scheme, _, coded = request.header("authorization").partition(" ")
    if scheme.lower() != "basic":
        return request.peer or "local"
    try:
        return b64decode(coded, validate=True).decode().partition(":")[0] or "local"
    except ValueError:
        return "local"


def _asked(request: HttpRequest, who: Who) -> Asked:
    return Asked(
        method=request.method,
        path=unquote(request.path),
        query=request.query,
        headers=dict(request.headers),
        body=request.body,
        peer=request.peer,
        environ={"who": who},
    )
