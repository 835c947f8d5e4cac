"""Tasks that move messages out of a dead-letter queue, step by step."""

from taskflow.testing.contract.admin.moves import *
