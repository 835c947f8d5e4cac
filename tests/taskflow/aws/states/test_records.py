"""Records listed by page and filter, counted and waited for, with the state in each place."""

from taskflow.testing.contract.runs.records import *
