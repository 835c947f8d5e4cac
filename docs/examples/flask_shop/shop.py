"""The application: one request sends a task, another asks what became of it."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, request
from tasks import make_thumbnail

from taskflow import Result


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """An application with this configuration. The broker is no part of it: `delay` and `Result` use
    that of the process."""
    app = Flask(__name__)
    app.config["PICTURES"] = "https://pictures.example"
    app.config.update(config or {})

    @app.post("/thumbnails")
    def order_thumbnail() -> tuple[dict[str, str], int]:
        result = make_thumbnail.delay(request.json["picture"])
        return {"id": result.id}, 202

    @app.get("/thumbnails/<id>")
    def show_thumbnail(id: str) -> tuple[dict[str, Any], int]:
        result: Result[str] = Result(id)
        state = result.state
        if state == "unknown":
            return {"error": f"there is no thumbnail {id}"}, 404
        if state == "done":
            return {"state": state, "address": result.get(0)}, 200
        return {"state": state}, 202

    return app
