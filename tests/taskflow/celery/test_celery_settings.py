"""Settings by Celery's names: each is mapped, always so, or refused with a reason."""

import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taskflow import Registry
from taskflow.celery import Celery, crontab, current_app, shared_task
from taskflow.celery.celery_settings import SETTINGS
from taskflow.celery.periodic_task import PeriodicTask
from taskflow.config import address_of
from taskflow.errors import ConfigError, NotPorted
from taskflow.tasks.call_options import MAX_KEEP
from taskflow.tasks.task_entry import TaskEntry

THEIRS = (Path(__file__).parent / "celery_settings.txt").read_text().splitlines()
ALL = THEIRS[1:]
SERIALIZERS = {"task_serializer", "result_serializer", "accept_content", "result_accept_content"}


def app_of(registry: Registry, **settings: Any) -> Celery:
    """An app with these settings."""
    return Celery("proj", config_source=settings, registry=registry)


def test_every_setting_of_celery_has_its_place() -> None:
    assert "Celery 5.7.0" in THEIRS[0]
    assert len(ALL) == len(set(ALL)) == 207
    assert sorted(SETTINGS) == ALL
    assert all(len(SETTINGS[name].means) > 10 for name in ALL)


@pytest.mark.parametrize("name", ALL)
def test_each_is_mapped_or_always_so_or_refused(name: str, taskflow_registry: Registry) -> None:
    app = app_of(taskflow_registry)
    setting = SETTINGS[name]
    match setting.kind:
        case "mapped":
            app.conf[name] = app.conf[name]
        case "always":
            for value in setting.allowed or (1, "text", None):
                app.conf[name] = value
            if setting.allowed:
                with pytest.raises(NotPorted, match=re.escape(setting.means)):
                    app.conf[name] = "pickle" if name in SERIALIZERS else not setting.allowed[0]
        case "refused":
            app.conf[name] = None
            with pytest.raises(NotPorted, match=re.escape(setting.means)):
                app.conf[name] = 1


def test_attributes_items_and_update(taskflow_registry: Registry) -> None:
    conf = app_of(taskflow_registry).conf
    conf.timezone = "Europe/Berlin"
    conf["result_expires"] = 60
    conf.update({"task_serializer": "json"}, accept_content=["json"], task_acks_late=True)
    assert (conf.timezone, conf["timezone"], conf.get("timezone")) == ("Europe/Berlin",) * 3
    assert (conf.result_expires, conf.get("broker_url", "none")) == (60, "none")
    assert (conf.task_default_queue, conf.get("nosuch")) == ("celery", None)
    assert "task_routes" in conf
    assert {"timezone", "task_acks_late"} <= set(conf)


@pytest.mark.parametrize("name", ["task_serialiser", "CELERY_TIMEZONE", "x"])
def test_a_name_that_nobody_knows(name: str, taskflow_registry: Registry) -> None:
    app = app_of(taskflow_registry)
    with pytest.raises(ConfigError, match=f"no setting '{name}'"):
        app.conf[name] = 1
    with pytest.raises(ConfigError, match=f"no setting '{name}'"):
        getattr(app.conf, name)


