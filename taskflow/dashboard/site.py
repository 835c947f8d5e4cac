"""The dashboard behind whatever serves it: who asks, which page, and what is said when it fails."""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches

from taskflow.broker import Broker
from taskflow.dashboard import (
    acting,
    dead,
    message_page,
    queue,
    queue_list,
    record_page,
    run_list,
    run_page,
    schedule_list,
    search,
    sending,
    start,
    worker_list,
)
from taskflow.dashboard.answer import Answer, Refused, file_answer, page_answer
from taskflow.dashboard.asked import Asked
from taskflow.dashboard.form_tokens import FormTokens
from taskflow.dashboard.hiding import Hiding
from taskflow.dashboard.outage import Outage
from taskflow.dashboard.refusals import Refusals
from taskflow.dashboard.survey import Surveyor
from taskflow.dashboard.templates import page_file
from taskflow.dashboard.visit import Visit, nav, render
from taskflow.dashboard.visitor_rights import Roles, Who, check_role, local_reader
from taskflow.dashboard.writing import in_words
from taskflow.errors import (
    BrokerError,
    BrokerUnavailable,
    MessageNotFound,
    NoResult,
    QueueNotFound,
    ScheduleNotFound,
    TaskflowError,
    TopicNotFound,
)
from taskflow.registry import Registry, default_registry
from taskflow.text import printable

log = logging.getLogger("taskflow.dashboard")

Show = Callable[[Visit], Answer]
ShowOne = Callable[[Visit, str], Answer]

_FAILED = "The page failed; the log of this process says why."
_KEPT = ("cache-control", "public, max-age=31536000, immutable")
_FILES = {
    "/taskflow.css": ("text/css; charset=utf-8", "taskflow.css"),
    "/live.js": ("text/javascript; charset=utf-8", "live.js"),
}
PAGES: Mapping[str, Show] = {
    "/": start.show,
    "/queues": queue_list.show,
    "/dead": dead.show,
    "/workflows": run_list.show,
    "/schedules": schedule_list.show,
    "/workers": worker_list.show,
    "/search": search.show,
    "/record": record_page.show,
    "/send": sending.send,
}
"""By path."""
BELOW: Mapping[str, ShowOne] = {
    "/queues/": queue.show,
    "/messages/": message_page.show,
    "/workflows/": run_page.show,
}
"""By how the path begins; what follows is a name or an id, whatever stands in it."""
FORMS: Mapping[str, Show] = {"/act": acting.act, "/send": sending.send}


