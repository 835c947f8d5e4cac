"""How many messages of a queue may be in flight: an error on a standard queue, none on FIFO."""

from taskflow.testing.contract.traffic.limits_in_flight import *
