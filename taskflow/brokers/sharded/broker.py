"""The broker over several files: who answers which verb."""

from pathlib import Path
from random import Random

from taskflow.broker.features import Features
from taskflow.broker.settings import Economy
from taskflow.brokers.kept_history import Journal
from taskflow.brokers.sharded.agreement import Agreement
from taskflow.brokers.sharded.apply import Applier
from taskflow.brokers.sharded.backup import FilesBackup
from taskflow.brokers.sharded.coordination import Coordinator
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.declare import Declarations
from taskflow.brokers.sharded.fence import Epoch, Fence
from taskflow.brokers.sharded.handover import HandingOver
from taskflow.brokers.sharded.homes import Homes
from taskflow.brokers.sharded.housekeeping import Upkeep
from taskflow.brokers.sharded.hub import Hub
from taskflow.brokers.sharded.inspecting import Inspecting
from taskflow.brokers.sharded.moves import Moves
from taskflow.brokers.sharded.operate import Operator
from taskflow.brokers.sharded.parcels import Parcels
from taskflow.brokers.sharded.placement import Placement
from taskflow.brokers.sharded.publish import Publisher
from taskflow.brokers.sharded.receipts import Receipts
from taskflow.brokers.sharded.receive import Receiver
from taskflow.brokers.sharded.reshard import Resharding
from taskflow.brokers.sharded.runs import Runs
from taskflow.brokers.sharded.settle import Settler
from taskflow.brokers.sharded.shard import Shard, let_go
from taskflow.brokers.sharded.shard_map import ShardMap
from taskflow.brokers.sharded.shards import Shards
from taskflow.brokers.sharded.slot_moves import SlotMoves
from taskflow.brokers.sharded.splitting import Splitting
from taskflow.brokers.sharded.step import Step
from taskflow.brokers.sharded.together import Together
from taskflow.brokers.sharded.tree_handover import HandingTrees
from taskflow.clock import Clock
from taskflow.limits import MAX_MESSAGE_BYTES
from taskflow.stores.sqlite.store import SqliteStore


