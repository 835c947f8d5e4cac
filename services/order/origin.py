"""Keeps web pages of others from using the API through somebody's browser."""

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

import falcon

from services.order.problems import Problem


def check_origin(req: falcon.Request, hosts: Collection[str]) -> None:
    """Raise Problem 403 for what a page of another site made a browser send.

    `hosts`: names that proxies and other services call this one by, in small letters.
    """
    site = req.get_header("Sec-Fetch-Site")
    origin = req.get_header("Origin")
    if not _is_known(req, hosts):
        raise Problem(
            403, "unknown-host", "Use localhost or this machine's address, or set ORDER_HOSTS."
        )
    if site in ("cross-site", "same-site") or (origin is not None and not _is_own(origin, req)):
        raise Problem(403, "foreign-origin", "Pages of other sites may not use this API.")


def _is_known(req: falcon.Request, hosts: Collection[str]) -> bool:
    """Whether the request came by a name that no stranger can have pointed here."""
    host = (req.host or "").strip("[]").lower()
    if host == "localhost" or host.endswith(".localhost") or host in hosts:
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return host != "0.0.0.0"


def _is_own(origin: str, req: falcon.Request) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return bool(parts.netloc) and parts.netloc.lower() == req.netloc.lower()
