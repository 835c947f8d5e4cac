"""Pages for operators: served by `taskflow serve`, alone, or inside an application of yours."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskflow.broker import Broker
    from taskflow.dashboard.asgi_face import AsgiApp, AsgiFace
    from taskflow.dashboard.site import Site
    from taskflow.dashboard.visitor_rights import Roles
    from taskflow.dashboard.wsgi_face import WsgiApp, WsgiFace
    from taskflow.registry import Registry

__all__ = ["asgi", "wsgi"]


def wsgi(
    broker: "Broker",
    *,
    prefix: str = "",
    around: "WsgiApp | None" = None,
    roles: "Roles | None" = None,
    hidden: Iterable[str] = (),
    name: str = "",
    registry: "Registry | None" = None,
) -> "WsgiFace":
    """The dashboard as a WSGI application: for Flask, Django, Falcon, or a server.

    With `prefix` (`/ops`) and `around` it is put before an application of yours: what lies below
    the prefix is the dashboard's, all else goes to that. A router that mounts applications needs
    neither. `roles` is asked who each request comes from, and what they may (`rights.Who`); without
    it, who sits at this machine may read, without bodies, and nobody else is let in. `hidden` are
    names of fields that are hidden, beside `hiding.HIDDEN_NAMES`; `name` stands at the top of each
    page. What is edited and sent anew is checked by the handlers of `registry`, by default those of
    modules that this process has imported. Raises ValueError for a prefix that is none. Needs the
    extra `dashboard`.
    """
    from taskflow.dashboard.wsgi_face import WsgiFace

    return WsgiFace(_site(broker, roles, hidden, name, registry), prefix, around)


def asgi(
    broker: "Broker",
    *,
    prefix: str = "",
    around: "AsgiApp | None" = None,
    roles: "Roles | None" = None,
    hidden: Iterable[str] = (),
    name: str = "",
    registry: "Registry | None" = None,
) -> "AsgiFace":
    """The dashboard as an ASGI application: for FastAPI, Starlette, Django, or a server. All is as
    in `wsgi`."""
    from taskflow.dashboard.asgi_face import AsgiFace

    return AsgiFace(_site(broker, roles, hidden, name, registry), prefix, around)


def _site(
    broker: "Broker",
    roles: "Roles | None",
    hidden: Iterable[str],
    name: str,
    registry: "Registry | None",
) -> "Site":
    from taskflow.dashboard.site import Site
    from taskflow.dashboard.visitor_rights import local_reader
    from taskflow.registry import default_registry

    return Site(
        broker,
        roles=roles or local_reader,
        hidden=hidden,
        name=name,
        registry=registry or default_registry,
    )