class ShardedBroker:
    """Several stored brokers as one. What belongs together lies in one file, so that the semantics
    are those of the stored broker; here is only said which file that is.

    The contract of each verb is in `taskflow.broker`; where many files differ from one,
    docs/guarantees.md says.
    """

    def __init__(
        self,
        store: SqliteStore,
        leader: Path,
        found: ShardMap,
        *,
        durable: bool,
        clock: Clock,
        random: Random,
    ) -> None:
        """`store` is that of the leader."""
        self.clock, self.random = clock, random
        self.economy = Economy()
        self.max_message_bytes = MAX_MESSAGE_BYTES
        self.features = Features()
        hub = self._hub = Hub(store, clock)
        epoch = Epoch()

        def make(number: int, store: SqliteStore) -> Shard:
            return Shard(number, store, Fence(epoch), hub, clock, random)

        shards = self.shards = Shards([make(0, store)])
        placement, receipts = Placement(found), Receipts()
        agreement = Agreement(shards)
        course = self.course = Course(
            leader, durable, shards, placement, receipts, epoch, make, Step(agreement)
        )
        try:
            course.refresh()
        except BaseException:
            let_go(store, shards[1:])
            raise
        self.gathered = Together(course, shards, hub).gathered
        homes = self._homes = Homes(shards, placement, clock, random)
        self.new_place = homes.new_place
        first = shards[0].broker

        publisher = Publisher(course, shards, placement, homes, clock, random)
        self.publish, self.send = publisher.publish, publisher.send
        receiver = Receiver(course, shards, placement, homes, hub, clock)
        self.receive, self.next_due = receiver.receive, receiver.next_due
        self.wake, self.watch = receiver.wake, receiver.watch
        self.attend, self.look_away = hub.attend, hub.look_away
        settler = Settler(course, shards, receipts)
        self.delete, self.dead_letter = settler.delete, settler.dead_letter
        self.change_visibility, self.extend = settler.change_visibility, settler.extend
        self.give_back, self.leases = settler.give_back, settler.leases
        self.received_at, self.claim = settler.received_at, settler.claim
        parcels = Parcels(shards)
        splitting, slot_moves = Splitting(placement, receipts), SlotMoves(placement, receipts)
        self.apply = Applier(course, shards, receipts, splitting, parcels, slot_moves).apply

        declared = Declarations(course, shards[0], agreement)
        self.together = declared.together
        self.create_topic, self.set_topic = declared.create_topic, declared.set_topic
        self.delete_topic, self.topics = declared.delete_topic, first.topics
        self.topic_settings, self.describe_topic = first.topic_settings, first.describe_topic
        self.create_queue, self.set_queue = declared.create_queue, declared.set_queue
        self.delete_queue, self.queues = declared.delete_queue, first.queues
        self.settings, self.describe_queue = first.settings, first.describe_queue
        self.subscribe, self.put_subscription = declared.subscribe, declared.put_subscription
        self.unsubscribe, self.subscriptions = declared.unsubscribe, first.subscriptions
        self.tag_queue, self.tag_topic = declared.tag_queue, declared.tag_topic
        self.identity, self.set_identity = first.identity, declared.set_identity
        self.pause, self.purged = declared.pause, declared.purged

        operator = Operator(course, shards, parcels)
        self.counts, self.peek, self.waiting = operator.counts, operator.peek, operator.waiting
        self.redrive, self.purge = operator.redrive, operator.purge
        self.survey = operator.survey
        moves = Moves(course, shards)
        self.start_move, self.cancel_move = moves.start_move, moves.cancel_move
        self.moves, self.step_moves = moves.moves, moves.step_moves

        coordinator = Coordinator(course, shards, placement)
        self.finished, self.hurry = coordinator.finished, coordinator.hurry
        self.take, self.hold = coordinator.take, coordinator.hold
        self.holders = coordinator.holders
        self.report, self.retire, self.workers = first.report, first.retire, first.workers
        upkeep = Upkeep(course, shards, agreement, parcels, moves, clock)
        self.upkeep = upkeep.run
        upkeep.mend()
        self.back_up = FilesBackup(course, shards).back_up
        self.resharding = Resharding(course, shards, parcels, clock)

        runs = Runs(course, shards, placement, hub, clock)
        self.records, self.list_records = runs.records, runs.list_records
        self.count_records, self.secure = runs.count_records, runs.secure
        self.wait_record, self.wait_records = runs.wait_record, runs.wait_records

        inspecting, journal = (
            Inspecting(course, operator, shards, coordinator.holders),
            Journal(self),
        )
        self.find, self.causes, self.lend = inspecting.find, inspecting.causes, inspecting.lend
        self.resend, self.transfer = inspecting.resend, inspecting.transfer
        handing = HandingOver(course, shards, placement)
        self.batches, self.hand_out = handing.batches, handing.hand_out
        self.hand_again, self.take_in = handing.hand_again, handing.take_in
        self.let_go = handing.let_go
        self.finished_after = handing.finished_after
        self.remember_finished = handing.remember_finished
        self.known_after, self.remember_known = handing.known_after, handing.remember_known
        trees = HandingTrees(course, shards, placement, parcels)
        self.tree_batches, self.hand_out_trees = trees.tree_batches, trees.hand_out_trees
        self.hand_trees_again, self.take_in_trees = trees.hand_trees_again, trees.take_in_trees
        self.let_trees_go, self.scattered = trees.let_trees_go, trees.scattered
        self.history, self.note_history = journal.history, journal.note_history
        self.note_action, self.list_actions = journal.note_action, journal.list_actions

    def close(self) -> None:
        """Close all files, and let everybody who waits find out."""
        self._homes.leave()
        leader = self.shards[0].store
        leader.hurry()
        try:
            let_go(leader, self.shards[1:])
        finally:
            try:
                leader.close()
            finally:
                self._hub.waiters.close()
