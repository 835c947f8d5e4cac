"""Tests of the application, by `pytest`. `taskflow_broker` comes with taskflow."""

import pytest
from shop import create_app


@pytest.fixture
def app():
    return create_app({"TESTING": True, "PICTURES": "https://test.example"})


@pytest.fixture
def client(app, taskflow_broker, taskflow_drain):
    taskflow_drain()  # as a worker does at its start, it declares the queues
    return app.test_client()


def test_a_thumbnail_is_made_after_the_request(app, client, taskflow_drain):
    ordered = client.post("/thumbnails", json={"picture": "cat.png"})
    assert ordered.status_code == 202
    address = f"/thumbnails/{ordered.json['id']}"
    assert client.get(address).json == {"state": "waiting"}

    with app.app_context():
        taskflow_drain()
    assert client.get(address).json == {
        "state": "done",
        "address": "https://test.example/100/cat.png",
    }


def test_what_is_no_thumbnail_is_not_found(client):
    assert client.get("/thumbnails/nosuch").status_code == 404
