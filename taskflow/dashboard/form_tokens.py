"""A token a form: who drew it, for what it is good, and that it is good once."""

import hmac
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from taskflow import forking
from taskflow.broker import Broker
from taskflow.broker.change import Change, Put
from taskflow.dashboard.answer import Refused
from taskflow.errors import VersionConflict

FORM = "dashboard-form"
SECRET = "dashboard-secret"
"""The kinds of the records: what a form did, by its token; the key that signs tokens."""

GOOD_FOR = 12 * 3600.0  # seconds that a drawn form can be sent
KEPT = 2 * 86400.0  # seconds that it is known what a form did
KEPT_HERE = 1000  # forms, where the broker has no records


class Done(NamedTuple):
    """What a form did: a sentence, when (epoch seconds), by whom, and the page that shows it. `at`
    0 while it is being done."""

    said: str
    at: float
    who: str
    to: str = ""


class FormTokens:
    """Makes and takes tokens. Several processes of one dashboard know each other's, since key and
    sent forms are records of the broker; one without records (`features.runs`) keeps them here,
    and there a token is good in the process that drew it."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._lock: threading.Lock
        forking.anew(self, _lock=threading.Lock)
        self._key = b""
        self._here: OrderedDict[str, Done] = OrderedDict()

    def make(self, who: str, about: Mapping[str, str]) -> str:
        """A token for one form of one person; `about` is what the form must say when it is sent,
        fields that are not to be changed under way."""
        nonce, now = secrets.token_hex(12), self._broker.clock.now()
        return f"{nonce}.{int(now)}.{self._sign(nonce, int(now), who, about)}"

    def check(self, token: str, who: str, about: Mapping[str, str]) -> str:
        """The name of a sent form. Raises Refused (403) for a token that nobody drew for this
        person and these fields, or too long ago. It may have been sent before (`take`)."""
        nonce, _, rest = token.partition(".")
        moment, _, sign = rest.partition(".")
        if not (moment.isascii() and moment.isdigit() and len(moment) < 16):
            raise Refused(403, "This form has no token of this page. Nothing was done.", _ANEW)
        drawn, now = int(moment), self._broker.clock.now()
        if not hmac.compare_digest(sign.encode(), self._sign(nonce, drawn, who, about).encode()):
            raise Refused(403, "This form was not drawn for you as it is. Nothing was done.", _ANEW)
        if not -60.0 <= now - drawn <= GOOD_FOR:
            raise Refused(403, "This form is older than 12 hours. Nothing was done.", _ANEW)
        return nonce

    def take(self, name: str, who: str) -> Done | None:
        """Begin what a form asks for: None for the first who does, else what the first did."""
        now = self._broker.clock.now()
        begun = Done("It is being done.", 0.0, who)
        if not self._broker.features.runs:
            with self._lock:
                if (found := self._here.get(name)) is not None:
                    return found
                self._here[name] = begun
                while len(self._here) > KEPT_HERE:
                    self._here.popitem(last=False)
            return None
        put = Put(kind=FORM, key=name, value=json.dumps(begun), expected=0, expires_at=now + KEPT)
        refused = self._broker.apply([Change(records=[put])])[0].refused
        if refused is None:
            return None
        if isinstance(refused, VersionConflict):
            return self.done(name) or begun
        raise refused

    def note(self, name: str, said: str, who: str, to: str) -> None:
        """What the form did: who sends it again is told."""
        now = self._broker.clock.now()
        done = Done(said, now, who, to)
        if not self._broker.features.runs:
            with self._lock:
                self._here[name] = done
            return
        put = Put(kind=FORM, key=name, value=json.dumps(done), expires_at=now + KEPT)
        self._broker.apply([Change(records=[put])])[0].or_raise()

    def done(self, name: str) -> Done | None:
        """What a form did; None for one that nobody sent, or long ago."""
        if not self._broker.features.runs:
            with self._lock:
                return self._here.get(name)
        record = self._broker.records(FORM, [name]).get(name)
        return None if record is None else Done(*json.loads(record.value))

    def _sign(self, nonce: str, moment: int, who: str, about: Mapping[str, str]) -> str:
        said: Any = [nonce, moment, who, sorted(about.items())]
        return hmac.digest(self._secret(), json.dumps(said).encode(), sha256).hex()[:32]

    def _secret(self) -> bytes:
        with self._lock:
            if not self._key:
                self._key = self._kept_secret()
            return self._key

    def _kept_secret(self) -> bytes:
        made = secrets.token_hex(32)
        if self._broker.features.runs:
            put = Put(kind=SECRET, key=SECRET, value=made, expected=0)
            refused = self._broker.apply([Change(records=[put])])[0].refused
            if isinstance(refused, VersionConflict):
                made = self._broker.records(SECRET, [SECRET])[SECRET].value
            elif refused is not None:
                raise refused
        return made.encode()


_ANEW = ("Open the page anew and send its form.",)
