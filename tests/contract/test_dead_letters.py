"""Messages that go to the dead-letter queue: received too often, or given up."""

from taskflow.testing.contract.traffic.dead_letters import *
