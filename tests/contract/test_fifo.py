"""FIFO queues: what holds a group back, what does not, and in which order it comes."""

from taskflow.testing.contract.traffic.fifo import *
