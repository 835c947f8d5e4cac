"""Held to Runs: the records beside the messages."""

from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.runs.records import *

__all__ = collected(globals())
