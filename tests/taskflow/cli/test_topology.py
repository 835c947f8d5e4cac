"""`taskflow topology`."""

from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from taskflow import Broker, QueueSettings

Run = Callable[..., Result]

TREE = """\
order.cancelled
└── mails  →  shop.send
    └── mails-dlq  after 5 retries (crashes: 6 receives)
order.created
├── audit  →  shop.record
│   └── audit-dlq  after 0 retries (crashes: 1 receives)
└── mails  →  shop.send
    └── mails-dlq  after 5 retries (crashes: 6 receives)
"""


def test_it_shows_what_subscribes_to_what_and_touches_no_broker(run: Run, folder: Path) -> None:
    assert run("topology", "-m", "shop").output == TREE
    assert not (folder / "taskflow.db").exists()


def test_without_modules_it_says_so(run: Run) -> None:
    assert run("topology").output == "no subscriptions were loaded\n"


def test_apply_declares_what_is_missing(run: Run, broker: Broker) -> None:
    result = run("topology", "apply", "-m", "shop")
    assert (result.exit_code, result.output) == (0, TREE)
    assert {"audit", "audit-dlq", "mails", "mails-dlq"} <= set(broker.queues())


def test_apply_takes_the_modules_before_it_too(run: Run, broker: Broker) -> None:
    assert run("topology", "-m", "shop", "apply").output == TREE
    assert "audit" in broker.queues()


def test_apply_changes_a_queue_that_disagrees(run: Run, broker: Broker) -> None:
    broker.create_queue("audit", QueueSettings(visibility_timeout=5))
    assert run("topology", "apply", "-m", "shop").exit_code == 0
    assert broker.settings("audit").visibility_timeout == 30
