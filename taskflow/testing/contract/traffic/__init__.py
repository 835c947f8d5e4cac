"""Held to Traffic: what is published and sent, lent, and settled."""

from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.traffic.attributes import *
from taskflow.testing.contract.traffic.carried import *
from taskflow.testing.contract.traffic.connections import *
from taskflow.testing.contract.traffic.dead_letters import *
from taskflow.testing.contract.traffic.deduplication import *
from taskflow.testing.contract.traffic.delivery import *
from taskflow.testing.contract.traffic.fair_queues import *
from taskflow.testing.contract.traffic.fan_out import *
from taskflow.testing.contract.traffic.fifo import *
from taskflow.testing.contract.traffic.limits_in_flight import *
from taskflow.testing.contract.traffic.long_poll import *
from taskflow.testing.contract.traffic.older_receipts import *
from taskflow.testing.contract.traffic.priorities import *
from taskflow.testing.contract.traffic.receipt_times import *
from taskflow.testing.contract.traffic.slots import *
from taskflow.testing.contract.traffic.suspects import *

__all__ = collected(globals())
