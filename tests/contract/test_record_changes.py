"""Changes of records, counters and keys."""

from taskflow.testing.contract.apply.record_changes import *
