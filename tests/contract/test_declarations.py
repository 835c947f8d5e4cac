"""Topics, queues and subscriptions."""

from taskflow.testing.contract.admin.declarations import *
