"""The applications of docs/guides/django.md, fastapi.md and flask.md.

The guides show what they are, their own tests pass, and a worker in a process of its own does what
a request has sent.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
FRAMEWORKS = ("django", "fastapi", "flask")
BLOCK = re.compile(r"^```(?:python|ini)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REQUESTS = {
    "django": """
import worker
from django.test import Client
client = Client()
def post(path, body):
    return client.post(path, body, content_type="application/json").json()
def get(path):
    return client.get(path).json()
""",
    "fastapi": """
from fastapi.testclient import TestClient
from app import app
client = TestClient(app)
client.__enter__()
def post(path, body):
    return client.post(path, json=body).json()
def get(path):
    return client.get(path).json()
""",
    "flask": """
from shop import create_app
client = create_app().test_client()
def post(path, body):
    return client.post(path, json=body).json
def get(path):
    return client.get(path).json
""",
}
"""A client of each application, in a process of its own; `post` and `get` answer the JSON."""


@pytest.fixture
def application(framework: str, tmp_path: Path) -> Path:
    """A copy of an application, alone in its folder."""
    folder = tmp_path / framework
    shutil.copytree(ROOT / f"docs/examples/{framework}_shop", folder)
    return folder


def run(folder: Path, *command: str) -> str:
    """Run a command in an application's folder; answers its standard output."""
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_guide_shows_what_is_in_its_application(framework: str) -> None:
    guide = (ROOT / f"docs/guides/{framework}.md").read_text()
    folder = ROOT / f"docs/examples/{framework}_shop"
    files = [path.read_text() for path in folder.rglob("*") if path.suffix in (".py", ".cfg")]
    blocks = BLOCK.findall(guide)
    assert len(blocks) >= 5
    assert [block for block in blocks if not any(block in text for text in files)] == []


@pytest.mark.parametrize(("framework", "tests"), [("fastapi", 3), ("flask", 2)])
def test_its_own_tests_pass(framework: str, tests: int, application: Path) -> None:
    said = run(application, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert re.search(rf"^{tests} passed", said, re.MULTILINE), said


@pytest.mark.parametrize("framework", ["django"])
def test_djangos_own_tests_pass(framework: str, application: Path) -> None:
    run(application, "manage.py", "test")
    run(application, "manage.py", "makemigrations", "--check")


@pytest.mark.parametrize(
    ("framework", "path", "body", "id", "looked", "answer"),
    [
        (
            "django",
            "/orders",
            {"email": "ada@example.org", "cents": 990},
            "run",
            "/runs/",
            {"run": "receipt-1", "state": "done", "value": "ada@example.org"},
        ),
        (
            "fastapi",
            "/reports",
            {"title": "May", "lines": [{"name": "tea", "cents": 350}]},
            "id",
            "/reports/",
            {"state": "done", "text": "May\ntea: 350"},
        ),
        (
            "flask",
            "/thumbnails",
            {"picture": "cat.png"},
            "id",
            "/thumbnails/",
            {"state": "done", "address": "https://pictures.example/100/cat.png"},
        ),
    ],
    ids=FRAMEWORKS,
)
def test_a_worker_does_what_a_request_has_sent(
    framework: str,
    path: str,
    body: dict[str, object],
    id: str,
    looked: str,
    answer: dict[str, object],
    application: Path,
) -> None:
    if framework == "django":
        run(application, "manage.py", "migrate")
    run(application, "-m", "taskflow", "topology", "apply")
    program = f"{REQUESTS[framework]}\nprint(post({path!r}, {body!r})[{id!r}])"
    sent = run(application, "-c", program).split()[-1]
    look = f"{REQUESTS[framework]}\nimport json\nprint(json.dumps(get({looked + sent!r})))"
    assert json.loads(run(application, "-c", look))["state"] == "waiting"
    said = run(application, "-m", "taskflow", "worker", "--burst")
    assert framework != "django" or "To: ada@example.org" in said
    assert json.loads(run(application, "-c", look)) == answer


def test_a_worker_runs_tasks_of_djangos_own_interface(tmp_path: Path) -> None:
    folder = tmp_path / "django"
    shutil.copytree(ROOT / "docs/examples/django_shop", folder)
    run(folder, "manage.py", "migrate")
    run(folder, "-m", "taskflow", "topology", "apply")
    program = """
import worker
from shop.models import Order
from shop.reminders import remind
order = Order.objects.create(email="ada@example.org", cents=990)
print(remind.enqueue(order.pk).id)
"""
    id = run(folder, "-c", program).split()[-1]
    look = f"""
import worker
from shop.reminders import remind
result = remind.get_result({id!r})
print(result.status, result.return_value if result.is_finished else None)
"""
    assert run(folder, "-c", look).split() == ["READY", "None"]
    run(folder, "-m", "taskflow", "worker", "--burst")
    assert run(folder, "-c", look).split() == ["SUCCESSFUL", "ada@example.org"]
