"""Held to `Traffic.apply`: everything in a change happens, or nothing."""

from taskflow.testing.contract.apply.message_changes import *
from taskflow.testing.contract.apply.record_changes import *
from taskflow.testing.contract.apply.repeated_changes import *
from taskflow.testing.contract.collection import collected

__all__ = collected(globals())
