"""Looking at what lies in queues, and repairing it: redrive, purge, counts, peek."""

from taskflow.testing.contract.admin.repairs import *
