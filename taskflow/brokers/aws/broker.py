"""AwsBroker: the verbs of `taskflow.broker.Broker` over SNS and SQS."""

import threading
from collections import OrderedDict
from random import Random

from taskflow.broker.settings import Economy
from taskflow.brokers.aws.client import Api
from taskflow.brokers.aws.declaring import Declaring
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.operating import Operating
from taskflow.brokers.aws.parallel import Parallel
from taskflow.brokers.aws.payloads import Payloads
from taskflow.brokers.aws.poll_policy import PollPolicy
from taskflow.brokers.aws.polls import Polls
from taskflow.brokers.aws.publish_batcher import PublishBatcher
from taskflow.brokers.aws.receipts import Receipts
from taskflow.brokers.aws.request_batches import MAX_ENTRIES
from taskflow.brokers.aws.sending import MAX_PUBLISH_BYTES, Sending
from taskflow.brokers.aws.sharing import Sharing
from taskflow.clock import Clock, SystemClock
from taskflow.coordination.memory import MemoryRecords, Records
from taskflow.forking import RANDOM
from taskflow.limits import MAX_MESSAGE_BYTES, MAX_PAYLOAD_BYTES

ECONOMY = Economy(batch=MAX_ENTRIES, settle_within=0.25, prefetch=0.05)
"""Requests cost money and time; leases last longer."""


class AwsBroker(Declaring, Sending, Operating, Sharing):
    """SNS and SQS as a broker. Thread-safe; the contract is `taskflow.broker.Broker`, and what is
    weaker here is in docs/decisions/0026-the-aws-broker.md."""

    def __init__(
        self,
        api: Api,
        *,
        prefix: str = "",
        account: str | None = None,
        records: Records | None = None,
        payloads: Payloads | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.random: Random = random or RANDOM
        self.api = api
        self._directory = Directory(api, prefix, account)
        self._receipts = Receipts()
        self._polls = Polls(self.clock, self._fetch, self.give_back)
        self._publishers = PublishBatcher(self.clock, MAX_PUBLISH_BYTES, self._publish_batch)
        self._records: Records = records or MemoryRecords()
        self._payloads = payloads
        self.economy = ECONOMY
        self.max_message_bytes = MAX_PAYLOAD_BYTES if payloads else MAX_MESSAGE_BYTES
        self._parallel = Parallel()
        self._reach = {}
        self._poll_policy = PollPolicy()
        self._aliases = {}
        self._first_ids = OrderedDict()
        self._handled = {}
        self._dead = {}
        self._moving = set()
        self._policies = threading.Lock()
        self._declaring = threading.RLock()
        self._lock = threading.Lock()
        self._buckets = {}
        self._reports = {}
        self._identity = {}

    def close(self) -> None:
        """A poll that AWS still holds ends by itself; should it bring a message after the process
        has ended, that one returns when its lease ends."""
        self._polls.close()
        self._parallel.close()
        self._records.close()
        self.api.close()
