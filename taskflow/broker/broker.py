"""The Broker protocol: the verbs of SNS and SQS, and what tasks and workers need beside them.

The docstrings of its five parts are the specification; the contract suite tests every sentence over
every broker. Whoever uses a broker names the part that it needs.
"""

from typing import Protocol

from taskflow.broker.admin import Admin
from taskflow.broker.coordination import Coordination
from taskflow.broker.inspection import Inspection
from taskflow.broker.runs import Runs
from taskflow.broker.traffic import Traffic


class Broker(Traffic, Admin, Coordination, Runs, Inspection, Protocol):
    """A broker that does all there is."""
