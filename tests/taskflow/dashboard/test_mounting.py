"""The dashboard inside applications: Flask, Django, Falcon, FastAPI, and before any of them."""

import asyncio
from collections.abc import Callable
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
from taskflow.dashboard.visitor_rights import ALL, Who
from taskflow.message import Message
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