class Site:
    """All pages over a broker. `roles` tells who asks (default: who sits at this machine may read),
    `hidden` are more names of fields that are hidden, `name` is shown at the top ("production"),
    `address` at the foot; it must hold no password. By the handlers of `registry` it is checked
    what is edited and sent anew."""

    def __init__(
        self,
        broker: Broker,
        *,
        roles: Roles = local_reader,
        hidden: Iterable[str] = (),
        name: str = "",
        address: str = "",
        registry: Registry = default_registry,
    ) -> None:
        self._broker = broker
        self._roles = roles
        self._hiding = Hiding(hidden)
        self._name = name
        self._address = address
        self._surveyor = Surveyor(broker)
        self._tokens = FormTokens(broker)
        self._outage = Outage(broker.clock)
        self._refusals = Refusals(broker)
        self._registry = registry

    def answer(self, asked: Asked, who: Who | None = None) -> Answer:
        """The answer to a request; `who` asks, where `let_in` has said so. Never raises;
        thread-safe; may wait for the broker."""
        if (file := _FILES.get(asked.path)) is not None and asked.method == "GET":
            body = page_file(file[1])
            kept = tuple(one for one in file_answer(file[0], body).headers if one[0] != _KEPT[0])
            return Answer(200, (*kept, _KEPT), body)
        try:
            who = who or self._let_in(asked)
            visit = Visit(
                asked,
                who,
                self._broker,
                self._surveyor,
                self._tokens,
                self._hiding,
                self._name,
                self._address,
                self._registry,
            )
            answer = _show(visit)
            self._outage.over(self._surveyor.last)
            return answer
        except Refused as error:
            if error.status == 403 and who is not None and asked.method == "POST":
                with suppress(BrokerError, Refused):  # it is refused, noted or not
                    self._refusals.note(asked, who, error.text)
            return self._refuse(asked, who, error)
        except (QueueNotFound, TopicNotFound) as error:
            return self._refuse(asked, who, _not_there(error))
        except (
            MessageNotFound,
            NoResult,
            ScheduleNotFound,
        ) as error:
            return self._refuse(asked, who, Refused(404, in_words(error)))
        except BrokerUnavailable as error:
            return self._away(asked, who, error)
        except (BrokerError, TaskflowError, ValueError) as error:
            return self._refuse(asked, who, Refused(400, in_words(error)))
        except Exception:
            log.exception("%s %s failed", asked.method, printable(asked.path))
            return self._refuse(asked, who, Refused(500, _FAILED))

    def let_in(self, asked: Asked) -> Who | Answer:
        """Who asks, from the head of a request alone, so that nobody reads the body of a stranger;
        or the answer to who is not let in. Never raises; thread-safe."""
        try:
            return self._let_in(asked)
        except Refused as error:
            return self._refuse(asked, None, error)
        except Exception:
            log.exception("%s %s failed", asked.method, printable(asked.path))
            return self._refuse(asked, None, Refused(500, _FAILED))

    def _let_in(self, asked: Asked) -> Who:
        who = self._roles(asked)
        if who is None:
            raise Refused(
                403,
                "This dashboard is not open to you.",
                (
                    "Without a hook that knows the users of this application it answers those who "
                    "sit at this machine: wsgi(broker, roles=…), asgi(broker, roles=…).",
                ),
            )
        check_role(who, "read", "this page")
        return who

    def _refuse(self, asked: Asked, who: Who | None, error: Refused) -> Answer:
        values = {"code": error.status, "text": error.text, "todo": error.todo}
        answer = self._plain("refused.html", asked, who, error.status, values)
        return Answer(answer.status, (*answer.headers, *error.headers), answer.body)

    def _away(self, asked: Asked, who: Who | None, error: BrokerUnavailable) -> Answer:
        outage = self._outage.note()
        values = {"error": type(error).__name__, "text": str(error), "outage": outage}
        return self._plain("away.html", asked, who, 503, values)

    def _plain(
        self,
        template: str,
        asked: Asked,
        who: Who | None,
        status: int,
        values: Mapping[str, object],
    ) -> Answer:
        """A page that needs no broker."""
        html = render(
            template,
            Asked(method="GET", path=asked.path, prefix=asked.prefix),
            who=who,
            here="",
            now=self._broker.clock.now(),
            nav=nav(self._surveyor.last if status != 503 else None),
            name=self._name,
            address=self._address,
            done=None,
            live=status == 503 and asked.method == "GET",
            **values,
        )
        return page_answer(html, status)


def _not_there(error: QueueNotFound | TopicNotFound) -> Refused:
    """With the nearest name; there may be thousands of others."""
    near = get_close_matches(error.name, error.known, 1)
    todo = (f"Did you mean {near[0]}?",) if near else ()
    return Refused(404, f"There is no {error.kind} {error.name}.", todo)


def _show(visit: Visit) -> Answer:
    method, path = visit.asked.method, visit.asked.path
    if method == "POST":
        form = FORMS.get(path)
        if form is None:
            raise Refused(404, "Nothing is posted there.")
        return form(visit)
    if method not in ("GET", "HEAD"):
        raise Refused(405, f"{method} is not understood here.", headers=(("allow", "GET, POST"),))
    page = PAGES.get(path) or PAGES.get(path.rstrip("/") or "/")
    if page is not None:
        return page(visit)
    for begin, below in BELOW.items():
        if path.startswith(begin) and (rest := path.removeprefix(begin)):
            return below(visit, rest)
    raise Refused(404, "There is no such page.", ("Begin at the overview.",))
