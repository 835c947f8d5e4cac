"""Many changes at once, and a change that is made again."""

from taskflow.testing.contract.apply.repeated_changes import *
