"""One request of somebody who was let in, and what its page is made of."""

from typing import Any

from taskflow.broker import Broker
from taskflow.dashboard.answer import Answer, page_answer
from taskflow.dashboard.asked import Asked
from taskflow.dashboard.form_tokens import Done, FormTokens
from taskflow.dashboard.hiding import Hiding
from taskflow.dashboard.survey import Survey, Surveyor
from taskflow.dashboard.templates import stamp, templates
from taskflow.dashboard.visitor_rights import Role, Who, check_role
from taskflow.registry import Registry, default_registry

LIVE = "taskflow_live"
"""The cookie that keeps `?live=off`."""


class Visit:
    """What a page is given: `asked`, `who`, the `broker`, and what belongs to the dashboard. `name`
    is what this installation is called, `address` where its broker is, `registry` the handlers that
    this process knows."""

    def __init__(
        self,
        asked: Asked,
        who: Who,
        broker: Broker,
        surveyor: Surveyor,
        tokens: FormTokens,
        hiding: Hiding,
        name: str = "",
        address: str = "",
        registry: Registry = default_registry,
    ) -> None:
        self.asked = asked
        self.who = who
        self.broker = broker
        self.surveyor = surveyor
        self.tokens = tokens
        self.hiding = hiding
        self.registry = registry
        self.unhidden = False
        """This page shows hidden fields, once."""
        self.peeks = False
        """This page may receive messages to show them, once."""
        self.now = broker.clock.now()
        self._name = name
        self._address = address

    def survey(self) -> Survey:
        """The broker now, or a second ago."""
        return self.surveyor.look()

    def may(self, role: Role) -> bool:
        """Whether who asks has a role."""
        return self.who.may(role)

    def need(self, role: Role, what: str) -> None:
        """Raise Refused (403) unless who asks has a role."""
        check_role(self.who, role, what)

    def token(self, **about: str) -> str:
        """A token for a form of this page."""
        return self.tokens.make(self.who.name, about)

    def page(
        self, template: str, here: str, status: int = 200, looks: bool = True, **values: Any
    ) -> Answer:
        """A page of a template. `here`: the page of the navigation that it belongs to; `looks`:
        whether it may look again by itself, which one with a form to fill in must not."""
        done = self._done()
        html = render(
            template,
            self.asked,
            status=status,
            who=self.who,
            here=here,
            now=self.now,
            nav=nav(self.survey()),
            name=self._name,
            address=self._address,
            done=done,
            live=looks and not (self.unhidden or self.peeks) and self._live(),
            may=self.may,
            token=self.token,
            unhidden=self.unhidden,
            inspected=self.broker.features.inspection,
            **values,
        )
        return page_answer(html, status, *self._cookies())

    def _done(self) -> Done | None:
        """What the form did that led here."""
        name = self.asked.one("done")
        return self.tokens.done(name) if name else None

    def _live(self) -> bool:
        said = self.asked.one("live") or self.asked.cookie(LIVE)
        return said != "off"

    def _cookies(self) -> tuple[tuple[str, str], ...]:
        said = self.asked.one("live")
        if said not in ("on", "off"):
            return ()
        where = self.asked.link("") or "/"
        return (("set-cookie", f"{LIVE}={said}; Path={where}; SameSite=Strict; HttpOnly"),)


def render(template: str, asked: Asked, **values: Any) -> str:
    """The text of a page, with links below the prefix of this request."""
    return (
        templates()
        .get_template(template)
        .render(
            asked=asked,
            link=asked.link,
            again=asked.again,
            css=asked.link("/taskflow.css", v=stamp("taskflow.css")),
            js=asked.link("/live.js", v=stamp("live.js")),
            **values,
        )
    )


def nav(survey: Survey | None) -> list[tuple[str, str, int, bool, str]]:
    """The pages: address, word, a number, whether it is a bad one, and what the number counts."""
    if survey is None:
        queues = letters = failed = late = planned = workers = 0
    else:
        queues, letters, failed = len(survey.queues), survey.letters, survey.failed_runs()
        late = sum(map(survey.is_late, survey.schedules))
        planned, workers = len(survey.schedules), len(survey.workers) - len(survey.lost)
    return [
        ("/", "Overview", 0, False, ""),
        ("/queues", "Queues", queues, False, ""),
        ("/dead", "Dead letters", letters, True, ""),
        ("/workflows", "Workflows", failed, True, "failed"),
        ("/schedules", "Schedules", late or planned, late > 0, "late" if late else ""),
        ("/workers", "Workers", workers, False, ""),
        ("/record", "Record", 0, False, ""),
    ]
