"""AwsBroker: the verbs of a broker over SNS and SQS, each done by one of its parts."""

import threading
from collections.abc import Callable, Collection
from random import Random
from typing import TypeVar

from taskflow import forking
from taskflow.broker.features import Features
from taskflow.broker.settings import Economy
from taskflow.brokers.aws.caller_rights import CallerRights
from taskflow.brokers.aws.change_applier import ChangeApplier
from taskflow.brokers.aws.claims import Claims
from taskflow.brokers.aws.client import Api
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.lent_messages import LentMessages
from taskflow.brokers.aws.local_state import LocalState
from taskflow.brokers.aws.move_tasks import MoveTasks
from taskflow.brokers.aws.operations import Operations
from taskflow.brokers.aws.packer import Packer
from taskflow.brokers.aws.parallel import Parallel
from taskflow.brokers.aws.pauses import Pauses
from taskflow.brokers.aws.payload_fetch import PayloadFetch
from taskflow.brokers.aws.payloads import Payloads
from taskflow.brokers.aws.queue_receiver import QueueReceiver
from taskflow.brokers.aws.queues import Queues
from taskflow.brokers.aws.reach import Reach
from taskflow.brokers.aws.receipts import Receipts, received_at
from taskflow.brokers.aws.request_batches import MAX_ENTRIES
from taskflow.brokers.aws.sender import Sender
from taskflow.brokers.aws.settler import Settler
from taskflow.brokers.aws.shared_state import SharedState
from taskflow.brokers.aws.state import State
from taskflow.brokers.aws.subscriptions import Subscriptions
from taskflow.brokers.aws.tally import Tally
from taskflow.brokers.aws.topics import Topics
from taskflow.brokers.aws.uninspected import Uninspected
from taskflow.brokers.kept_history import Journal
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.clock import Clock, SystemClock
from taskflow.coordination.coordination_store import CoordinationStore
from taskflow.coordination.event_records import Records
from taskflow.coordination.memory_records import MemoryRecords
from taskflow.coordination.memory_store import MemoryStore
from taskflow.forking import RANDOM
from taskflow.limits import MAX_MESSAGE_BYTES, MAX_PAYLOAD_BYTES
from taskflow.stores.sqlite.store import SqliteStore

T = TypeVar("T")

ECONOMY = Economy(batch=MAX_ENTRIES, settle_within=0.25, prefetch=0.05, look_every=15.0)
"""Requests cost money and time; leases last longer."""


