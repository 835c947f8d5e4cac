"""Every statement of the store finds its rows by the index that is meant for it, whatever the
server knows of the tables: a queue is empty one moment and full the next."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from taskflow.broker.change import Add, Change, Free, Put, Take
from taskflow.broker.message_query import MessageQuery
from taskflow.broker.record import RecordQuery
from taskflow.broker.settings import Finish, Holding, Limit, QueueSettings
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.config import open_broker
from taskflow.message import Message
from taskflow.stores import finder
from taskflow.stores.postgres import bookkeeping
from taskflow.stores.postgres.connecting import connect
from taskflow.stores.postgres.store import PostgresStore
from taskflow.stores.postgres.watermarks import Watermarks
from taskflow.testing import ManualClock
from tests.postgres_server import PostgresServer

SMALL = {
    *("declared", "queue", "topic", "subscription", "total", "tag", "identity", "worker"),
    *("cause", "cause_hour"),
    *("move_task", "bucket", "attempt", "number"),
}
BY_QUEUE_ALONE = ("SELECT EXISTS", "SELECT count(*)", "EXISTS (SELECT 1 FROM tf.message m WHERE")
"""What may look at an index by nothing but the queue: whether there is any row in a small one, and
a count that is made of few rows."""


def fill(broker: StoredBroker, clock: ManualClock, rounds: int) -> None:
    at = clock.now()
    for i in range(rounds):
        broker.publish("t", [Message(f"{at}-{i}", "x")])
        some = [Message(f"{at}-{i}-{level}", "x", priority=level) for level in ("low", "high")]
        broker.send("q", [*some, Message(f"g{at}-{i}", "x", group="g", slot="limit")])
        broker.publish(
            "f.fifo", [Message(f"{at}-{i}", "x", group=f"{i % 7}", deduplication_id=f"{at}{i}")]
        )


def tour(broker: StoredBroker, clock: ManualClock) -> None:
    """Every verb, of the store's too, as far as it matters how much there is."""
    at = clock.now()
    broker.survey()
    broker.survey(["q", "q2"])
    for queue in ("q", "q2", "w.fifo"):
        lent = broker.receive(queue, limit=10, holding=Holding(0, 0, {"limit": Limit(1, None)}))
        broker.claim(lent)
        broker.extend([(one, 40) for one in lent])
        broker.leases(lent)
        broker.change_visibility([(lent[0], 0)])
        broker.give_back([lent[1]])
        broker.delete([Finish(one, 100) for one in lent[2:4]])
        if queue != "q2":
            broker.dead_letter([(lent[4], "{}")])
        put = Put(
            kind="run",
            key=f"{queue}{at}",
            value="{}",
            parent="p",
            label="l",
            state="done",
            due_at=at,
            expires_at=at + 5,
        )
        change = Change(
            id=f"{queue}{at}",
            fence=lent[5],
            settlements=[Finish(lent[5], 10)],
            records=[put],
            counters=[Add(kind="run", key=put.key, by=1)],
            keys=[Take(key="k", holder="h", until=at + 1), Free(key="k", holder="h")],
        )
        assert broker.apply([change])[0].refused is None
        broker.counts(queue)
        broker.waiting(queue, 100)
        broker.next_due(queue)
        broker.peek(queue)
        broker.peek(queue, ids=["a"])
    for _ in range(2):
        broker.receive("w.fifo", attempt="a")
    for more in ({}, {"parent": "p"}, {"label": "l"}, {"states": ["done"]}):
        for order in ("newest", "oldest", "due"):
            query = RecordQuery(kind="run", order=order, limit=1, **more)
            page = broker.list_records(query)
            assert page.next
            after = RecordQuery(kind="run", order=order, limit=1, after=page.next, **more)
            broker.list_records(after)
    broker.list_records(RecordQuery(kind="run", order="due", due_by=at))
    broker.records("run", ["a", "b"])
    broker.holders(["k"])
    broker.hold("x", "y", 5)
    broker.take("bucket", 5.0, 1.0)
    (cause, _) = broker.causes()
    asked: list[dict[str, Any]] = [{}, {"queues": ["q"]}, {"queues": ["q", "q2"], "text": "x"}]
    asked += [{"ids": ["a"]}, {"ids": ["a*"]}, {"groups": ["1"]}, {"topics": ["t*"]}]
    asked += [{"states": [one]} for one in ("waiting", "delayed", "in_flight", "dead")]
    asked += [{"causes": [cause.id]}, {"queues": ["d"], "died_from": 0.0, "sources": ["q"]}]
    for some in asked:
        broker.find(MessageQuery(attempts_from=0, sent_from=0.0, **some))
        broker.find(MessageQuery(order="oldest", attempts_from=0, sent_from=0.0, **some))
    letter = broker.peek("d")[0]
    broker.change_visibility([(broker.lend("d", letter.id, 5), 0)])
    broker.resend("d", letter.id, Message(f"again{at}", "x"))
    lot = broker.hand_out(f"b{at}", "q", "q2", 5)
    broker.take_in(f"b{at}", "q2", lot.messages)
    broker.redrive("d")
    broker.purge("d.fifo")
    clock.advance(200)
    broker.receive("q", limit=3, holding=Holding(0, 0))
    clock.advance(5000)
    while broker.upkeep():
        pass


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if plan.get("Relation Name", "declared") not in SMALL:
        yield plan
    for part in plan.get("Plans", ()):
        yield from scans(part)


