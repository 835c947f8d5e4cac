"""The forms of the pages: redrive dead letters, send a test message."""

from taskflow.dashboard.forms import (
    Fields,
    Refused,
    find_one,
    find_wanted,
    in_words,
    read_form,
    read_message,
    read_query,
    read_target,
)
from taskflow.dashboard.looking import count_all
from taskflow.dashboard.showing import redirect, show_page
from taskflow.errors import BrokerError, BrokerUnavailable
from taskflow.server.backend import Backend
from taskflow.server.protocol import HttpRequest, HttpResponse

CHUNK = 1000  # dead letters of one transaction, so that workers go on meanwhile
MOST_REDRIVEN = 10_000  # by one click: a browser does not wait for ever


class ChangingPages:
    """Each method answers one address. All raise Refused or BrokerError."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._broker = backend.broker

    async def redrive(self, request: HttpRequest) -> HttpResponse:
        fields = read_form(request)
        queue, ids = find_wanted(fields, "queue"), fields.get("id", [])
        if find_one(fields, "which") == "all":
            ids = []
        elif not ids:
            raise Refused(400, "No dead letter is selected. Tick some, or redrive all.")
        counts = await self._backend.run(self._broker.counts, queue)
        wanted = len(set(ids)) or min(count_all(counts), MOST_REDRIVEN)
        moved = 0
        while moved < wanted:
            step = min(CHUNK, wanted - moved)
            done = await self._backend.run(self._broker.redrive, queue, ids, step)
            moved += done
            if ids or not done:
                break
        notice = f"Redrove {moved:,}."
        if moved < wanted:
            notice += " The rest is gone, or stays: where it came from is not known."
        return redirect("/dead-letters", queue=queue, notice=notice)

    async def send_form(self, request: HttpRequest) -> HttpResponse:
        return await self._send_form(request, read_query(request))

    async def send(self, request: HttpRequest) -> HttpResponse:
        fields = read_form(request)
        run, broker = self._backend.run, self._broker
        try:
            kind, name = read_target(find_one(fields, "to"))
            message = read_message(fields, broker, self._backend.account)
            if kind == "queue":
                (sent,) = await run(broker.send, name, [message])
                return redirect("/queue", name=name, notice=f"Sent message {sent.id}.")
            published = await run(broker.publish, name, [message])
        except (Refused, BrokerError) as error:
            if isinstance(error, BrokerUnavailable):
                raise
            text = error.text if isinstance(error, Refused) else in_words(error)
            return await self._send_form(request, fields, text)
        notice = f"Published message {published.sent[0].id} to {name}."
        if not published.subscriptions:
            notice += " It went nowhere: the topic has no subscriptions."
        return redirect("/", notice=notice)

    async def _send_form(
        self, request: HttpRequest, fields: Fields, refusal: str = ""
    ) -> HttpResponse:
        names = ("to", "body", "group", "deduplication_id", "attributes")
        return show_page(
            "send.html",
            request,
            400 if refusal else 200,
            refreshes=False,  # it would take away what was written
            queues=await self._backend.run(self._broker.queues),
            topics=await self._backend.run(self._broker.topics),
            filled={name: find_one(fields, name) for name in names},
            refusal=refusal,
        )
