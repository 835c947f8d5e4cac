"""Who may do what: read, see bodies, act; and who says so."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from taskflow.dashboard.answer import Refused
from taskflow.dashboard.asked import Asked

Role = Literal["read", "bodies", "act"]
READ: frozenset[Role] = frozenset({"read"})
ALL: frozenset[Role] = frozenset({"read", "bodies", "act"})
WORDS: dict[Role, str] = {
    "read": "may read",
    "bodies": "sees bodies",
    "act": "may act",
}
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class Who(NamedTuple):
    """Who asks, as the record will call them, and their roles. `read`: what there is, without
    contents. `bodies`: payloads, attributes, errors, results too. `act`: forms that change."""

    name: str
    roles: frozenset[Role] = READ

    def may(self, role: Role) -> bool:
        """Whether they have a role."""
        return role in self.roles

    def words(self) -> str:
        """Name and roles, as the foot of each page says it."""
        return " · ".join([self.name, ", ".join(WORDS[one] for one in WORDS if one in self.roles)])


Roles = Callable[[Asked], "Who | None"]
"""Tells who asks, by what the host application knows of them; None for who is not let in. May raise
Refused with an answer of its own."""


def local_reader(asked: Asked) -> Who | None:
    """Without anybody who knows users: who sits at this machine may read. Not whom a proxy brings,
    nor a page of another site that has pointed its name here."""
    return Who("local", READ) if is_local(asked) else None


def local_operator(asked: Asked) -> Who | None:
    """As `local_reader`, for a dashboard of one's own: who sits at this machine may do all."""
    return Who("local", ALL) if is_local(asked) else None


def is_local(asked: Asked) -> bool:
    """Whether a request comes from this machine, by a name that can only mean it."""
    if any(asked.header(name) for name in _FORWARDED):
        return False
    # nginx, as it comes, names itself as the host and says nothing of whom it brings; but where a
    # browser thinks that it is, it leaves.
    senders = [asked.header(name) for name in ("origin", "referer") if asked.header(name)]
    named = all(map(_names_this_machine, [f"//{asked.header('host')}", *senders]))
    return named and _is_loopback(asked.peer)


def check_role(who: Who, role: Role, what: str) -> None:
    """Raise Refused when somebody has not the role that `what` needs."""
    if not who.may(role):
        raise Refused(403, f"You {WORDS['read']} here, not {what}. Role {role} is needed.")


def _names_this_machine(address: str) -> bool:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return False
    return host == "localhost" or host.endswith(".localhost") or _is_loopback(host)


def _is_loopback(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return address.is_loopback and getattr(address, "ipv4_mapped", None) is None
