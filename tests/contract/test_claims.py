"""Claims on events, and which of them a queue has finished."""

from taskflow.testing.contract.coordination.claims import *
