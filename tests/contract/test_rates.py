"""Token buckets: how fast something may go, all workers together."""

from taskflow.testing.contract.coordination.rates import *
