"""Changes that send and settle messages, and the fence."""

from taskflow.testing.contract.apply.message_changes import *
