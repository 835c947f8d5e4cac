"""Requests in both dialects and on the pages, nearly right, against the whole app in-process."""

# botocore has no types.
# mypy: allow-untyped-calls

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from taskflow import open_broker
from taskflow.broker import Broker
from taskflow.dashboard.pages import pages
from taskflow.limits import is_fifo
from taskflow.message import Message
from taskflow.server.access import Access
from taskflow.server.access_key import Key
from taskflow.server.app import App
from taskflow.server.backend import Backend
from taskflow.server.fast_way import make_fast_way
from taskflow.server.keys import Keys
from taskflow.server.page_access import PageAccess
from taskflow.server.sns import Sns
from taskflow.server.sqs import sqs_actions
from taskflow.server.sqs_moves import MoveActions
from taskflow.server.sts import Sts
from taskflow.server.waiting import Waiting
from taskflow.wire.envelope import wire_topic
from tests.fuzz.requests import ACCOUNT, HOST, NAMES, Requests
from tests.fuzz.values import Values
from tests.fuzz.verdict import Verdict
from tests.taskflow.server.wire import Answer, FastFirst, Peer, all_peers, ask, make_scope

REGION = "us-east-1"
SECRET = "the-body-that-nobody-may-see"
TIMEOUT = 60.0  # real seconds for one request; none waits on purpose


