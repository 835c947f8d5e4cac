"""Many changes at once, and one that is made again, with the state in each place."""

from taskflow.testing.contract.apply.repeated_changes import *
