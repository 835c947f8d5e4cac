"""The store verbs in SQL: who answers which. One instance per connection; the caller holds the
transaction."""

from collections.abc import Callable
from typing import TypeVar

import apsw

from taskflow.stores.finder import Finder
from taskflow.stores.lender import Lender
from taskflow.stores.sqlite.arrivals import Arrivals
from taskflow.stores.sqlite.bodies import SqliteBodies
from taskflow.stores.sqlite.bookkeeping import Books
from taskflow.stores.sqlite.bucket_rows import BucketRows
from taskflow.stores.sqlite.declared import DeclaredRows
from taskflow.stores.sqlite.deduplication import Deduplications
from taskflow.stores.sqlite.due_rows import DueRows
from taskflow.stores.sqlite.finding import SqliteFinding
from taskflow.stores.sqlite.handover import SqliteHandover
from taskflow.stores.sqlite.insertion import Insertion
from taskflow.stores.sqlite.lanes import Lanes
from taskflow.stores.sqlite.lease_rows import LeaseRows
from taskflow.stores.sqlite.letters import SqliteLetters
from taskflow.stores.sqlite.lone_lender import LoneLender
from taskflow.stores.sqlite.move_rows import MoveRows
from taskflow.stores.sqlite.own_sql import OURS
from taskflow.stores.sqlite.placed import PlacedRows
from taskflow.stores.sqlite.process_rows import ProcessRows
from taskflow.stores.sqlite.put_away import PutAwayRows
from taskflow.stores.sqlite.records import SqliteRecords
from taskflow.stores.sqlite.removal import Removal
from taskflow.stores.sqlite.slot_rows import SlotRows

T = TypeVar("T")


class SqliteRows:
    """`Rows` over one SQLite connection; the contract is `stores.rows.Rows`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.cursor().execute
        self.arrivals = Arrivals(connection)
        self.records = SqliteRecords(connection)
        self.letters = letters = SqliteLetters(connection)
        self.search = Finder(SqliteFinding(connection)).search

        declared = self._declared = DeclaredRows(connection, letters)
        self.topics, self.topic = declared.topics, declared.topic
        self.put_topic, self.drop_topic = declared.put_topic, declared.drop_topic
        self.next_sequences = declared.next_sequences
        self.queues, self.queue, self.queue_of = declared.queues, declared.queue, declared.queue_of
        self.put_queue, self.drop_queue = declared.put_queue, declared.drop_queue
        self.declared = declared.declared
        self.stamp, self.stamp_of = declared.stamp, declared.stamp_of
        self.known_stamp = declared.known_stamp
        self.renew_stamp = declared.renew_stamp
        self.pause_queue, self.purged = declared.pause_queue, declared.purged
        self.described, self.tag = declared.described, declared.tag
        self.subscriptions, self.subscription = declared.subscriptions, declared.subscription
        self.find_subscription = declared.find_subscription
        self.put_subscription = declared.put_subscription
        self.drop_subscription, self.subscribed = declared.drop_subscription, declared.subscribed
        moves = MoveRows(connection)
        self.put_move, self.moves, self.running = moves.put_move, moves.moves, moves.running
        processes, buckets = ProcessRows(connection), BucketRows(connection)
        self.identity, self.put_identity = processes.identity, processes.put_identity
        self.put_worker, self.drop_worker = processes.put_worker, processes.drop_worker
        self.workers = processes.workers
        self.bucket, self.draw = buckets.bucket, buckets.draw

        books = Books(connection)
        self.remembered, self.forget = books.remembered, books.forget
        self.any_gone = books.any_gone
        self.tally, self.counts = books.tally, books.counts
        bodies, lanes = SqliteBodies(connection), Lanes(connection)
        self._lanes = lanes
        self.sweep = bodies.sweep
        removal = Removal(connection, bodies, lanes, books)
        self.remove, self.drop, self.expire = removal.remove, removal.drop, removal.expire
        self.any_sent_before, self.drop_old = removal.any_sent_before, removal.drop_old
        insertion = Insertion(connection, declared, bodies, lanes, removal, letters)
        self.add, self.add_to_many = insertion.add, insertion.add_to_many
        self.add_plain = insertion.add_plain
        self.move = insertion.move
        self.handover = SqliteHandover(connection, insertion, bodies, lanes, letters)
        leases = LeaseRows(connection, lanes)
        self.extend, self.find, self.fence = leases.extend, leases.find, leases.fence
        self.leases, self.hide, self.release = leases.leases, leases.hide, leases.release
        self.delay_again = leases.delay_again
        due = DueRows(connection, removal)
        self.due, self.glance, self.kinds = due.due, due.glance, due.kinds
        slots = SlotRows(connection, buckets)
        self.unpark, self.parked = slots.unpark, slots.parked
        self.lend = Lender(due, leases, slots).lend
        self.lend_lone = LoneLender(connection, declared).lend_lone
        self.next_due, self.select = due.next_due, due.select
        self.count_in_flight, self.count_due = due.count_in_flight, due.count_due
        self.tenants_in_flight = due.tenants_in_flight

        self.placed = PlacedRows(connection)
        self.kept = PutAwayRows(connection)
        deduplications = Deduplications(connection, due)
        self.deduplicated = deduplications.deduplicated
        self.deduplicate = deduplications.deduplicate
        self.attempted = deduplications.attempted
        self.remember_attempt = deduplications.remember_attempt

    def own_tables(self) -> list[str]:
        """The tables in this file that are not the broker's."""
        found = self._execute(
            """SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')
               AND name NOT GLOB 'sqlite_*' ORDER BY name"""
        )
        return [name for (name,) in found if name not in OURS]

    def begun(self) -> None:
        """A transaction has begun, which has the lock of all who write."""
        self._declared.begun()
        self.arrivals.take_over()

    def undone(self) -> None:
        """What was changed since some moment is as it was then."""
        self._declared.undone()
        self._lanes.undone()

    def undoing(self, work: Callable[[], T]) -> T:
        self._execute("SAVEPOINT part")
        try:
            answer = work()
        except BaseException:
            self._execute("ROLLBACK TO part")
            self._execute("RELEASE part")
            self.undone()
            raise
        self._execute("RELEASE part")
        return answer
