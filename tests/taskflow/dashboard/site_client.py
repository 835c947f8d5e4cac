"""A browser without a browser: asks a site of the dashboard, follows forms by their tokens."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urlencode

from taskflow.broker import Broker
from taskflow.dashboard.answer import Answer
from taskflow.dashboard.asked import FORM, Asked
from taskflow.dashboard.site import Site
from taskflow.dashboard.visitor_rights import ALL, Role, Who
from taskflow.registry import Registry


@dataclass
class Client:
    """Asks as `who`, who has `roles`; everybody else's Client shares the site."""

    broker: Broker
    roles: frozenset[Role] = ALL
    who: str = "operator"
    hidden: Iterable[str] = ()
    registry: Registry = field(default_factory=Registry)
    site: Site = field(init=False)

    def __post_init__(self) -> None:
        self.site = Site(
            self.broker,
            roles=lambda _: Who(self.who, self.roles),
            hidden=self.hidden,
            name="test",
            registry=self.registry,
        )

    def get(self, path: str, **query: object) -> Answer:
        """The answer to a GET."""
        if not query:
            path, _, text = path.partition("?")
        else:
            text = urlencode(query)
        return self.site.answer(Asked(method="GET", path=path, query=text))

    def html(self, path: str, **query: object) -> str:
        """A page that is there."""
        answer = self.get(path, **query)
        assert answer.status == 200, answer.body.decode()
        return answer.body.decode()

    def text(self, path: str, **query: object) -> str:
        """The words of a page that is there."""
        return words(self.html(path, **query))

    def post(self, path: str, fields: dict[str, object], **headers: str) -> Answer:
        """The answer to a posted form."""
        return self.site.answer(
            Asked(
                method="POST",
                path=path,
                headers={
                    "content-type": FORM,
                    "host": "localhost",
                    **{name.replace("_", "-"): value for name, value in headers.items()},
                },
                body=urlencode(fields, doseq=True).encode(),
                peer="127.0.0.1",
            )
        )

    def press(self, page: str, do: str, **fields: object) -> Answer:
        """Press a button of a page: its form is posted with the fields that are hidden in it."""
        return self.post("/act", {**hidden_fields(self.html(page), do), "do": do, **fields})

    def confirm(self, answer: Answer, **fields: object) -> Answer:
        """Send a confirm page's form."""
        assert answer.status == 200, words(answer.body.decode())
        return self.post("/act", {**hidden_fields(answer.body.decode()), **fields})

    def follow(self, answer: Answer) -> str:
        """The words of the page that a form leads to."""
        assert answer.status == 303, words(answer.body.decode())
        return self.text(dict(answer.headers)["location"])


def words(html: str) -> str:
    """A page's words without its elements."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def hidden_fields(html: str, do: str = "") -> dict[str, object]:
    """The hidden fields of the form that has a button of this name, or of the only one."""
    forms = re.findall(r'<form[^>]*method="post".*?</form>', html, re.S)
    form = next(one for one in forms if not do or f'value="{do}"' in one)
    found = {
        unescape(name): unescape(value)
        for name, value in re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form)
    }
    if ids := re.search(r'<textarea name="ids" hidden>\n(.*?)</textarea>', form, re.S):
        found["ids"] = unescape(ids[1])
    return dict(found)
