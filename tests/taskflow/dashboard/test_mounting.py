"""The dashboard inside applications: Flask, Django, Falcon, FastAPI, and before any of them."""

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import falcon
import flask
import pytest
from falcon.testing import TestClient as FalconClient
from fastapi import FastAPI
from fastapi.testclient import TestClient as FastApiClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client as WsgiClient

from taskflow.broker import Broker
from taskflow.dashboard import asgi, wsgi
from taskflow.dashboard.asked import Asked
from taskflow.dashboard.keyed import roles_of
from taskflow.dashboard.site import Site
from taskflow.dashboard.visitor_rights import ALL, Who
from taskflow.message import Message
from taskflow.server.keys import Keys
from tests.taskflow.django_settings import configure


def staff(asked: Asked) -> Who | None:
    """Who the application says it is."""
    user = asked.header("x-user")
    return Who(user, ALL) if user else None


HEAD = {"x-user": "operator"}


def check(get: Callable[[str, dict[str, str]], tuple[int, str]], prefix: str = "/ops") -> None:
    """The pages, their links and their files lie below the prefix, for whom the hook lets in."""
    status, html = get(f"{prefix}/queues?q=", HEAD)
    assert status == 200
    assert f'href="{prefix}/queues/work"' in html
    assert f'href="{prefix}/taskflow.css' in html
    assert 'href="/' not in html.replace(f'href="{prefix}/', "")
    assert get(f"{prefix}/queues/work", HEAD)[0] == 200
    assert get(f"{prefix}/taskflow.css", {})[0] == 200
    status, html = get(f"{prefix}/", {})
    assert status == 403
    assert "This dashboard is not open to you." in html


def test_flask(shop: Broker) -> None:
    app = flask.Flask("shop")
    app.add_url_rule("/", view_func=lambda: "the shop")
    app.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, {"/ops": wsgi(shop, roles=staff)}
    )
    client = app.test_client()

    def get(path: str, headers: dict[str, str]) -> tuple[int, str]:
        answer = client.get(path, headers=headers)
        return answer.status_code, answer.text

    check(get)
    assert get("/", {}) == (200, "the shop")


def test_falcon(shop: Broker) -> None:
    class Shop:
        def on_get(self, _: falcon.Request, response: falcon.Response) -> None:
            response.text = "the shop"

    app = falcon.App()
    app.add_route("/", Shop())
    client = FalconClient(wsgi(shop, prefix="/ops", around=app, roles=staff))

    def get(path: str, headers: dict[str, str]) -> tuple[int, str]:
        answer = client.simulate_get(path, headers=headers)
        return answer.status_code, answer.text

    check(get)
    assert get("/", {}) == (200, "the shop")


def test_fastapi(shop: Broker) -> None:
    app = FastAPI()
    app.mount("/ops", asgi(shop, roles=staff))

    @app.get("/")
    def home() -> str:
        return "the shop"

    client = FastApiClient(app)

    def get(path: str, headers: dict[str, str]) -> tuple[int, str]:
        answer = client.get(path, headers=headers)
        return answer.status_code, answer.text

    check(get)
    assert get("/", {}) == (200, '"the shop"')


def test_django(shop: Broker) -> None:
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.test import override_settings
    from django.urls import path

    configure()

    class Urls:
        urlpatterns = (path("", lambda _: HttpResponse("the shop")),)

    with override_settings(ROOT_URLCONF=Urls, ALLOWED_HOSTS=["*"], MIDDLEWARE=[]):
        client = WsgiClient(wsgi(shop, prefix="/ops", around=WSGIHandler(), roles=staff))

        def get(path: str, headers: dict[str, str]) -> tuple[int, str]:
            answer = client.get(path, headers=headers)
            return answer.status_code, answer.text

        check(get)
        assert get("/", {}) == (200, "the shop")


def test_asgi_around_an_application_and_its_lifespan(shop: Broker) -> None:
    app = FastAPI()
    with FastApiClient(asgi(shop, prefix="/ops", around=app, roles=staff)) as client:
        assert client.get("/ops/", headers=HEAD).status_code == 200
        assert client.get("/opsx").status_code == 404
        assert client.get("/openapi.json").status_code == 200
    alone = FastApiClient(asgi(shop, roles=staff))
    with alone:
        assert alone.head("/", headers=HEAD).content == b""
        assert alone.post("/act", content=b"x" * 5_000_000, headers=HEAD).status_code == 413


