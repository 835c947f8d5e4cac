"""Queues that nobody may receive from until they are resumed."""

from taskflow.testing.contract.admin.pauses import *
