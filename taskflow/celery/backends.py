"""Addresses in the settings: which of them mean something here."""

from taskflow.celery.not_ported import refuse

OURS = ("memory", "sqlite", "aws")
KEPT = "taskflow"
_NONE = ("", "disabled")


def check_broker(address: str | None) -> str | None:
    """Return an address of taskflow's. Raises NotPorted for one of Celery's."""
    if address and address.partition("://")[0] not in OURS:
        raise refuse("another broker", address.partition("://")[0])
    return address or None


def check_backend(address: str | None) -> str | None:
    """`taskflow`, for results beside the messages; None for none. Raises NotPorted for any
    other."""
    scheme = (address or "").partition("://")[0]
    if scheme in _NONE:
        return None
    if scheme == "rpc":
        raise refuse("rpc")
    if scheme not in (KEPT, *OURS):
        raise refuse("another result backend", scheme)
    return KEPT