def test_from_a_module_a_class_and_a_namespace(
    taskflow_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "celeryconfig.py").write_text(
        "import os\nfrom datetime import timedelta\n"
        "result_expires = timedelta(hours=2)\nsome_helper = 3\ntask_default_queue = 'q'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    app = app_of(taskflow_registry)
    app.config_from_object("celeryconfig")
    assert (app.conf.result_expires.total_seconds(), app.conf.task_default_queue) == (7200, "q")

    class Config:
        """As the application guide of many projects has it."""

        timezone = "Asia/Tokyo"

    app.config_from_object(Config)
    assert app.conf.timezone == "Asia/Tokyo"
    django = types.SimpleNamespace(CELERY_TASK_TIME_LIMIT=5, DEBUG=True, SECRET_KEY="no")
    app.config_from_object(django, namespace="CELERY")
    assert app.conf.task_time_limit == 5
    with pytest.raises(ConfigError, match="task_tyme_limit"):
        app.config_from_object(types.SimpleNamespace(task_tyme_limit=5))
    app.config_from_object(types.SimpleNamespace(redis_url="redis://cache", database_name="shop"))
    with pytest.raises(NotPorted, match="redis_host: results lie beside the messages"):
        app.config_from_object(types.SimpleNamespace(redis_host="cache"))


def test_what_tasks_read_is_set_before_them(taskflow_registry: Registry) -> None:
    app = app_of(taskflow_registry, task_soft_time_limit=7, task_default_rate_limit="2/s")
    app.conf.task_annotations = {"*": {"max_retries": 9}, "t": {"rate_limit": "5/s"}}
    task = app.task(name="t")(lambda: None)
    other = app.task(name="other")(lambda: None)
    entry, second = taskflow_registry.on("celery")
    assert (task.max_retries, other.max_retries) == (9, 9)
    assert (entry.timeout, entry.rate, second.rate) == (7, 5.0, 2.0)
    app.conf.task_soft_time_limit = 7
    app.conf.timezone = "Asia/Tokyo"
    with pytest.raises(ConfigError, match="before the first task"):
        app.conf.task_default_queue = "other"


@pytest.mark.parametrize(
    ("settings", "keep"),
    [
        ({}, 0.0),
        ({"result_backend": "taskflow://"}, 86400.0),
        ({"result_backend": "sqlite:///b.db", "result_expires": 60}, 60.0),
        ({"result_backend": "taskflow", "result_expires": None}, MAX_KEEP),
        ({"result_backend": "disabled://"}, 0.0),
        ({"result_backend": "taskflow", "task_ignore_result": True}, 0.0),
    ],
)
def test_how_long_results_are_kept(
    settings: dict[str, Any], keep: float, taskflow_registry: Registry
) -> None:
    app = app_of(taskflow_registry, result_failure_expires=9, **settings)
    task = app.task(name="t")(lambda: None)
    (entry,) = taskflow_registry.on("celery")
    assert isinstance(entry, TaskEntry)
    assert (entry.keep, entry.keep_failed) == (keep, 9)
    assert task.native.target.keep == keep


# ---- the app ------------------------------------------------------------------------------------
def test_the_broker_of_an_app(taskflow_registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TASKFLOW_BROKER", raising=False)
    monkeypatch.chdir("/")
    Celery("proj", broker="sqlite:///proj.db", registry=taskflow_registry)
    assert address_of() == "sqlite:///proj.db"
    Celery("proj", broker="sqlite:///proj.db", registry=taskflow_registry)
    with pytest.raises(ConfigError, match="a process has one broker"):
        Celery("other", broker="sqlite:///other.db", registry=taskflow_registry)
    monkeypatch.setenv("TASKFLOW_BROKER", "memory://")
    assert address_of() == "memory://"


def test_modules_that_a_worker_imports(
    taskflow_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("shop_one", "shop_two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "shop_one" / "tasks.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    app = Celery("proj", include=["proj.a", "proj.b"], registry=taskflow_registry)
    app.autodiscover_tasks(["shop_one", "shop_two"])
    app.autodiscover_tasks(lambda: ["shop_one"])
    assert taskflow_registry.modules == ["proj.a", "proj.b", "shop_one.tasks"]


def test_tasks_that_were_shared_too_early(taskflow_registry: Registry) -> None:
    before = current_app()
    before.registry = taskflow_registry
    shared_task(name="early")(lambda: None)
    with pytest.raises(ConfigError, match=r"early was shared before the app 'proj'"):
        Celery("proj", registry=taskflow_registry)


# ---- schedules ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "expression"),
    [
        ({}, "* * * * *"),
        ({"minute": 0, "hour": 0}, "0 0 * * *"),
        ({"minute": "*/15"}, "*/15 * * * *"),
        ({"minute": 0, "hour": "*/3,8-17"}, "0 */3,8-17 * * *"),
        ({"hour": 7, "minute": 30, "day_of_week": 1}, "30 7 * * 1"),
        ({"hour": [5, 3], "day_of_week": "thu, fri", "minute": 0}, "0 3,5 * * thu,fri"),
        ({"day_of_month": "1-7,15", "month_of_year": 5, "minute": 0}, "0 * 1-7,15 5 *"),
    ],
)
def test_crontab_is_a_cron_expression(given: dict[str, Any], expression: str) -> None:
    made = crontab(**given)
    assert made.expression == expression
    assert crontab.from_string(expression) == made
    assert len({made, crontab(**given)}) == 1
    assert expression in repr(made)


@pytest.mark.parametrize("given", [{"minute": True}, {"hour": 1.5}, {"hour": ""}, {"hour": []}])
def test_no_crontab(given: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=next(iter(given))):
        crontab(**given)
    with pytest.raises(ValueError, match="five fields"):
        crontab.from_string("* * *")


def test_schedules_are_kept(app: Celery) -> None:
    task = app.task(name="proj.say")(lambda text: text)
    connect: Callable[..., Any] = app.on_after_configure.connect

    @connect
    def set_up(sender: Celery, **_: Any) -> None:
        sender.add_periodic_task(10.0, task.s("hello"), name="every ten")
        sender.add_periodic_task(crontab(hour=7, minute=30), task.s("good morning"), expires=60)

    app.conf.beat_schedule = {
        "half a minute": {"task": "proj.say", "schedule": 30.0, "args": ("hi",)},
        "nightly": {
            "task": "proj.say",
            "schedule": crontab(hour=2, minute=0),
            "kwargs": {"text": "late"},
            "options": {"queue": "celery"},
        },
    }
    for _ in range(2):
        assert app.periodic_tasks() == [
            PeriodicTask(name="half a minute", task="proj.say", every=30.0, args=("hi",)),
            PeriodicTask(
                name="nightly",
                task="proj.say",
                cron="0 2 * * *",
                kwargs={"text": "late"},
                options={"queue": "celery"},
            ),
            PeriodicTask(name="every ten", task="proj.say", every=10.0, args=("hello",)),
            PeriodicTask(
                name="proj.say('good morning')",
                task="proj.say",
                cron="30 7 * * *",
                args=("good morning",),
                options={"expires": 60},
            ),
        ]


@pytest.mark.parametrize(
    "entry", [{}, {"task": "t"}, {"task": "t", "schedule": 0}, {"task": "t", "schedule": 1, "x": 1}]
)
def test_no_schedule(entry: dict[str, Any], app: Celery) -> None:
    with pytest.raises(ConfigError):
        app.conf.beat_schedule = {"wrong": entry}
