"""Facts that are sound, and for each rule some that break it, and some that nearly do."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from taskflow import Registry, RetryPolicy
from taskflow.broker.settings import (
    MoveTask,
    QueueCounts,
    QueueSettings,
    TopicSubscription,
    WorkerReport,
)
from taskflow.doctor.facts import Facts, FileFacts, QueueFacts
from taskflow.limits import MAX_RETENTION
from taskflow.scheduling.schedule import Schedule
from taskflow.tasks.decorator import task

NOW = 1_000_000.0
FILE = FileFacts(path="b.db", exists=True, filesystem="ext4", mode=0o660)
NONE = QueueCounts(0, 0, 0, 0.0, 1, 0)
WORK = QueueSettings(dead_letter_queue="work-dlq", max_receives=4)
LETTERS = QueueSettings(retention=MAX_RETENTION)
WORKER = WorkerReport(
    "w1", "host", 7, ("work",), NOW - 900, 0, 8, {}, [], NOW - 3, "", "0.1.0", NOW - 3
)
SCHEDULE = Schedule(name="nightly", state="active", topic="made", due_at=NOW + 5)
SUBSCRIPTION = TopicSubscription("s1", "made", "sqs", "work")
MOVE = MoveTask("m1", "work-dlq", None, None, "FAILED", 3, 9, NOW - 60, "no queue 'work'")


def handle(event: object) -> None: ...


def known(settings: QueueSettings = WORK, age: float = 60.0, **counts: Any) -> QueueFacts:
    """A queue, with changes to its counts."""
    return QueueFacts(settings, replace(NONE, **counts), NOW - age)


QUEUES = {"work": known(), "work-dlq": known(LETTERS)}


def registry(queue: str = "work", topic: str = "made", **options: Any) -> Registry:
    """One handler, of the topic on the queue."""
    found = Registry()
    found.subscribe(topic, queue=queue, **options)(handle)
    return found


def facts(**changes: Any) -> Facts:
    """Sound ones, with changes."""
    sound = Facts(
        registry=registry(),
        scheme="sqlite",
        now=NOW,
        own_now=NOW,
        queues=QUEUES,
        topics=["made"],
        subscriptions=[SUBSCRIPTION],
        workers=[WORKER],
        schedules=[SCHEDULE],
        files=[FILE],
    )
    return msgspec.structs.replace(sound, **changes)


def code(**options: Any) -> Facts:
    """Sound facts of another handler, without a broker."""
    return facts(registry=registry(**options), looked=False, queues={}, schedules=[])


def fifo(**options: Any) -> Facts:
    """As `code`, on a FIFO queue."""
    return code(queue="work.fifo", topic="made.fifo", **options)


def queues(**changes: QueueFacts) -> Facts:
    """Sound facts with other queues; `dlq` is the dead-letter queue."""
    found = {"work-dlq" if name == "dlq" else name: one for name, one in changes.items()}
    return facts(queues={**QUEUES, **found})


def aws(options: dict[str, str] | None = None, **changes: Any) -> Facts:
    """Sound facts of a broker on AWS."""
    given = {"idempotency": "dynamodb://t", "state": "dynamodb://s"} if options is None else options
    return facts(scheme="aws", options=given, files=[], **changes)


def file(**changes: Any) -> Facts:
    """Sound facts with another file."""
    return facts(files=[msgspec.structs.replace(FILE, **changes)])


def worker(**changes: Any) -> Facts:
    """Sound facts with a second worker."""
    return facts(workers=[WORKER, replace(WORKER, id="w2", **changes)])


def schedule(**changes: Any) -> Facts:
    """Sound facts with another schedule."""
    return facts(schedules=[msgspec.structs.replace(SCHEDULE, **changes)])


def subscription(**changes: Any) -> Facts:
    """Sound facts with a second subscription."""
    return facts(
        topics=["made", "sold"],
        subscriptions=[SUBSCRIPTION, replace(SUBSCRIPTION, id="s2", topic="sold", **changes)],
    )


def task_on(queue: str, **options: Any) -> Facts:
    """Sound facts of a task, without a broker."""
    found = Registry()
    task(queue=queue, registry=found, name="shop.add", **options)(handle)
    return facts(registry=found, looked=False, queues={}, schedules=[])


def with_task() -> Registry:
    """The handler, and a task that calls are made of."""
    found = registry()
    task(queue="work", registry=found, name="shop.add")(handle)
    return found


class Case(NamedTuple):
    """What breaks a rule, a value that its finding tells, and what does not."""

    broken: Callable[[], Facts]
    value: str
    sound: Callable[[], Facts]


SLOW = RetryPolicy(retries=10, backoff=40_000, factor=1, maximum=40_000)
OTHERS_QUEUE = {**QUEUES, "theirs": known(QueueSettings())}
CASES = {
    "TF101": Case(
        lambda: code(visibility_timeout=9, timeout=60),
        "9 s",
        lambda: code(visibility_timeout=9, timeout=9),
    ),
    "TF102": Case(
        lambda: code(visibility_timeout=1200, timeout=60),
        "20 min",
        lambda: code(visibility_timeout=600, timeout=60),
    ),
    "TF103": Case(
        lambda: aws(registry=registry(timeout=50_000)),
        "13 h 53 min",
        lambda: aws(registry=registry(timeout=43_200)),
    ),
    "TF104": Case(lambda: code(timeout=None), "None", lambda: code(timeout=86_400)),
    "TF111": Case(
        lambda: code(policy=SLOW), "4 d 15 h", lambda: code(policy=replace(SLOW, retries=8))
    ),
    "TF112": Case(
        lambda: code(retries=5, timeout=60_000),
        "16 h 40 min",
        lambda: code(retries=4, timeout=60_000),
    ),
    "TF113": Case(
        lambda: queues(dlq=known(QueueSettings())),
        "4 d",
        lambda: queues(dlq=known(QueueSettings(retention=345_601))),
    ),
    "TF114": Case(
        lambda: queues(work=known(replace(WORK, max_receives=3))), "3 receives", lambda: queues()
    ),
    "TF121": Case(
        lambda: fifo(retries=9, window=300), "8 min 31 s", lambda: fifo(retries=9, window=600)
    ),
    "TF122": Case(lambda: fifo(retries=10), "17 min 3 s", lambda: fifo(retries=9)),
    "TF131": Case(
        lambda: task_on("work.fifo", debounce="5s", key="event"),
        "5 s",
        lambda: task_on("work", debounce="5s", key="event"),
    ),
    "TF132": Case(
        lambda: aws(
            registry=registry(
                "work.fifo",
                "made.fifo",
                policy=RetryPolicy(retries=1, backoff=50_000, maximum=50_000),
            )
        ),
        "13 h 53 min",
        lambda: aws(
            registry=registry(policy=RetryPolicy(retries=1, backoff=50_000, maximum=50_000))
        ),
    ),
    "TF133": Case(
        lambda: queues(work=known(replace(WORK, delay=901))),
        "15 min 1 s",
        lambda: queues(work=known(replace(WORK, delay=900))),
    ),
    "TF201": Case(lambda: facts(queues={"work": known()}), "1 others", lambda: facts()),
    "TF202": Case(lambda: facts(topics=[]), "cases.handle", lambda: facts()),
    "TF203": Case(lambda: facts(subscriptions=[]), "cases.handle", lambda: facts()),
    "TF204": Case(
        lambda: facts(differs=["queue work: max_receives is 4, declared as 5"]),
        "max_receives is 4, declared as 5",
        lambda: facts(),
    ),
    "TF205": Case(
        lambda: subscription(),
        "sold on work",
        lambda: msgspec.structs.replace(subscription(endpoint="theirs"), queues=OTHERS_QUEUE),
    ),
    "TF206": Case(
        lambda: subscription(endpoint="theirs"),
        "no queue theirs",
        lambda: msgspec.structs.replace(subscription(endpoint="theirs"), queues=OTHERS_QUEUE),
    ),
    "TF207": Case(lambda: facts(queues={"work": known()}), "work-dlq", lambda: facts()),
    "TF208": Case(
        lambda: queues(work=known(QueueSettings())),
        "1 handlers",
        lambda: queues(theirs=known(QueueSettings())),
    ),
    "TF209": Case(
        lambda: subscription(protocol="https", endpoint="https://a.test/", pending=True),
        "not answered",
        lambda: subscription(protocol="https", endpoint="https://a.test/"),
    ),
    "TF210": Case(
        lambda: schedule(topic="lost"),
        "lost",
        lambda: facts(
            registry=with_task(),
            schedules=[Schedule(name="n", state="active", task="shop.add", queue="work")],
        ),
    ),
    "TF211": Case(
        lambda: queues(work=known(age=90_000, handled=0)),
        "1 d 1 h",
        lambda: queues(work=known(age=80_000, handled=0)),
    ),
    "TF301": Case(
        lambda: msgspec.structs.replace(
            queues(work=known(visible=5, due_age_seconds=70.0)), workers=[]
        ),
        "5 messages wait, the oldest for 1 min 10 s",
        lambda: queues(work=known(visible=5, due_age_seconds=70.0)),
    ),
    "TF302": Case(
        lambda: queues(work=known(visible=5, paused=True)),
        "5 messages",
        lambda: queues(work=known(paused=True)),
    ),
    "TF303": Case(
        lambda: queues(work=known(in_flight=1, oldest_age_seconds=300_000.0)),
        "3 d 11 h",
        lambda: queues(work=known(in_flight=1, oldest_age_seconds=270_000.0)),
    ),
    "TF304": Case(lambda: queues(work=known(expired=2)), "2 messages", lambda: queues()),
    "TF305": Case(
        lambda: queues(dlq=known(LETTERS, visible=2, oldest_age_seconds=86_400.0)),
        "goes in 13 d",
        lambda: queues(work=known(visible=2)),
    ),
    "TF306": Case(
        lambda: queues(work=known(in_flight=110_000)),
        "110000 in flight of 120000",
        lambda: queues(work=known(in_flight=100_000)),
    ),
    "TF307": Case(
        lambda: facts(moves=[MOVE]),
        "3 of 9 were moved: no queue 'work'",
        lambda: facts(moves=[replace(MOVE, status="COMPLETED")]),
    ),
    "TF311": Case(
        lambda: worker(seen_at=NOW - 31, said_at=NOW - 31), "31 s", lambda: worker(host="other")
    ),
    "TF312": Case(
        lambda: worker(version="0.2.0"),
        "1 of 0.1.0, 1 of 0.2.0",
        lambda: worker(version="0.2.0", seen_at=NOW - 31),
    ),
    "TF313": Case(lambda: worker(said_at=NOW + 4), "7 s ahead of", lambda: worker(said_at=NOW - 4)),
    "TF314": Case(lambda: facts(own_now=NOW - 3), "3 s behind", lambda: facts(own_now=NOW - 1)),
    "TF321": Case(
        lambda: schedule(due_at=NOW - 61), "1 min 1 s ago", lambda: schedule(due_at=NOW - 59)
    ),
    "TF322": Case(lambda: schedule(failed=2), "2 times", lambda: schedule(missed=2)),
    "TF323": Case(
        lambda: schedule(missing_since=NOW - 3600, app="shop"), "shop has it no more for 1 h", facts
    ),
    "TF324": Case(
        lambda: facts(late_call=NOW - 90), "1 min 30 s", lambda: facts(late_call=NOW + 90)
    ),
    "TF401": Case(
        lambda: facts(broken="b.db does not exist", looked=False),
        "b.db does not exist",
        lambda: facts(looked=False),
    ),
    "TF402": Case(
        lambda: file(filesystem="nfs4"), "nfs4", lambda: file(filesystem="fuse.fuse-overlayfs")
    ),
    "TF403": Case(lambda: file(mode=0o644), "0644", lambda: file(mode=0o660)),
    "TF404": Case(
        lambda: file(folder_writable=False), "folder", lambda: file(exists=False, mode=None)
    ),
    "TF405": Case(lambda: file(journal_bytes=512), "512 bytes", lambda: file(journal_bytes=0)),
    "TF406": Case(lambda: file(wal_bytes=200 << 20), "200 MiB", lambda: file(wal_bytes=100 << 20)),
    "TF407": Case(
        lambda: file(exists=False, mode=None, wal_bytes=4152),
        "4152 bytes",
        lambda: file(wal_bytes=4152),
    ),
    "TF408": Case(lambda: file(disk_free=200 << 20), "200 MiB", lambda: file(disk_free=20 << 30)),
    "TF409": Case(lambda: facts(scheme="memory", files=[]), "memory://", facts),
    "TF410": Case(
        lambda: facts(options={"durability": "process"}),
        "durability=process",
        lambda: facts(options={"durability": "power"}),
    ),
    "TF411": Case(
        lambda: facts(unread_variables=["TASKFLOW_BROKERS"]), "TASKFLOW_BROKER is one", facts
    ),
    "TF501": Case(
        lambda: aws(denied={"arn:aws:sqs:::work": ["sqs:DeleteMessage"]}),
        "sqs:DeleteMessage",
        lambda: aws(denied={}),
    ),
    "TF502": Case(
        lambda: aws(denied=None, unsimulated="AWS does not allow iam:Simulate"),
        "does not allow",
        lambda: aws(),
    ),
    "TF503": Case(
        lambda: aws(untold=["AWS does not allow sns:ListTopics"]), "sns:ListTopics", lambda: aws()
    ),
    "TF504": Case(
        lambda: aws({}), "1 handlers", lambda: aws({}, registry=registry(idempotent=False))
    ),
    "TF505": Case(
        lambda: aws({"idempotency": "dynamodb://t"}, registry=with_result()),
        "1 tasks",
        lambda: aws(registry=with_result()),
    ),
}


def with_result() -> Registry:
    """A handler, and a task whose result is kept."""
    found = registry()
    task(queue="work", registry=found, name="shop.add", result="1h")(handle)
    return found
