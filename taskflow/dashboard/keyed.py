"""Roles by access keys: HTTP Basic with a key's id and secret, as `taskflow keys` makes them."""

from base64 import b64decode
from hmac import compare_digest

from taskflow.dashboard.answer import Refused
from taskflow.dashboard.asked import Asked
from taskflow.dashboard.visitor_rights import Role, Roles, Who, local_operator
from taskflow.server.access_key import Verb
from taskflow.server.keys import Keys

VERBS: dict[Role, Verb] = {"read": "read", "bodies": "receive", "act": "manage"}
"""What a key must be able to do for each role, with all queues and topics."""
_ASK = (("www-authenticate", 'Basic realm="taskflow", charset="UTF-8"'),)


class KeyRoles:
    """Tells who asks by their access key. Raises Refused (401) for who has none."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def __call__(self, asked: Asked) -> Who | None:
        scheme, _, coded = asked.header("authorization").partition(" ")
        try:
            id, _, secret = b64decode(coded, validate=True).decode().partition(":")
        except ValueError:
            id = secret = ""
        key = self._keys.find(id) if scheme.lower() == "basic" and id else None
        same = compare_digest((key.secret if key else "").encode(), secret.encode())
        if key is None or not same:
            raise Refused(401, "An access key is needed.", ("`taskflow keys add NAME`",), _ASK)
        if "*" not in key.queues or "*" not in key.topics:
            return Who(key.name, frozenset())
        return Who(key.name, frozenset(role for role, verb in VERBS.items() if verb in key.verbs))


def roles_of(keys: Keys | None) -> Roles:
    """Who may what on a server of the dashboard alone: by their key from the first key on, also
    one that was made meanwhile; before that who sits at this machine may do all."""
    if keys is None:
        return local_operator
    keyed = KeyRoles(keys)
    return lambda asked: keyed(asked) if keys.configured else local_operator(asked)
