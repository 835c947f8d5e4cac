"""SNS and SQS semantics, written once, over any store."""

from collections.abc import Callable
from random import Random

from taskflow import forking
from taskflow.broker.backup import Backup
from taskflow.broker.features import Features
from taskflow.broker.own_sql import OwnSql
from taskflow.broker.settings import Economy
from taskflow.brokers.kept_history import Journal
from taskflow.brokers.stored.apply import Applier
from taskflow.brokers.stored.coordination import Coordinator
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.declare import Declarations
from taskflow.brokers.stored.finding import Finding
from taskflow.brokers.stored.gatherer import Gatherer
from taskflow.brokers.stored.handover import HandingOver
from taskflow.brokers.stored.housekeeping import Upkeep
from taskflow.brokers.stored.intake import Intake
from taskflow.brokers.stored.joiner import Joiner
from taskflow.brokers.stored.mending import Mending
from taskflow.brokers.stored.moves import Moves
from taskflow.brokers.stored.operate import Operator
from taskflow.brokers.stored.plain_changes import PlainChanges
from taskflow.brokers.stored.publish import Publisher
from taskflow.brokers.stored.receipts import received_at
from taskflow.brokers.stored.receive import Receiver
from taskflow.brokers.stored.runs import Runs
from taskflow.brokers.stored.settle import Settler
from taskflow.brokers.stored.tree_handover import HandingTrees
from taskflow.clock import Clock, SystemClock
from taskflow.limits import MAX_MESSAGE_BYTES
from taskflow.stores.base import Store
from taskflow.stores.gathers import Gathers
from taskflow.stores.joinable import Joinable
from taskflow.stores.plain import PlainWay, TakesPlain
from taskflow.stores.plain_keeping import KeepsPlain


class StoredBroker:
    """The broker inside the process, over a store: who answers which verb.

    The contract of each is in `taskflow.broker`.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock | None = None,
        random: Random | None = None,
        core: Core | None = None,
        plain_way: Callable[..., PlainWay] | None = None,
    ) -> None:
        """`core`, `plain_way`: of one of several files (`brokers.sharded`), else it has its own."""
        self.clock: Clock = clock or SystemClock()
        self.random: Random = random or forking.RANDOM
        self.economy = Economy()
        self.max_message_bytes = MAX_MESSAGE_BYTES
        self.features = Features(
            shared=store.poll_interval is not None, connections=isinstance(store, Joinable)
        )
        self.store = store
        if isinstance(store, Gathers):
            self.gathered = Gatherer(store, lambda: self.core.waiters.keeping()).gathered
        if isinstance(store, OwnSql):
            self.within = store.within
        if isinstance(store, Backup):
            self.back_up = store.back_up
        alone = core is None
        self.core = core = core or Core(store, self.clock, self.random)
        self.now = core.now
        intake, joiner = Intake(), Joiner(core)

        if plain_way is None and isinstance(store, TakesPlain):
            plain_way = store.plain_way
        plain = None
        if plain_way is not None:
            plain = plain_way(
                now=core.now,
                random=self.random,
                tidies_next=intake.tidies_next,
                count=intake.count,
                announce=lambda queues: core.waiters.announce(queues),
                heard=lambda queues: core.waiters.heard(queues),
            )
        publisher = Publisher(core, intake, joiner, plain)
        self.publish, self.send = publisher.publish, publisher.send
        self.receiver = receiver = Receiver(core)
        self.receive, self.next_due = receiver.receive, receiver.next_due
        self.wake, self.watch = receiver.wake, receiver.watch
        self.attend, self.look_away = receiver.attend, receiver.look_away
        settler = Settler(core)
        self.delete, self.dead_letter = settler.delete, settler.dead_letter
        self.change_visibility, self.extend = settler.change_visibility, settler.extend
        self.give_back, self.leases = settler.give_back, settler.leases
        self.received_at = received_at
        checkpoints = None
        if alone and isinstance(store, KeepsPlain):
            checkpoints = PlainChanges(core, store.plain_keeping())
        self.apply = Applier(core, intake, joiner, checkpoints).apply

        declared = Declarations(core)
        self.together = declared.together
        self.create_topic, self.set_topic = declared.create_topic, declared.set_topic
        self.delete_topic, self.topics = declared.delete_topic, declared.topics
        self.topic_settings, self.describe_topic = declared.topic_settings, declared.describe_topic
        self.create_queue, self.set_queue = declared.create_queue, declared.set_queue
        self.delete_queue, self.queues = declared.delete_queue, declared.queues
        self.settings, self.describe_queue = declared.settings, declared.describe_queue
        self.subscribe, self.put_subscription = declared.subscribe, declared.put_subscription
        self.unsubscribe, self.subscriptions = declared.unsubscribe, declared.subscriptions
        self.tag_queue, self.tag_topic = declared.tag_queue, declared.tag_topic
        self.identity, self.set_identity = declared.identity, declared.set_identity

        operator = Operator(core)
        self.counts, self.peek, self.pause = operator.counts, operator.peek, operator.pause
        self.waiting, self.survey = operator.waiting, operator.survey
        self.redrive, self.purge, self.purged = operator.redrive, operator.purge, operator.purged
        moves = Moves(core)
        self.start_move, self.cancel_move = moves.start_move, moves.cancel_move
        self.moves, self.step_moves = moves.moves, moves.step_moves

        coordinator = Coordinator(core)
        self.claim, self.finished = coordinator.claim, coordinator.finished
        self.is_unfinished = coordinator.is_unfinished
        self.take, self.hold = coordinator.take, coordinator.hold
        self.report, self.retire = coordinator.report, coordinator.retire
        self.workers, self.hurry = coordinator.workers, coordinator.hurry
        upkeep = Upkeep(core, moves)
        self.upkeep, self.clean = upkeep.run, upkeep.clean

        handing = HandingOver(core)
        self.batches, self.hand_out = handing.batches, handing.hand_out
        self.hand_again, self.take_in = handing.hand_again, handing.take_in
        self.let_go = handing.let_go
        self.finished_after = handing.finished_after
        self.remember_finished = handing.remember_finished
        self.known_after, self.remember_known = handing.known_after, handing.remember_known
        trees = HandingTrees(core)
        self.tree_batches, self.hand_out_trees = trees.tree_batches, trees.hand_out_trees
        self.hand_trees_again, self.take_in_trees = trees.hand_trees_again, trees.take_in_trees
        self.let_trees_go, self.scattered = trees.let_trees_go, trees.scattered

        runs = Runs(core)
        self.records, self.list_records = runs.records, runs.list_records
        self.count_records = runs.count_records
        self.wait_record, self.wait_records = runs.wait_record, runs.wait_records
        self.holders, self.secure = runs.holders, runs.secure
        self.close = core.close

        self.finding = finding = Finding(core)
        self.find, self.causes = finding.find, finding.causes
        mending = Mending(core, intake)
        self.lend, self.resend, self.transfer = mending.lend, mending.resend, mending.transfer
        journal = Journal(self)
        self.history, self.note_history = journal.history, journal.note_history
        self.note_action, self.list_actions = journal.note_action, journal.list_actions