class WireFuzz:
    """One server over one broker. With `limited`, every request is signed with a key for `lim-*`
    alone, and nothing else may change."""

    def __init__(self, values: Values, verdict: Verdict, folder: Path, *, limited: bool) -> None:
        self._values = values
        self._verdict = verdict
        self._limited = limited
        self._target = "limited" if limited else "wire"
        self._peers = all_peers()
        self._requests = Requests(values, self._peers, resets=not limited)
        self._keys = Keys.load(folder / "keys.json")
        self._key: Key | None = None
        if limited:
            self._key = self._keys.add("limited", 0.0, queues=["lim-*"], topics=["lim-*"])

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Have the server for this while; at its end it must still work."""
        self._broker = open_broker("memory://")
        with ThreadPoolExecutor(4) as threads:
            waiting = Waiting(self._broker)
            waiting.start()
            backend = Backend(self._broker, waiting, threads, ACCOUNT, REGION)
            keys = self._keys if self._limited else None
            access, page_access = Access(backend, keys), PageAccess(keys)
            actions = {
                **sqs_actions(backend, MoveActions(backend)),
                **Sns(backend).actions(),
                **Sts().actions(),
            }
            app = App(
                access.guard(actions),
                access.authenticate,
                clock=self._broker.clock,
                new_request_id=lambda: "r",
                region=REGION,
                scope_of=access.scope_of,
                pages=pages(backend, page_access.allows, allow_reset=not self._limited),
                admit=access.admit,
                threads=threads,
            )
            fast = make_fast_way(app, backend, lambda: access.open)
            assert fast is not None
            self._ways = (app, FastFirst(app, fast))
            for name in NAMES:
                self._values.note("url", f"http://{HOST}/{ACCOUNT}/{name}")
                self._values.note("queue", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
                self._values.note("topic", f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}")
            if self._limited:
                self._hide_secrets()
            before = self._secrets()
            yield
            if self._limited and self._secrets() != before:
                self._verdict.wrong("a limited key changed", (before, self._secrets()))
            self._look_at_the_end()
            waiting.close()
        self._broker.close()

    async def send(self, most: int) -> None:
        """So many requests at once, and see what they answer."""
        await asyncio.gather(*(self._send_one() for _ in range(most)))

    async def _send_one(self) -> None:
        self._verdict.requests += 1
        peer = None
        if self._values.chance(0.06):
            request = self._requests.page()
        else:
            peer = self._values.dice.choice(self._peers)
            request = self._requests.call(peer)
        method, path, query, headers, body = request
        if self._key is not None and self._values.chance(0.9):
            headers = _sign(self._key, peer, method, path, query, headers, body)
        scope = make_scope(method, path, query, tuple(headers))
        try:
            way = self._values.dice.choice(self._ways)
            answer = await asyncio.wait_for(ask(way, scope, body), TIMEOUT)
        except TimeoutError:
            self._verdict.wrong("no answer in time", request)
        except Exception as error:
            self._verdict.wrong(f"the app raised {error!r}", request)
        else:
            assert answer is not None
            self._look_at(answer, request)

    def _look_at(self, answer: Answer, request: Any) -> None:
        self._verdict.answered(self._target, answer.status)
        if answer.status >= 500:
            self._verdict.wrong(f"answered {answer.status} {answer.body[:200]!r}", request)
        if SECRET.encode() in answer.body:
            self._verdict.wrong(f"told a secret: {answer.body[:200]!r}", request)
        kind = answer.headers.get("content-type", "")
        try:
            if "json" in kind:
                self._learn(json.loads(answer.body))
            elif "xml" in kind:
                ElementTree.fromstring(answer.body)
        except (ValueError, ElementTree.ParseError) as error:
            self._verdict.wrong(f"no {kind}: {error}", request)

    def _learn(self, answer: Any) -> None:
        for message in answer.get("Messages", ()) if isinstance(answer, dict) else ():
            self._values.note("handle", message["ReceiptHandle"])

    def _hide_secrets(self) -> None:
        """What is not the limited key's: everything that a name of the requests may mean."""
        broker: Broker = self._broker
        for name in ("q-dlq", "secret", "q0", "f0.fifo"):
            broker.create_queue(name)
            group = "g" if is_fifo(name) else None
            broker.send(name, [Message("1", SECRET, group=group, deduplication_id=group)])
            broker.tag_queue(name, {"owner": SECRET})
        for name in ("secret", "q0"):
            broker.create_topic(name)
            broker.subscribe(name, name)
            broker.tag_topic(name, {"owner": SECRET})

    def _secrets(self) -> Any:
        """All of it, as it is now."""
        broker: Broker = self._broker
        queues = [name for name in broker.queues() if not name.startswith("lim-")]
        topics = [
            name for name in broker.topics() if not wire_topic(name, REGION)[1].startswith("lim-")
        ]
        return (
            [(name, broker.settings(name), broker.peek(name)) for name in queues],
            [broker.describe_queue(name).tags for name in queues],
            [
                (name, broker.topic_settings(name), broker.describe_topic(name).tags)
                for name in topics
            ],
            [one for one in broker.subscriptions() if one.topic in topics or one.queue in queues],
        )

    def _look_at_the_end(self) -> None:
        """The broker still does its work; a limited key has made what is its own, at most."""
        broker: Broker = self._broker
        if self._limited:
            topics = {wire_topic(topic, REGION)[1] for topic in broker.topics()}
            known = {*broker.queues(), *topics}
            ours = {"q-dlq", "secret", "q0", "f0.fifo"}
            strange = [name for name in known - ours if not name.startswith("lim-")]
            if strange:
                self._verdict.wrong("a limited key made", strange)
        for queue in broker.queues():
            counts = broker.counts(queue)
            if broker.purge(queue) < min(counts.visible, 1):
                self._verdict.wrong("cannot be purged", queue)


def _sign(
    key: Key,
    peer: Peer | None,
    method: str,
    path: str,
    query: str,
    headers: list[Any],
    body: bytes,
) -> list[Any]:
    service = peer.operation.service_model.service_name if peer else "sqs"
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    plain = {name: text for name, text in headers if name not in ("host", "content-length")}
    request = AWSRequest(method, url, headers={**plain, "Host": HOST}, data=body)
    SigV4Auth(Credentials(key.access_key_id, key.secret), service, REGION).add_auth(request)
    signed = [(name.lower(), text) for name, text in request.headers.items()]
    return [*signed, ("content-length", str(len(body)))]
