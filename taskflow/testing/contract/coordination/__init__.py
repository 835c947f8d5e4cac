"""Held to Coordination: what many workers share."""

from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.coordination.claims import *
from taskflow.testing.contract.coordination.leases import *
from taskflow.testing.contract.coordination.rates import *
from taskflow.testing.contract.coordination.reports import *

__all__ = collected(globals())