def is_wrong(text: str, scan: dict[str, Any]) -> bool:
    kind, condition = scan["Node Type"], str(scan.get("Index Cond", ""))
    if kind not in ("Index Scan", "Index Only Scan", "Tid Scan", "ModifyTable"):
        return True
    if (
        kind.startswith("Index")
        and not condition
        and not ("ORDER BY" in text or "SELECT EXISTS" in text)
    ):
        return True  # it goes through all of it
    alone = re.fullmatch(r"\(\(?\w*\.?queue\)?(::bigint)? = \$\d+\)", condition)
    if not alone or ("ORDER BY" in text and "Filter" not in scan):
        return False
    return not any(part in text for part in BY_QUEUE_ALONE)


LISTS = ("CTE Scan", "Function Scan")


def is_list(plan: dict[str, Any]) -> bool:
    """Whether it goes through what was given or found as a list, before anything else."""
    parts = plan.get("Plans", ())
    return plan["Node Type"] in LISTS or (bool(parts) and is_list(parts[0]))


def quadratic(plan: dict[str, Any]) -> Iterator[str]:
    """Where a list is gone through for each entry of another one."""
    parts = plan.get("Plans", ())
    if plan["Node Type"] == "Nested Loop":
        outer, inner = (one for one in parts if one["Parent Relationship"] in ("Outer", "Inner"))
        if is_list(outer) and is_list(inner):
            yield str(plan.get("Join Filter"))
    for part in parts:
        yield from quadratic(part)


@pytest.mark.slow
def test_every_statement_finds_its_rows_by_the_index_meant_for_it(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(1000.0)
    broker = open_broker(postgres.address(schema="plans"), clock=clock)
    assert isinstance(broker, StoredBroker)
    store = broker.store
    assert isinstance(store, PostgresStore)
    for dead in ("d", "d.fifo"):
        broker.create_queue(dead)
    broker.create_queue("q", QueueSettings(dead_letter_queue="d", max_receives=3))
    broker.create_queue("q2")
    broker.create_queue("w.fifo", QueueSettings(dead_letter_queue="d.fifo", max_receives=3))
    broker.create_topic("t")
    broker.create_topic("f.fifo")
    for topic, queue in (("t", "q"), ("t", "q2"), ("f.fifo", "w.fifo")):
        broker.subscribe(topic, queue)
    fill(broker, clock, 12)
    tour(broker, clock)
    monkeypatch.setattr(finder, "BOUND", 2)
    monkeypatch.setattr(finder, "CHUNK", 1)
    broker.dead_letter([(one, "{}") for one in broker.receive("q", limit=5)])
    for order in ("newest", "oldest"):  # as of a cause that many died of
        found = broker.find(MessageQuery(causes=[broker.causes()[0].id], order=order))
        assert (len(found.messages), found.next is None) == (2, False)
    with monkeypatch.context() as slow:  # as where looks from the beginning are
        slow.setattr(Watermarks, "due_after_nothing", lambda marks, queue, since: (1.0, 0))
        broker.create_queue("plain")
        broker.send("plain", [Message(f"{at}", "x") for at in range(30)])
        while some := broker.receive("plain", limit=7):
            broker.delete([Finish(one, 100 * (some[0].id == "0")) for one in some])
    monkeypatch.setattr(bookkeeping, "MANY", 0)
    assert broker.survey()["q"].counts.visible > 0  # as of a queue that holds many
    texts = {
        text: sent
        for text, sent in store._executor.texts.items()
        if re.match(r"\s*(WITH|SELECT|UPDATE|INSERT|DELETE)", text)
    }
    assert len(texts) > 90
    points = [text.count("m.visible_at, m.place) > (") for text in texts if "WITH c AS" in text]
    assert sorted(points)[-2:] == [1, 1]  # from the beginning, and behind one
    connection = connect(store._server, durable=False)
    wrong: list[str] = []

    def explain(state: str) -> None:
        for text, sent in texts.items():
            count = max(map(int, re.findall(r"\$(\d+)", sent)), default=0)
            nulls = f"({', '.join(['NULL'] * count)})" if count else ""
            connection.execute(f"PREPARE one AS {sent}", prepare=False)
            found = connection.execute(f"EXPLAIN (FORMAT JSON) EXECUTE one{nulls}", prepare=False)
            plan = found.fetchall()[0][0]
            connection.execute("DEALLOCATE one", prepare=False)
            plan = json.loads(plan) if isinstance(plan, str) else plan
            wrong.extend(
                f"{state}: {scan['Node Type']} {scan.get('Index Name')} {scan.get('Index Cond')} "
                f"of {scan['Relation Name']} in {' '.join(text.split())[:300]}"
                for scan in scans(plan[0]["Plan"])
                if is_wrong(text, scan)
            )
            wrong.extend(
                f"{state}: a list for each of another, {join} in {' '.join(text.split())[:300]}"
                for join in quadratic(plan[0]["Plan"])
            )

    try:
        explain("never analysed")
        connection.execute("ANALYZE", prepare=False)
        explain("analysed with some rows")
        for queue in broker.queues():
            broker.purge(queue)
        connection.execute("VACUUM ANALYZE", prepare=False)
        explain("analysed when empty")
        fill(broker, clock, 300)
        explain("filled since")
    finally:
        connection.close()
        broker.close()
        postgres.empty()
    assert not wrong, chr(10).join(wrong)
