"""From a topic to its queues: who gets a message, and in which shape."""

from taskflow.testing.contract.traffic.fan_out import *
