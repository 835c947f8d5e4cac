"""Changes that send and settle messages, and the fence, with the state in each place."""

from taskflow.testing.contract.apply.message_changes import *
