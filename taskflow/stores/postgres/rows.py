"""The store verbs in SQL: who answers which. One instance per session."""

from collections.abc import Callable
from typing import TypeVar

from taskflow.stores.finder import Finder
from taskflow.stores.lender import Lender
from taskflow.stores.postgres.bookkeeping import Books
from taskflow.stores.postgres.bucket_rows import BucketRows
from taskflow.stores.postgres.declared import DeclaredRows
from taskflow.stores.postgres.deduplication import Deduplications
from taskflow.stores.postgres.due_rows import DueRows
from taskflow.stores.postgres.finding import PostgresFinding
from taskflow.stores.postgres.handover import PostgresHandover
from taskflow.stores.postgres.insertion import Insertion
from taskflow.stores.postgres.lanes import Lanes
from taskflow.stores.postgres.lease_rows import LeaseRows
from taskflow.stores.postgres.letters import PostgresLetters
from taskflow.stores.postgres.move_rows import MoveRows
from taskflow.stores.postgres.moving import Moving
from taskflow.stores.postgres.process_rows import ProcessRows
from taskflow.stores.postgres.quick_lender import QuickLender
from taskflow.stores.postgres.records import PostgresRecords
from taskflow.stores.postgres.removal import Removal
from taskflow.stores.postgres.session import Session
from taskflow.stores.postgres.slot_rows import SlotRows
from taskflow.stores.postgres.tally_book import TallyBook
from taskflow.stores.postgres.watermarks import Watermarks
from taskflow.stores.row import Lone, QueueRow

T = TypeVar("T")


class PostgresRows:
    """`Rows` over one session; the contract is `stores.rows.Rows`."""

    def __init__(self, session: Session, watermarks: Watermarks, tallies: TallyBook) -> None:
        self._session = session
        self.records = PostgresRecords(session)
        self.letters = letters = PostgresLetters(session)
        self.search = Finder(PostgresFinding(session)).search

        declared = DeclaredRows(session, letters)
        self.prove, self.renew = declared.prove, declared.renew
        self.topics, self.topic = declared.topics, declared.topic
        self.put_topic, self.drop_topic = declared.put_topic, declared.drop_topic
        self.next_sequences = declared.next_sequences
        self.queues, self.queue, self.queue_of = declared.queues, declared.queue, declared.queue_of
        self.put_queue, self.drop_queue = declared.put_queue, declared.drop_queue
        self.declared = declared.declared
        self.pause_queue, self.purged = declared.pause_queue, declared.purged
        self.described, self.tag = declared.described, declared.tag
        self.subscriptions, self.subscription = declared.subscriptions, declared.subscription
        self.find_subscription = declared.find_subscription
        self.put_subscription = declared.put_subscription
        self.drop_subscription, self.subscribed = declared.drop_subscription, declared.subscribed
        moves = MoveRows(session)
        self.put_move, self.moves, self.running = moves.put_move, moves.moves, moves.running
        processes, buckets = ProcessRows(session), BucketRows(session)
        self.identity, self.put_identity = processes.identity, processes.put_identity
        self.put_worker, self.drop_worker = processes.put_worker, processes.drop_worker
        self.workers = processes.workers
        self.bucket, self.draw = buckets.bucket, buckets.draw

        books = Books(session, tallies)
        self.remembered, self.forget = books.remembered, books.forget
        self.any_gone, self.sweep = books.any_gone, books.sweep
        self.tally, self.counts = books.tally, books.counts
        lanes = Lanes(session)
        removal = Removal(session, lanes, watermarks)
        self.remove, self.drop, self.expire = removal.remove, removal.drop, removal.expire
        self.any_sent_before, self.drop_old = removal.any_sent_before, removal.drop_old
        insertion = Insertion(session, lanes, removal, watermarks)
        self.add, self.add_to_many = insertion.add, insertion.add_to_many
        self.move = Moving(session, lanes, removal, letters).move
        leases = LeaseRows(session, lanes, watermarks)
        self.extend, self.find, self.fence = leases.extend, leases.find, leases.fence
        self.leases, self.hide, self.release = leases.leases, leases.hide, leases.release
        self.delay_again = leases.delay_again
        due = DueRows(session, removal, watermarks)
        self.due = due.due
        self.handover = PostgresHandover(session, due, lanes, letters)
        slots = SlotRows(session, buckets, watermarks)
        self.unpark, self.parked = slots.unpark, slots.parked
        lender = QuickLender(session, declared, Lender(due, leases, slots), watermarks)
        self.lend, self.kinds = lender.lend, lender.kinds
        self.next_due, self.select = due.next_due, due.select
        self.count_in_flight, self.count_due = due.count_in_flight, due.count_due
        self.tenants_in_flight = due.tenants_in_flight

        deduplications = Deduplications(session, due)
        self.deduplicated = deduplications.deduplicated
        self.deduplicate = deduplications.deduplicate
        self.attempted = deduplications.attempted
        self.remember_attempt = deduplications.remember_attempt

    def undoing(self, work: Callable[[], T]) -> T:
        with self._session.part():
            return work()

    def glance(self, queue: QueueRow, now: float) -> int:
        return 2  # an empty `lend` costs one look, as this would

    def lend_lone(
        self, queue: QueueRow, receipt: int, until: float, kept_from: float, now: float
    ) -> Lone | None:
        return None  # `lend` is one statement anyway
