"""For whom a request comes: a browser on behalf of another site, or by a name that is not ours.

A page that anybody shows may make a browser send requests here, by a name that its owner pointed at
this machine, or by `0.0.0.0`, which is this machine too. It cannot sign them; but where any
signature is taken, what a page by its own name says to be one is none.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from taskflow.server.protocol import HttpRequest


def is_foreign(request: HttpRequest) -> bool:
    """Whether a browser sent this on behalf of another origin. Programs send none of these
    headers; a browser leaves them out at times, so their absence says nothing."""
    if request.header("sec-fetch-site") not in ("", "same-origin", "none"):
        return True
    sender = request.header("origin") or request.header("referer")
    if not sender:
        return False
    try:
        return urlsplit(sender).netloc.lower() != request.header("host").lower()
    except ValueError:
        return True


def is_from_program(request: HttpRequest) -> bool:
    """Whether no browser sent this. Each of them says where a POST comes from, also from a page of
    the same origin; of a GET it may say nothing."""
    told = ("origin", "referer", "sec-fetch-site")
    return request.method == "POST" and not any(map(request.header, told))


def is_known_host(request: HttpRequest, public_url: str | None) -> bool:
    """Whether the request came by a name that can only mean this server: localhost, an address of
    this machine's own loopback, or what `--url` says."""
    try:
        host = urlsplit(f"//{request.header('host')}").hostname or ""
        public = urlsplit(public_url or "").hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost") or (public and host == public.lower()):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback and getattr(address, "ipv4_mapped", None) is None
