"""The broker over several files: who answers which verb."""

from collections.abc import Sequence
from random import Random

from taskflow.broker.features import Features
from taskflow.broker.settings import Economy
from taskflow.brokers.sharded.agreement import Agreement
from taskflow.brokers.sharded.apply import Applier
from taskflow.brokers.sharded.coordination import Coordinator
from taskflow.brokers.sharded.declare import Declarations
from taskflow.brokers.sharded.homes import Homes
from taskflow.brokers.sharded.housekeeping import Upkeep
from taskflow.brokers.sharded.hub import Hub
from taskflow.brokers.sharded.moves import Moves
from taskflow.brokers.sharded.operate import Operator
from taskflow.brokers.sharded.parcels import Parcels
from taskflow.brokers.sharded.placement import Placement
from taskflow.brokers.sharded.publish import Publisher
from taskflow.brokers.sharded.receipts import Receipts
from taskflow.brokers.sharded.receive import Receiver
from taskflow.brokers.sharded.runs import Runs
from taskflow.brokers.sharded.settle import Settler
from taskflow.brokers.sharded.shard import Shard
from taskflow.brokers.sharded.shard_map import ShardMap
from taskflow.brokers.sharded.slot_moves import SlotMoves
from taskflow.brokers.sharded.splitting import Splitting
from taskflow.brokers.stored.gatherer import Gatherer
from taskflow.clock import Clock
from taskflow.limits import MAX_MESSAGE_BYTES
from taskflow.stores.base import Store
from taskflow.stores.gathers import Gathers


class ShardedBroker:
    """Several stored brokers as one. What belongs together lies in one file, so that the semantics
    are those of the stored broker; here is only said which file that is.

    The contract of each verb is in `taskflow.broker`; where many files differ from one,
    docs/guarantees.md says.
    """

    def __init__(
        self, stores: Sequence[Store], found: ShardMap, *, clock: Clock, random: Random
    ) -> None:
        self.clock, self.random = clock, random
        self.economy = Economy()
        self.max_message_bytes = MAX_MESSAGE_BYTES
        self.features = Features()
        hub = self._hub = Hub(stores[0], clock)
        shards = self.shards = [
            Shard(number, store, hub, clock, random) for number, store in enumerate(stores)
        ]
        gatherer = Gatherer(
            [store for store in stores if isinstance(store, Gathers)], lambda: hub.waiters.keeping()
        )
        self.gathered, self.at_once = gatherer.gathered, gatherer.at_once
        placement, receipts = Placement(found), Receipts(shards)
        homes = self._homes = Homes(shards, placement, clock, random)
        self.new_place = homes.new_place
        leader = shards[0].broker

        publisher = Publisher(shards, placement, homes)
        self.publish, self.send = publisher.publish, publisher.send
        receiver = Receiver(shards, placement, homes, hub, clock)
        self.receive, self.next_due = receiver.receive, receiver.next_due
        self.wake, self.watch = receiver.wake, receiver.watch
        self.attend, self.look_away = hub.attend, hub.look_away
        settler = Settler(shards, receipts)
        self.delete, self.dead_letter = settler.delete, settler.dead_letter
        self.change_visibility, self.extend = settler.change_visibility, settler.extend
        self.give_back, self.leases = settler.give_back, settler.leases
        self.received_at, self.claim = settler.received_at, settler.claim
        parcels = Parcels(shards)
        splitting, slot_moves = Splitting(placement, receipts), SlotMoves(placement, receipts)
        self.apply = Applier(shards, splitting, parcels, slot_moves).apply

        agreement = Agreement(shards)
        declared = Declarations(shards[0], agreement)
        self.together = declared.together
        self.create_topic, self.set_topic = declared.create_topic, declared.set_topic
        self.delete_topic, self.topics = declared.delete_topic, leader.topics
        self.topic_settings, self.describe_topic = leader.topic_settings, leader.describe_topic
        self.create_queue, self.set_queue = declared.create_queue, declared.set_queue
        self.delete_queue, self.queues = declared.delete_queue, leader.queues
        self.settings, self.describe_queue = leader.settings, leader.describe_queue
        self.subscribe, self.put_subscription = declared.subscribe, declared.put_subscription
        self.unsubscribe, self.subscriptions = declared.unsubscribe, leader.subscriptions
        self.tag_queue, self.tag_topic = declared.tag_queue, declared.tag_topic
        self.identity, self.set_identity = leader.identity, declared.set_identity
        self.pause, self.purged = declared.pause, declared.purged

        operator = Operator(shards)
        self.counts, self.peek, self.waiting = operator.counts, operator.peek, operator.waiting
        self.redrive, self.purge = operator.redrive, operator.purge
        moves = Moves(shards)
        self.start_move, self.cancel_move = moves.start_move, moves.cancel_move
        self.moves, self.step_moves = moves.moves, moves.step_moves

        coordinator = Coordinator(shards, placement)
        self.finished, self.hurry = coordinator.finished, coordinator.hurry
        self.take, self.hold = coordinator.take, coordinator.hold
        self.holders = coordinator.holders
        self.report, self.retire, self.workers = leader.report, leader.retire, leader.workers
        upkeep = Upkeep(shards, agreement, parcels, moves)
        self.upkeep = upkeep.run
        upkeep.mend()

        runs = Runs(shards, placement, hub, clock)
        self.records, self.list_records = runs.records, runs.list_records
        self.count_records, self.secure = runs.count_records, runs.secure
        self.wait_record, self.wait_records = runs.wait_record, runs.wait_records

    def close(self) -> None:
        """Close all files, and let everybody who waits find out."""
        self._homes.leave()
        try:
            for shard in self.shards:
                shard.store.close()
        finally:
            self._hub.waiters.close()
