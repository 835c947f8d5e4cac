"""Standard queues with message groups: a group that floods the queue waits for the others."""

from taskflow.testing.contract.traffic.fair_queues import *
