"""Held to Admin: what is declared, looked at and repaired."""

from taskflow.testing.contract.admin.declarations import *
from taskflow.testing.contract.admin.moves import *
from taskflow.testing.contract.admin.pauses import *
from taskflow.testing.contract.admin.repairs import *
from taskflow.testing.contract.admin.settings import *
from taskflow.testing.contract.admin.subscriptions import *
from taskflow.testing.contract.collection import collected

__all__ = collected(globals())
