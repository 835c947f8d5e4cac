"""A short way for plain requests, past the scope, the task and the shapes of each.

It answers what the long way (`App`) would answer, and declines what it does not know for certain:
then that takes it. So nothing is refused here; only what the broker's own fault has stopped is
answered with that, since the long way would do it a second time.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from taskflow.errors import BrokerError, BrokerUnavailable
from taskflow.server.app import App
from taskflow.server.backend import LONG, Backend
from taskflow.server.plain_actions import Answer, PlainActions, PlainRequest
from taskflow.server.protocol import HttpRequest, HttpResponse
from taskflow.server.rounds import Rounds
from taskflow.server.sqs_receive import ReceiveActions
from taskflow.server.wire_call import Caller
from taskflow.wire.error_codes import WireError

log = logging.getLogger("taskflow.server")

PREFIX = b"AmazonSQS."
TOGETHER = 100  # requests that are one call of the broker
KNOWN = 256  # callers, by what their requests say of them
_LONGEST = 1024  # bytes of a host or a credential
# Of a browser, of a body that is to be read in another way, or what goes into a message.
_NOT_PLAIN = frozenset(
    {
        *(b"origin", b"referer", b"sec-fetch-site", b"content-encoding", b"transfer-encoding"),
        *(b"expect", b"upgrade", b"x-amzn-trace-id"),
    }
)
_PART = rb"[^/,\s]+"
_SIGNED = re.compile(
    rb"AWS4-HMAC-SHA256 (Credential=(?:%s/){4}%s), ?SignedHeaders=[^=,\s]+, ?Signature=[^=,\s]+"
    % (_PART, _PART)
)

Tell = Callable[[bytes | HttpResponse | None], bool]
"""Told the body of the answer, or the answer that it failed; None when the long way has to take the
request. False when the client has gone."""
Calls = list[tuple[PlainRequest, Tell]]
Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a head said."""

    action: str
    caller: Caller
    region: str


class FastWay:
    """Used on the server's loop. `is_open`: whether the server lets everybody in; where it has
    keys, signatures and policies are the long way's."""

    def __init__(
        self,
        app: App,
        backend: Backend,
        rounds: Rounds,
        actions: PlainActions,
        is_open: Callable[[], bool],
    ) -> None:
        self._app = app
        self._backend = backend
        self._rounds = rounds
        self._actions = actions
        self._targets = {PREFIX + name.encode(): name for name in actions.names}
        self._is_open = is_open
        self._round = 0
        self._open: dict[tuple[str, str, float | None], Calls] = {}
        self._known: dict[tuple[bytes, bytes], tuple[Caller, str] | None] = {}

    def accept(self, headers: Headers) -> Plan | None:
        """What a POST to `/` whose body has a length is about; None for the long way. Header names
        are in small letters."""
        found = dict(headers)
        action = self._targets.get(found.get(b"x-amz-target", b""))
        if (
            action is None
            or len(found) != len(headers)
            or not found.keys().isdisjoint(_NOT_PLAIN)
            or b"host" not in found
            or b";" in found.get(b"content-type", b"")
            or not self._is_open()
        ):
            return None
        length = found.get(b"content-length", b"")
        if not length.isdigit() or len(length) > 6 or int(length) > LONG:
            return None
        caller = self._find_caller(found)
        return None if caller is None else Plan(action, *caller)

    def _find_caller(self, headers: Mapping[bytes, bytes]) -> tuple[Caller, str] | None:
        """Who asks, and for which region; of all the headers these say it."""
        host, claim = headers.get(b"host", b""), headers.get(b"authorization", b"")
        credential = b""
        if claim:
            signed = _SIGNED.fullmatch(claim)
            if signed is None or b"x-amz-date" not in headers:
                return None
            credential = signed[1]
        key = (host, credential)
        if key not in self._known:
            if max(map(len, key)) > _LONGEST:
                return None
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[key] = self._ask_for_caller(headers)
        return self._known[key]

    def _ask_for_caller(self, headers: Mapping[bytes, bytes]) -> tuple[Caller, str] | None:
        names = (b"host", b"authorization", b"x-amz-date")
        some = [(name, headers[name]) for name in names if name in headers]
        texts = tuple((name.decode("latin-1"), text.decode("latin-1")) for name, text in some)
        try:
            return self._app.identify(HttpRequest("POST", "http", "", "/", "", texts))
        except WireError:
            return None  # the long way says why

    def request_id(self) -> bytes:
        """A new one."""
        return self._app.request_id().encode()

    def begin(self, plan: Plan, body: bytes, tell: Tell) -> bool:
        """Do what was planned, in the next round, and tell the answer. False, and nothing is told,
        when it is not plain. What is asked alike of one queue in one round is done together."""
        request = self._actions.read(plan.action, body, plan.caller, plan.region)
        if request is None:
            return False
        if self._round != self._rounds.number:
            self._round = self._rounds.number
            self._open.clear()
        calls = self._open.get(request.key)
        if calls is None or len(calls) >= TOGETHER:
            calls = self._open[request.key] = []
            self._rounds.add(partial(self._do, calls), partial(self._end, calls))
        calls.append((request, tell))
        return True

    def _do(self, calls: Calls) -> list[Answer]:
        return self._actions.do([request for request, _ in calls])

    def _end(self, calls: Calls, answers: list[Answer] | None, error: Exception | None) -> None:
        failure = None
        if answers is None:
            answers = [(None if _may_be_asked_again(error) else b"", ())] * len(calls)
            failure = error
        elif calls[0][0].lasts:  # else it has what it wanted, though the disk failed
            failure = error
        for (request, tell), (body, lent) in zip(calls, answers, strict=True):
            try:
                there = tell(body if body is None or not failure else self._app.refuse(failure))
            except Exception:  # the others are to have their answers
                log.exception("an answer could not be given")
                there = False
            if lent:
                self._backend.waiting.wake_next(request.key[1])  # there may be more
                if not there:
                    self._backend.start(self._backend.broker.give_back, list(lent))


def _may_be_asked_again(error: Exception | None) -> bool:
    """Whether the broker refused something, and did nothing: the long way says what it was."""
    return isinstance(error, BrokerError) and not isinstance(error, BrokerUnavailable)


def make_fast_way(app: App, backend: Backend, is_open: Callable[[], bool]) -> FastWay | None:
    """The fast way of a server; None where the broker cannot do several verbs at a time."""
    if backend.rounds is None:
        return None
    actions = PlainActions(backend, ReceiveActions(backend))
    return FastWay(app, backend, backend.rounds, actions, is_open)
