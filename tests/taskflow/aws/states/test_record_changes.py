"""Changes of records, counters and keys, with the state in each place that hosts share."""

from taskflow.testing.contract.apply.record_changes import *