class AwsBroker:
    """SNS and SQS as a broker. Thread-safe; the contract is `taskflow.broker.Broker`, and what is
    weaker here is in docs/decisions/0026-the-aws-broker.md."""

    def __init__(
        self,
        api: Api,
        *,
        prefix: str = "",
        account: str | None = None,
        records: Records | None = None,
        store: CoordinationStore | None = None,
        state: State | None = None,
        payloads: Payloads | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.random: Random = random or RANDOM
        self.economy = ECONOMY
        self.features = Features(
            atomic=False,
            hosts=True,
            duplicates=False,
            priorities=False,
            limits=False,
            suspects=False,
            inspection=False,
        )
        self.max_message_bytes = MAX_PAYLOAD_BYTES if payloads else MAX_MESSAGE_BYTES
        self.api = api
        self._alone: threading.RLock
        forking.anew(self, _alone=threading.RLock)
        self._payloads = payloads
        self._records: Records = records or MemoryRecords()
        self._store: CoordinationStore = store or MemoryStore()
        self._parallel = Parallel()
        self._directory = directory = Directory(api, prefix, account)
        rights = CallerRights(directory)
        self.account, self.denied = rights.account, rights.denied
        clock = self.clock

        reach = Reach(clock, directory)
        queues = Queues(directory)
        self.create_queue = queues.create
        self.set_queue = queues.change
        self.delete_queue = queues.delete
        self.queues = queues.names
        self.settings = queues.settings
        self.describe_queue = queues.describe
        self.tag_queue = queues.tag
        subscriptions = Subscriptions(directory, reach)
        self.subscribe = subscriptions.subscribe
        self.put_subscription = subscriptions.put
        self.unsubscribe = subscriptions.remove
        self.subscriptions = subscriptions.read
        topics = Topics(directory, subscriptions, reach)
        self.create_topic = topics.create
        self.set_topic = topics.change
        self.delete_topic = topics.delete
        self.topics = topics.names
        self.topic_settings = topics.settings
        self.describe_topic = topics.describe
        self.tag_topic = topics.tag

        sender = Sender(clock, directory, Packer(clock, directory, reach, payloads), reach)
        self.publish = sender.publish
        self.send = sender.send

        self._receipts = receipts = Receipts()
        self.received_at = received_at
        tally = Tally()
        lent = LentMessages(clock, directory, receipts, self._parallel, tally)
        claims = Claims(clock, directory, self._records, receipts, lent, self._parallel)
        self.claim = claims.claim
        self.finished = claims.finished
        settler = Settler(clock, directory, receipts, lent, claims, payloads, tally)
        self.delete = settler.delete
        self.leases = settler.leases
        self.change_visibility = settler.change_visibility
        self.extend = settler.extend
        self.give_back = settler.give_back
        self.dead_letter = settler.dead_letter
        fetch = PayloadFetch(clock, payloads, settler, claims, self._parallel)
        self.load_payloads = fetch.load
        pauses = Pauses(clock, self._store)
        receiver = QueueReceiver(
            clock, directory, receipts, settler, claims, fetch, self._parallel, pauses
        )
        self._polls = receiver.polls
        self.receive = receiver.receive

        self._state: State = state or LocalState(
            StoredBroker(SqliteStore(None, durable=False), clock=clock, random=self.random)
        )
        self._applier = ChangeApplier(clock, self.random, self._state, sender, settler)
        self.apply = self._applier.apply
        self.records = self._state.records
        self.list_records = self._state.list_records
        self.count_records = self._state.count_records
        self.wait_record = self._state.wait_record
        self.wait_records = self._state.wait_records
        self.holders = self._state.holders
        self.secure = self._state.secure

        operations = Operations(clock, directory, receiver, settler, lent, receipts, tally, pauses)
        self.counts = operations.counts
        self.waiting = operations.waiting
        self.survey = operations.survey
        self.next_due = operations.next_due
        self.peek = operations.peek
        self.redrive = operations.redrive
        self.purge = operations.purge
        self.purged = operations.purged
        moves = MoveTasks(directory)
        self.start_move = moves.start
        self.cancel_move = moves.cancel
        self.moves = moves.list_all
        self.step_moves = moves.step

        shared = SharedState(clock, directory, receiver.polls, pauses, self._store)
        self.pause = shared.pause
        self.take = shared.take
        self.hold = shared.hold
        self.report = shared.report
        self.retire = shared.retire
        self.workers = shared.workers
        self.identity = shared.identity
        self.set_identity = shared.set_identity

        inspected, journal = Uninspected(), Journal(self)
        self.find, self.causes, self.lend = inspected.find, inspected.causes, inspected.lend
        self.resend, self.transfer = inspected.resend, inspected.transfer
        self.history, self.note_history = journal.history, journal.note_history
        self.note_action, self.list_actions = journal.note_action, journal.list_actions

    def together(self, work: Callable[[], T]) -> T:
        """Of this process: AWS has nothing that others would wait for, and nothing is undone."""
        with self._alone:
            return work()

    def wake(self) -> None:
        """Let who waits look whether it is to stop."""
        self._polls.wake()
        self._state.wake()

    def upkeep(self, limit: int = 1000) -> bool:
        """Messages expire by themselves; what is moved and noted here goes on."""
        more = self._state.upkeep(limit)
        moving = self.step_moves(limit)
        return self._applier.resend(limit) or more or moving

    def watch(self, heard: Callable[[Collection[str]], None]) -> None:
        """AWS tells nobody of a message that arrives, so `heard` is never called: who waits asks
        with a long poll."""

    def hurry(self) -> None:
        """There is no lock to wait for."""

    def close(self) -> None:
        """A poll that AWS still holds ends by itself; should it bring a message after the process
        has ended, that one returns when its lease ends."""
        self._polls.close()
        self._parallel.close()
        self._records.close()
        self._store.close()
        self._state.close()
        self.api.close()
