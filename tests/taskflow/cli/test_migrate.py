"""`taskflow migrate`: an empty schema, later migrations, those that were cut short, refusals."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from click.testing import Result

from taskflow import open_broker
from taskflow.broker.settings import WorkerReport
from taskflow.stores.postgres import migration
from taskflow.stores.postgres.migration import Migration, migrations
from tests.postgres_server import PostgresServer

Run = Callable[..., Result]
ALL = migrations()
LATER = [
    *ALL,
    Migration(3, "-- A column.\nALTER TABLE tf.topic ADD COLUMN note text;\nSELECT 1;\n"),
    Migration(
        4,
        "-- Two indexes.\n"
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS topic_note ON tf.topic (note);\n"
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS topic_made ON tf.topic (created_at);\n",
        apart=True,
    ),
]


@pytest.fixture
def address(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A broker whose schema is not there yet."""
    address = postgres.address(schema="Mine")
    monkeypatch.setenv("TASKFLOW_BROKER", address)
    yield address
    postgres.empty()


@pytest.fixture
def later(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema that is there, and a release that has later ones."""
    open_broker(address).close()
    monkeypatch.setattr(migration, "migrations", lambda: LATER)


@pytest.fixture
def connection(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.address(), autocommit=True) as connection:
        yield connection


def told(result: Result) -> str:
    return " ".join(result.output.split())


def test_an_empty_schema_is_set_up(run: Run, address: str, connection: psycopg.Connection) -> None:
    assert run("queues").exit_code == 1
    assert "is empty; `taskflow migrate` or `taskflow topology apply`" in told(run("queues"))
    checked = run("migrate", "--check")
    assert (checked.exit_code, checked.output) == (
        1,
        "".join(f"pending  {one.number}  {one.title}\n" for one in ALL),
    )
    script = run("migrate", "--sql").output
    assert 'GRANT USAGE ON SCHEMA "Mine" TO' in script
    assert run("migrate").output == checked.output.replace("pending", "applied")
    up_to_date = "the schema 'Mine' of postgresql:///postgres is up to date: version 2\n"
    for again in (run("migrate"), run("migrate", "--check"), run("migrate", "--force")):
        assert (again.exit_code, again.output) == (0, up_to_date)
    assert run("queues").exit_code == 0
    assert "CREATE" not in run("migrate", "--sql").output
    connection.execute('DROP SCHEMA "Mine" CASCADE')
    connection.execute(script)  # as somebody else runs it
    assert run("migrate").output == up_to_date
    connection.execute('DROP SCHEMA "Mine" CASCADE')
    assert run("topology", "apply", "-m", "shop").exit_code == 0
    assert run("migrate", "--check").exit_code == 0


@pytest.mark.usefixtures("later")
def test_what_is_there_is_changed_by_nothing_else(
    run: Run, address: str, connection: psycopg.Connection
) -> None:
    refused = run("topology", "apply", "-m", "shop")
    assert refused.exit_code == 1
    assert "has version 2, and this taskflow needs 4: run `taskflow migrate`" in told(refused)
    script = run("migrate", "--sql").output
    assert 'BEGIN;\n-- A column.\nALTER TABLE "Mine".topic' in script
    assert "-- In no transaction." in script
    assert run("migrate").output == "applied  3  A column.\napplied  4  Two indexes.\n"
    assert run("topology", "apply", "-m", "shop").exit_code == 0


@pytest.mark.usefixtures("later")
def test_what_was_cut_short_goes_on(run: Run, address: str, connection: psycopg.Connection) -> None:
    connection.execute(
        """INSERT INTO "Mine".topic (name, settings, created_at, modified_at)
           VALUES ('a', '{}', 1, 1), ('b', '{}', 1, 1)"""
    )
    cut = run("migrate")  # the second index cannot be: two have one time
    assert (cut.exit_code, "could not create unique index" in told(cut)) == (1, True)
    assert run("migrate", "--check").output == "pending  4  Two indexes.\n"
    connection.execute("""UPDATE "Mine".topic SET created_at = 2 WHERE name = 'b'""")
    assert run("migrate").output == "applied  4  Two indexes.\n"
    found = connection.execute(
        """SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
           WHERE c.relname IN ('topic_note', 'topic_made') ORDER BY c.relname"""
    )
    assert found.fetchall() == [("topic_made", True), ("topic_note", True)]


@pytest.mark.usefixtures("later")
def test_workers_of_an_older_release_keep_it_from_being_done(
    run: Run, address: str, monkeypatch: pytest.MonkeyPatch, connection: psycopg.Connection
) -> None:
    with monkeypatch.context() as before:
        before.setattr(migration, "migrations", lambda: ALL)
        older = open_broker(address)
        older.report(WorkerReport("w", "h", 1, ("work",), older.clock.now(), 0, 1, {}, []))
        older.close()
    refused = run("migrate")
    assert refused.exit_code == 1
    assert "1 workers of an older release are at work" in told(refused)
    assert run("migrate", "--check").output.startswith("pending  3")
    assert run("migrate", "--force").exit_code == 0


def test_letters_that_were_there_are_counted(
    run: Run, address: str, monkeypatch: pytest.MonkeyPatch, connection: psycopg.Connection
) -> None:
    with monkeypatch.context() as before:
        before.setattr(migration, "migrations", lambda: ALL[:1])
        assert run("migrate").exit_code == 0
    connection.execute(
        """INSERT INTO "Mine".queue (name, settings, created_at, modified_at)
               VALUES ('work', '{}', 1, 1), ('dead', '{}', 1, 1);
           INSERT INTO "Mine".payload (seq, place, sent_at, queue, source, id, topic, body,
                                       attributes)
               SELECT n, n, extract(epoch FROM now()), 2, 1, 'e' || n, 'made', 'x', '{}'
               FROM generate_series(1, 3) n;
           INSERT INTO "Mine".message (seq, place, visible_at, sent_at, queue)
               SELECT seq, place, sent_at, sent_at, queue FROM "Mine".payload"""
    )
    assert run("migrate").exit_code == 0
    broker = open_broker(address)
    (cause,) = broker.causes()
    assert (cause.queue, cause.source, cause.count, cause.sample) == ("dead", "work", 3, "e3")
    assert broker.redrive("dead", ["e3"]) == 1
    assert [one.count for one in broker.causes()] == [2]
    broker.close()


def test_schemas_that_it_leaves_alone(
    run: Run, address: str, postgres: PostgresServer, connection: psycopg.Connection
) -> None:
    connection.execute('CREATE SCHEMA "Mine" CREATE TABLE version (id int)')
    for command in ("migrate", "topology apply -m shop"):
        refused = run(*command.split())
        assert refused.exit_code == 2
        assert "holds tables that are not taskflow's" in told(refused)
    connection.execute('DROP SCHEMA "Mine" CASCADE')
    assert run("migrate").exit_code == 0
    connection.execute('INSERT INTO "Mine".version VALUES (7)')
    for command in ("migrate", "migrate --check", "queues"):
        refused = run(*command.split())
        assert refused.exit_code == 1
        assert "has version 7, and this taskflow knows 2: a newer one made it" in told(refused)
    connection.execute("CREATE ROLE nobody_much LOGIN")
    try:
        plain = address.replace("taskflow@", "nobody_much@")
        may_not = run("queues", "--broker", plain)
        assert (may_not.exit_code, "permission denied for schema Mine" in told(may_not)) == (
            1,
            True,
        )
        no_room = run("migrate", "--broker", plain.replace("Mine", "other"))
        assert "permission denied for database postgres; what the role" in told(no_room)
    finally:
        connection.execute("DROP ROLE nobody_much")
    for elsewhere in ("sqlite:///taskflow.db", "aws://eu-central-1"):
        refused = run("migrate", "--broker", elsewhere)
        assert (refused.exit_code, "nothing to migrate" in refused.output) == (2, True)


@pytest.mark.usefixtures("later")
def test_a_pooler_is_no_way_to_build_indexes(run: Run, address: str) -> None:
    refused = run("migrate", "--broker", f"{address}&pooled=true")
    assert refused.exit_code == 2
    assert "cannot be built through a pooler" in told(refused)


def test_a_schema_is_set_up_through_a_pooler(run: Run, address: str) -> None:
    assert run("migrate", "--broker", f"{address}&pooled=true").exit_code == 0
    assert run("migrate", "--check").exit_code == 0
