"""For whom a browser sends a request: another site, or one that borrowed this server's name."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from taskflow.server.protocol import HttpRequest


def is_foreign(request: HttpRequest) -> bool:
    """Whether a browser sent this on behalf of another origin. Programs send none of these
    headers, and no browser does without them."""
    if request.header("sec-fetch-site") not in ("", "same-origin", "none"):
        return True
    sender = request.header("origin") or request.header("referer")
    if not sender:
        return False
    try:
        return urlsplit(sender).netloc.lower() != request.header("host").lower()
    except ValueError:
        return True


def is_rebound(request: HttpRequest) -> bool:
    """Whether a browser sent this by a name that is none of this machine's own: another site may
    have pointed it here."""
    if not request.header("origin") and not request.header("sec-fetch-site"):
        return False
    try:
        host = urlsplit(f"//{request.header('host')}").hostname or ""
        if host == "localhost" or host.endswith(".localhost"):
            return False
        ip_address(host)
    except ValueError:
        return True
    return False