def test_nobody_reads_the_body_of_a_stranger(shop: Broker) -> None:
    class Untouched(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise AssertionError("it was read")

    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    form = {"REQUEST_METHOD": "POST", "PATH_INFO": "/act", "CONTENT_LENGTH": "4000000"}
    environ |= {**form, "wsgi.input": Untouched()}
    said: list[str] = []
    assert b"".join(wsgi(shop, roles=staff)(environ, lambda line, _: said.append(line)))
    assert said == ["403 Forbidden"]
    with pytest.raises(AssertionError, match="it was read"):
        wsgi(shop, roles=staff)(environ | {"HTTP_X_USER": "operator"}, lambda *_: None)

    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("it was read")

    async def send(event: Any) -> None:
        sent.append(event)

    for length in ((b"content-length", b"4000000"), (b"transfer-encoding", b"chunked")):
        scope = {"type": "http", "method": "POST", "path": "/act", "headers": [length]}
        asyncio.run(asgi(shop, roles=staff)(scope, receive, send))
    assert [one["status"] for one in sent if "status" in one] == [403, 403]


def test_who_asks_who_somebody_is_may_fail_before_the_body_too(shop: Broker) -> None:
    def roles(asked: Asked) -> Who | None:
        raise LookupError("no session")

    client = WsgiClient(wsgi(shop, roles=roles))
    assert client.post("/act", data={"do": "x"}).status_code == 500


def test_who_somebody_is_is_asked_once_for_each_form(shop: Broker) -> None:
    asked_of: list[str] = []

    def roles(asked: Asked) -> Who | None:
        asked_of.append(asked.path)
        return staff(asked)

    client = WsgiClient(wsgi(shop, roles=roles))
    by = {"x-user": "operator"}
    assert client.post("/act", data={"do": "x"}, headers=by).status_code == 403  # it has no token
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"do=x"}

    async def send(event: Any) -> None:
        sent.append(event)

    form = (b"content-type", b"application/x-www-form-urlencoded")
    headers = [form, (b"content-length", b"4"), (b"x-user", b"operator")]
    scope = {"type": "http", "method": "POST", "path": "/act", "headers": headers}
    asyncio.run(asgi(shop, roles=roles)(scope, receive, send))
    assert sent[0]["status"] == 403
    assert asked_of == ["/act", "/act"]


def test_from_the_first_key_on_each_request_needs_one(shop: Broker, tmp_path: Path) -> None:
    keys = Keys.load(tmp_path / "broker.db-keys.json")
    site = Site(shop, roles=roles_of(keys))
    asked = Asked(method="GET", path="/", headers={"host": "localhost"}, peer="127.0.0.1")
    assert site.answer(asked).status == 200
    keys.add("shop", 0.0)
    assert site.answer(asked).status == 401


@pytest.mark.parametrize(
    ("host", "peer", "headers", "status"),
    [
        ("localhost:8000", "127.0.0.1", {}, 200),
        ("[::1]:8000", "::1", {}, 200),
        ("127.0.0.1", "127.0.0.1", {}, 200),
        ("shop.example", "127.0.0.1", {}, 403),
        ("localhost", "10.0.0.7", {}, 403),
        ("localhost", "127.0.0.1", {"HTTP_X_FORWARDED_FOR": "10.0.0.7"}, 403),
        ("localhost", "", {}, 403),
    ],
)
def test_without_a_hook_who_sits_here_may_read(
    shop: Broker, host: str, peer: str, headers: dict[str, str], status: int
) -> None:
    shop.send("work", [Message("m1", '{"colour": "vermilion"}')])
    app = wsgi(shop)
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ |= {"PATH_INFO": "/queues/work", "HTTP_HOST": host, "REMOTE_ADDR": peer, **headers}
    said: list[str] = []
    body = b"".join(app(environ, lambda line, _: said.append(line)))
    assert said[0].startswith(str(status))
    assert b"vermilion" not in body
    assert b"Purge" not in body


def test_a_prefix_that_is_none(shop: Broker) -> None:
    for prefix in ("ops", "/a//b", "/a?b"):
        with pytest.raises(ValueError, match="is no path; example: /ops"):
            wsgi(shop, prefix=prefix)


def test_a_websocket_is_closed(shop: Broker) -> None:
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    asyncio.run(asgi(shop)({"type": "websocket"}, None, send))  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1000}]
