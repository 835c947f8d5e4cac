"""Leases of one among many."""

from taskflow.testing.contract.coordination.leases import *
