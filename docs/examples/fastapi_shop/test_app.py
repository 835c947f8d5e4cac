"""Tests of the API, by `pytest`."""

import pytest
from app import app
from fastapi.testclient import TestClient

from taskflow.testing import drain


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setenv("TASKFLOW_BROKER", "memory://")
    with TestClient(app) as client:
        drain(app.state.broker)  # as a worker does at its start, it declares the queues
        yield client


def test_a_report_is_made_after_the_request(client):
    wanted = {"title": "May", "lines": [{"name": "tea", "cents": 350}]}
    ordered = client.post("/reports", json=wanted)
    assert ordered.status_code == 202
    address = f"/reports/{ordered.json()['id']}"
    assert client.get(address).status_code == 202

    drain(app.state.broker)
    assert client.get(address).json() == {"state": "done", "text": "May\ntea: 350"}


def test_what_is_no_report_is_not_found(client):
    assert client.get("/reports/nosuch").status_code == 404


def test_why_a_report_could_not_be_made(client):
    id = client.post("/reports", json={"title": "May", "lines": []}).json()["id"]
    drain(app.state.broker, raise_errors=False)
    failed = client.get(f"/reports/{id}")
    assert failed.status_code == 500
    assert failed.json() == {"detail": "a report has one line at least"}
